/* SPDX-License-Identifier: Apache-2.0 */
/* What tables of rules of VM entry are made of. core/vmcs_check.c has those of guest state; those of controls
 * and host state, which no guest can break, the debug build alone (tests/audit/vmcs_rules.c). For those two.
 */
#pragma once

#include "core/vmcs_check.h"

/* clang-format off */
/* "Field Encoding in VMCS". From CAPS on, the number stands for a capability instead. */
enum {
    GUEST_SELECTOR = 0x0800, LINK_POINTER = 0x2800, GUEST_DEBUGCTL = 0x2802, GUEST_PAT = 0x2804,
    GUEST_EFER = 0x2806, PDPTE0 = 0x280a, PDPTE1 = 0x280c, PDPTE2 = 0x280e, PDPTE3 = 0x2810, PIN = 0x4000,
    PRIMARY = 0x4002, ENTRY = 0x4012, EVENT = 0x4016, SECONDARY = 0x401e, GUEST_LIMIT = 0x4800,
    GDTR_LIMIT = 0x4810, IDTR_LIMIT = 0x4812, GUEST_RIGHTS = 0x4814, CS_RIGHTS = 0x4816, SS_RIGHTS = 0x4818,
    INTERRUPTIBILITY = 0x4824, ACTIVITY = 0x4826, GUEST_CR0 = 0x6800, GUEST_CR3 = 0x6802, GUEST_CR4 = 0x6804,
    GUEST_BASE = 0x6806, GDTR_BASE = 0x6816, IDTR_BASE = 0x6818, GUEST_DR7 = 0x681a, GUEST_RIP = 0x681e,
    GUEST_RFLAGS = 0x6820, PENDING_DEBUG = 0x6822, GUEST_SYSENTER_ESP = 0x6824, GUEST_SYSENTER_EIP = 0x6826,
    CAPS = 0x7000,
};

/* A condition in one number: the bits of a field, from one on and under a mask, have a value. */
#define IS(field, bit, mask, value) (UINT64_C(1) * (field) << 40 | (bit) << 24 | (mask) << 12 | (value))
#define ON(field, bit)              IS(field, bit, 1, 1)
#define NOT(condition)              ((condition) ^ BIT(63))
enum {
    VIRTUAL_NMIS = ON(PIN, 5), EPT = ON(SECONDARY, 1), UNRESTRICTED = ON(SECONDARY, 7),
    LOADS_DEBUG = ON(ENTRY, 2), IA32E = ON(ENTRY, 9), LOADS_EFER = ON(ENTRY, 15), INJECTS = ON(EVENT, 31),
    OF_EXTINT = IS(EVENT, 8, 7, 0), OF_NMI = IS(EVENT, 8, 7, 2), OF_EXCEPTION = IS(EVENT, 8, 7, 3),
    OF_SOFTWARE = ON(EVENT, 10), OF_OTHER = IS(EVENT, 8, 7, 7), OF_DB = IS(EVENT, 0, 0x7ff, 0x301),
    OF_MC = IS(EVENT, 0, 0x7ff, 0x312), PE = ON(GUEST_CR0, 0), PG = ON(GUEST_CR0, 31), PAE = ON(GUEST_CR4, 5),
    V86 = ON(GUEST_RFLAGS, 17), USABLE = IS(GUEST_RIGHTS, 16, 1, 0), CONFORMING = IS(GUEST_RIGHTS, 2, 3, 3),
    CS_IS_DATA = IS(CS_RIGHTS, 0, 15, 3), CS_IS_64 = ON(CS_RIGHTS, 13), HALTED = IS(ACTIVITY, 0, 15, 1),
    AFTER_STI = ON(INTERRUPTIBILITY, 0), AFTER_MOV_SS = ON(INTERRUPTIBILITY, 1),
    UNBLOCKED = IS(INTERRUPTIBILITY, 0, 3, 0), CAN_RTM = ON(CAPS + CAP_CPUID_7_EBX, 11),
    CAN_LOCK_DEBUG = ON(CAPS + CAP_CPUID_7_ECX, 24),
};

/* What a rule asks of its field. The argument: bits, a value, a set of types of a segment, bits not looked at,
 * bits below the alignment; of an address, bits it may have more, as RIP has behind the last instruction below the
 * hole; of DPL, whether it may be on the safe side. NEVER: the conditions say it all. OTHER and above: the table's
 * own. */
enum test {
    NEVER, CLEAR, SET, EQUAL, AT_MOST, TYPE_IN, CR0_FIXED, CR4_FIXED, PHYSICAL, CANONICAL, MEMORY_TYPES,
    OFFERED, SINGLE_STEP, LINK, PDPTE, RPL_OF_CS, BASE_OF_SELECTOR, GRANULARITY, DPL_OF_SS, DPL_OF_RPL, OTHER,
};
enum { M_ES = 1, M_CS = 2, M_SS = 4, M_DS = 8, M_FS = 16, M_GS = 32, M_LDTR = 64, M_TR = 128,
       M_DATA = M_ES | M_DS | M_FS | M_GS, M_SEGMENTS = M_DATA | M_CS | M_SS, M_ALL = 255 };

struct rule {
    const char *name;     /* of the field; NULL: `words` is the title of a section */
    uint16_t field;
    uint8_t segments;     /* if not 0, the field is that of ES, and the rule is for these, two apart */
    uint8_t test;
    uint64_t argument;
    const char *words;
    uint64_t conditions[5]; /* the rule is for when all of them hold */
};

#define TITLE(words) {NULL, 0, 0, 0, 0, words, {0}}
#define EACH(field, segments, test, argument, words, ...) {#field, field, segments, test, argument, words, {__VA_ARGS__}}
#define ONE(field, ...)             EACH(field, 0, __VA_ARGS__)
#define ZERO(field, bits, words, ...) ONE(field, CLEAR, bits, words " must be 0", __VA_ARGS__)
#define PAGE(field, ...)            ONE(field, PHYSICAL, 0xfff, "must be a page below MAXPHYADDR", __VA_ARGS__)
#define CANON(field, segments, ...) EACH(field, segments, CANONICAL, 0, "must be canonical", __VA_ARGS__)
/* clang-format on */

struct vmcs_view {
    const struct vmx_caps *caps;
    vmcs_read_fn *read;
    void *context;
    bool (*other)(const struct vmcs_view *v, const struct rule *r,
                  uint64_t value); /* of tests from OTHER on */
    unsigned segment;              /* that the rule is looked at for */
};

/* A field, or a capability, as the CPU takes it. */
uint64_t vmcs_rules_get(const struct vmcs_view *v, unsigned field);

/* A physical address that the CPU has, with `low_bits` 0. */
static inline bool vmcs_rules_physical(const struct vmcs_view *v, uint64_t value, uint64_t low_bits) {
    return (value & low_bits) == 0 && value >> vmx_phys_bits(v->caps) == 0;
}

/* As vmcs_check, by these rules. */
must_check bool vmcs_rules_hold(struct vmcs_view *v, const struct rule *rules, size_t count,
                                struct vmcs_violation *out);
