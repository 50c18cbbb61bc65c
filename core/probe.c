/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's own account of itself. */
#include "core/probe.h"

#define LEVEL_SMT 1

unsigned probe_smt_shift(cpuid_fn *cpuid) {
    static const uint32_t leaves[] = {0x1f, 0x0b};
    uint32_t regs[4];
    cpuid(0, 0, regs);
    uint32_t last = regs[CPUID_EAX];
    for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++) {
        if (last < leaves[i])
            continue;
        cpuid(leaves[i], 0, regs);
        if (regs[CPUID_EBX] != 0)
            return (regs[CPUID_ECX] >> 8 & 0xff) == LEVEL_SMT ? regs[CPUID_EAX] & 0x1f : 0;
    }
    return 0;
}
