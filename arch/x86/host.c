/* SPDX-License-Identifier: Apache-2.0 */
/* The rest of core/host.h: host_write is in console_io.c, host_panic in panic.c, host_phys in
 * memory.c. */
#include "core/host.h"

#include "arch/x86/cpu.h"
#include "arch/x86/percpu.h"
#include "arch/x86/memory.h"

uint64_t host_now(void) {
    return cpu_rdtsc();
}

unsigned host_cpu(void) {
    return memory_has_percpu() ? this_cpu.index : 0;
}
