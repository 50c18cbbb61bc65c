/* SPDX-License-Identifier: Apache-2.0 */
/* Which VMX controls we want, which we need, and what this CPU can do: one table with a reason a
 * row. Pure: reads the machine only through the two functions it is given. */
#pragma once

#include "core/cpuid_policy.h"
#include "core/types.h"

/* RDMSR. Called only for MSRs that the CPU says it has. */
typedef uint64_t rdmsr_fn(uint32_t index);

enum vmx_word { VMX_PIN, VMX_PRIMARY, VMX_SECONDARY, VMX_TERTIARY, VMX_EXIT, VMX_ENTRY, VMX_WORDS };

/* The controls that code sets, clears or asks for after start-up. All others: vmx_ctl.c. */
#define PIN_PREEMPTION_TIMER     (UINT32_C(1) << 6)
#define PRIMARY_INTERRUPT_WINDOW (UINT32_C(1) << 2)
#define PRIMARY_TERTIARY         (UINT32_C(1) << 17)
#define PRIMARY_NMI_WINDOW       (UINT32_C(1) << 22)
#define PRIMARY_MTF              (UINT32_C(1) << 27)
#define SECONDARY_RDTSCP         (UINT32_C(1) << 3)
#define SECONDARY_INVPCID        (UINT32_C(1) << 12)
#define SECONDARY_ENCLS          (UINT32_C(1) << 15)
#define SECONDARY_XSAVES         (UINT32_C(1) << 20)
#define SECONDARY_USER_WAIT      (UINT32_C(1) << 26)
#define SECONDARY_ENCLV          (UINT32_C(1) << 28)
#define SECONDARY_TIMEOUT        (UINT32_C(1) << 31)
#define ENTRY_IA32E_GUEST        (UINT32_C(1) << 9)

/* In this order they are read: each after those it depends on. */
/* clang-format off */
enum vmx_cap {
    CAP_VENDOR, /* 1 = GenuineIntel */
    CAP_CPUID_1_ECX, CAP_CPUID_1_EDX, CAP_CPUID_7_EBX, CAP_CPUID_7_ECX, CAP_CPUID_D1_EAX,
    CAP_CPUID_EXT1_EDX, CAP_CPUID_EXT8_EAX,
    CAP_FEATURE_CONTROL, /* as vmx_feature_control will leave it: only VMX and the lock */
    CAP_BASIC, CAP_PINBASED, CAP_PROCBASED, CAP_EXIT, CAP_ENTRY, CAP_MISC,
    CAP_CR0_FIXED0, CAP_CR0_FIXED1, CAP_CR4_FIXED0, CAP_CR4_FIXED1,
    CAP_PROCBASED2, CAP_EPT_VPID,
    CAP_TRUE_PINBASED, CAP_TRUE_PROCBASED, CAP_TRUE_EXIT, CAP_TRUE_ENTRY,
    CAP_PROCBASED3,
    CAP_COUNT,
};
/* clang-format on */

struct vmx_caps {
    uint64_t raw[CAP_COUNT]; /* 0 where this CPU does not have it */
};

#define EPT_CAP_1G BIT(17)

struct vmx_controls {
    uint32_t word[VMX_WORDS];
};

/* This CPU's capabilities. VMX MSRs are read only if CPUID shows VMX. */
void vmx_caps_read(struct vmx_caps *out, cpuid_fn *cpuid, rdmsr_fn *rdmsr);

/* The six words for the VMCS, which are logged. On ERR_UNSUPPORTED everything that is missing has
 * been logged by name; *out is then zeroed. */
must_check enum err vmx_ctl_resolve(const struct vmx_caps *caps, struct vmx_controls *out);

/* Same CPU as the boot one, as far as VMX and the guests can tell? Logs each difference. */
bool vmx_caps_equal(const struct vmx_caps *boot, const struct vmx_caps *mine, unsigned cpu);

/* May these bits be 1 in that word, e.g. the preemption timer? */
bool vmx_can_set(const struct vmx_caps *caps, enum vmx_word word, uint32_t bits);

/* What IA32_FEATURE_CONTROL has to hold before VMXON: the value it has if it is locked, else that
 * plus VMX and the lock. Every core: firmware may have set only the boot core's. */
static inline uint64_t vmx_feature_control(uint64_t now) {
    return (now & 1) != 0 ? now : now | 5;
}

/* The preemption timer counts down once every 2^this TSC ticks. */
static inline unsigned vmx_preemption_shift(const struct vmx_caps *caps) {
    return caps->raw[CAP_MISC] & 0x1f;
}

/* MAXPHYADDR. */
static inline unsigned vmx_phys_bits(const struct vmx_caps *caps) {
    return caps->raw[CAP_CPUID_EXT8_EAX] != 0 ? caps->raw[CAP_CPUID_EXT8_EAX] & 0xff : 36;
}
