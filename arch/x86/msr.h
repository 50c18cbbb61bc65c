/* SPDX-License-Identifier: Apache-2.0 */
/* Model-specific registers: the two instructions and the numbers the hypervisor itself uses, named
 * as in the SDM. What a guest may do with which MSR is core/msr_policy. */
#pragma once

#include "core/types.h"

enum {
    IA32_TSC = 0x10,
    IA32_APIC_BASE = 0x1b,
    IA32_FEATURE_CONTROL = 0x3a,
    IA32_TSC_ADJUST = 0x3b,
    IA32_BIOS_SIGN_ID = 0x8b,
    IA32_MCG_CAP = 0x179,
    IA32_MCG_STATUS = 0x17a,
    IA32_MC0_STATUS = 0x401, /* + 4 * bank */
    IA32_SPEC_CTRL = 0x48,
    IA32_PRED_CMD = 0x49,
    IA32_ARCH_CAPABILITIES = 0x10a,
    IA32_FLUSH_CMD = 0x10b,
    IA32_MCU_OPT_CTRL = 0x123,
    IA32_UMWAIT_CONTROL = 0xe1,
    IA32_DEBUGCTL = 0x1d9,
    IA32_PAT = 0x277,
    IA32_TSC_DEADLINE = 0x6e0,
    IA32_X2APIC_BASE = 0x800, /* + register number */
    IA32_XSS = 0xda0,
    IA32_EFER = 0xc0000080,
    IA32_STAR = 0xc0000081,
    IA32_LSTAR = 0xc0000082,
    IA32_CSTAR = 0xc0000083,
    IA32_FMASK = 0xc0000084,
    IA32_KERNEL_GS_BASE = 0xc0000102,
    IA32_TSC_AUX = 0xc0000103,
};

#define APIC_BASE_X2APIC BIT(10)
#define APIC_BASE_EN     BIT(11)

/* PAT as after reset: WB, WT, UC-, UC, and again. Ours has WC for WT: the host page tables' indices assume
 * it. */
#define PAT_RESET UINT64_C(0x0007040600070406)
#define PAT_HOST  UINT64_C(0x0007010600070106)

/* #GP if the CPU has no such MSR: callers know that it has. */
static inline uint64_t cpu_rdmsr(uint32_t index) {
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index) : "memory");
    return (uint64_t)high << 32 | low;
}

static inline void cpu_wrmsr(uint32_t index, uint64_t v) {
    __asm__ volatile("wrmsr" : : "c"(index), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}
