/* SPDX-License-Identifier: Apache-2.0 */
/* The audit of the debug build. It finds what a lenient CPU or emulator lets pass. */
#include "arch/x86/vmcs_audit.h"

#include "arch/x86/dump.h"
#include "arch/x86/percpu.h"
#include "arch/x86/trap.h"
#include "arch/x86/vmcs.h"
#include "boot/layout.h"

void vmcs_audit(void) {
    char rule[LOG_LINE_MAX];
    if (vmcs_read(VMCS_HOST_RSP) != PERCPU_STACK_TOP || vmcs_read(VMCS_HOST_CR3) != this_cpu.sealed_cr3)
        panic_at(NULL, "VMCS audit: the host's RSP or CR3 has changed");
    if (dump_broken_rule(rule))
        panic_at(NULL, "VMCS audit: %s", rule);
}
