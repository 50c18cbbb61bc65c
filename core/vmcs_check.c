/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of VM entry on guest state as one table. In the order of the SDM, but for RFLAGS, whose VM flag
 * decides what segment registers have to be. Only judges. */
#include "core/vmcs_rules.h"

#include "core/cr_policy.h"

/* clang-format off */
static const char segment_names[][6] = {" ES", " CS", " SS", " DS", " FS", " GS", " LDTR", " TR"};

static const struct rule guest_rules[] = {
TITLE("Checks on Guest Control Registers, Debug Registers, and MSRs"),
ONE(GUEST_CR0, CR0_FIXED, 0x60000000, "each bit must be as IA32_VMX_CR0_FIXED0 and FIXED1 say", NOT(UNRESTRICTED)),
ONE(GUEST_CR0, CR0_FIXED, 0xe0000001, "each bit but PE and PG must be as IA32_VMX_CR0_FIXED0 and FIXED1 say"),
ONE(GUEST_CR0, SET, CR0_PE, "PE must be 1 with PG", PG),
ONE(GUEST_CR4, CR4_FIXED, 0, "each bit must be as IA32_VMX_CR4_FIXED0 and FIXED1 say"),
ONE(GUEST_CR0, SET, CR0_WP, "WP must be 1 with CR4.CET", ON(GUEST_CR4, 23)),
ZERO(GUEST_DEBUGCTL, ~UINT64_C(0xffc7), "bits 5:3 and 63:16", LOADS_DEBUG),
ONE(GUEST_DEBUGCTL, CLEAR, BIT(2), "this CPU has no bus-lock detection", LOADS_DEBUG, NOT(CAN_LOCK_DEBUG)),
ONE(GUEST_DEBUGCTL, CLEAR, BIT(15), "this CPU has no RTM", LOADS_DEBUG, NOT(CAN_RTM)),
ONE(GUEST_CR0, SET, CR0_PG, "PG must be 1 in IA-32e mode", IA32E),
ONE(GUEST_CR4, SET, CR4_PAE, "PAE must be 1 in IA-32e mode", IA32E),
ONE(GUEST_CR4, CLEAR, CR4_PCIDE, "PCIDE must be 0 outside IA-32e mode", NOT(IA32E)),
ONE(GUEST_CR3, PHYSICAL, 0, "bits from MAXPHYADDR on must be 0"),
ONE(GUEST_DR7, AT_MOST, UINT32_MAX, "bits 63:32 must be 0", LOADS_DEBUG),
CANON(GUEST_SYSENTER_ESP, 0), CANON(GUEST_SYSENTER_EIP, 0),
ONE(GUEST_PAT, MEMORY_TYPES, 0, "each byte must be 0, 1, 4, 5, 6 or 7", ON(ENTRY, 14)),
ZERO(GUEST_EFER, ~UINT64_C(0xd01), "all bits but SCE, LME, LMA and NXE", LOADS_EFER),
ONE(GUEST_EFER, SET, EFER_LMA, "LMA must be 1 in IA-32e mode", LOADS_EFER, IA32E),
ONE(GUEST_EFER, CLEAR, EFER_LMA, "LMA must be 0 outside IA-32e mode", LOADS_EFER, NOT(IA32E)),
ONE(GUEST_EFER, SET, EFER_LME, "LME must be LMA with CR0.PG", LOADS_EFER, PG, IA32E),
ONE(GUEST_EFER, CLEAR, EFER_LME, "LME must be LMA with CR0.PG", LOADS_EFER, PG, NOT(IA32E)),
TITLE("Checks on Guest RIP, RFLAGS, and SSP"),
ONE(GUEST_RIP, AT_MOST, UINT32_MAX, "bits 63:32 must be 0 outside IA-32e mode", NOT(IA32E)),
ONE(GUEST_RIP, AT_MOST, UINT32_MAX, "bits 63:32 must be 0 unless CS.L is 1", NOT(CS_IS_64)),
ONE(GUEST_RIP, CANONICAL, 1, "all bits above the linear-address width must be equal"),
ZERO(GUEST_RFLAGS, ~UINT64_C(0x3f7fd7), "bits 3, 5, 15 and 63:22"), ONE(GUEST_RFLAGS, SET, 2, "bit 1 must be 1"),
ONE(GUEST_RFLAGS, CLEAR, BIT(17), "VM must be 0 in IA-32e mode", IA32E),
ONE(GUEST_RFLAGS, CLEAR, BIT(17), "VM must be 0 without CR0.PE", NOT(PE)),
ONE(GUEST_RFLAGS, SET, BIT(9), "IF must be 1 to inject an external interrupt", INJECTS, OF_EXTINT),
TITLE("Checks on Guest Segment Registers"),
EACH(GUEST_SELECTOR, M_TR | M_LDTR, CLEAR, 4, "TI must be 0", USABLE),
EACH(GUEST_SELECTOR, M_SS, RPL_OF_CS, 0, "RPL must be that of CS", NOT(V86), NOT(UNRESTRICTED)),
EACH(GUEST_BASE, M_SEGMENTS, BASE_OF_SELECTOR, 0, "must be 16 times the selector in virtual-8086 mode", V86),
CANON(GUEST_BASE, M_TR | M_FS | M_GS), CANON(GUEST_BASE, M_LDTR, USABLE),
EACH(GUEST_BASE, M_CS | M_SS | M_DS | M_ES, AT_MOST, UINT32_MAX, "bits 63:32 must be 0", USABLE),
EACH(GUEST_LIMIT, M_SEGMENTS, EQUAL, 0xffff, "must be FFFFH in virtual-8086 mode", V86),
EACH(GUEST_RIGHTS, M_SEGMENTS, EQUAL, 0xf3, "must be F3H in virtual-8086 mode", V86),
EACH(GUEST_RIGHTS, M_CS, TYPE_IN, 0xaa00, "the type must be 9, 11, 13 or 15", NOT(V86), NOT(UNRESTRICTED)),
EACH(GUEST_RIGHTS, M_CS, TYPE_IN, 0xaa08, "the type must be 3, 9, 11, 13 or 15", NOT(V86)),
EACH(GUEST_RIGHTS, M_SS, TYPE_IN, 0x0088, "the type must be 3 or 7", NOT(V86), USABLE),
EACH(GUEST_RIGHTS, M_DATA, TYPE_IN, 0x88aa, "the type must be accessed, and if code readable", NOT(V86), USABLE),
EACH(GUEST_RIGHTS, M_SEGMENTS, SET, BIT(4), "S must be 1", USABLE),
EACH(GUEST_RIGHTS, M_CS, CLEAR, 0x60, "DPL must be 0 with type 3", NOT(V86), CS_IS_DATA),
EACH(GUEST_RIGHTS, M_CS, DPL_OF_SS, 0, "DPL must be that of SS", NOT(V86), NOT(CS_IS_DATA), NOT(CONFORMING)),
EACH(GUEST_RIGHTS, M_CS, DPL_OF_SS, 1, "DPL must not exceed that of SS", NOT(V86), CONFORMING),
EACH(GUEST_RIGHTS, M_SS, DPL_OF_RPL, 0, "DPL must be the RPL", NOT(V86), NOT(UNRESTRICTED)),
EACH(GUEST_RIGHTS, M_SS, CLEAR, 0x60, "DPL must be 0 if CS has type 3", NOT(V86), CS_IS_DATA),
EACH(GUEST_RIGHTS, M_SS, CLEAR, 0x60, "DPL must be 0 without CR0.PE", NOT(PE)),
EACH(GUEST_RIGHTS, M_DATA, DPL_OF_RPL, 1, "DPL must not be below the RPL", NOT(V86), NOT(UNRESTRICTED), USABLE, NOT(CONFORMING)),
EACH(GUEST_RIGHTS, M_CS, CLEAR, BIT(14), "D must be 0 with L in IA-32e mode", IA32E, CS_IS_64),
EACH(GUEST_RIGHTS, M_TR, CLEAR, BIT(16), "must be usable"),
EACH(GUEST_RIGHTS, M_TR, TYPE_IN, 0x0808, "the type must be 3 or 11, a busy TSS", NOT(IA32E)),
EACH(GUEST_RIGHTS, M_TR, TYPE_IN, 0x0800, "the type must be 11, a busy 64-bit TSS", IA32E),
EACH(GUEST_RIGHTS, M_LDTR, TYPE_IN, 0x0004, "the type must be 2, an LDT", USABLE),
EACH(GUEST_RIGHTS, M_TR | M_LDTR, CLEAR, BIT(4), "S must be 0", USABLE),
EACH(GUEST_RIGHTS, M_ALL, SET, BIT(7), "P must be 1", USABLE),
EACH(GUEST_RIGHTS, M_ALL, CLEAR, 0xfffe0f00, "bits 11:8 and 31:17 must be 0", USABLE),
EACH(GUEST_RIGHTS, M_ALL, GRANULARITY, 0, "G must be 0 unless limit bits 11:0 are 1, and 1 unless 31:20 are 0", USABLE),
TITLE("Checks on Guest Descriptor-Table Registers"),
CANON(GDTR_BASE, 0), CANON(IDTR_BASE, 0), ZERO(GDTR_LIMIT, 0xffff0000, "bits 31:16"), ZERO(IDTR_LIMIT, 0xffff0000, "bits 31:16"),
TITLE("Checks on Guest Non-Register State"),
ONE(ACTIVITY, OFFERED, 0, "must be 0 to 3, and one that IA32_VMX_MISC offers"),
ONE(ACTIVITY, NEVER, 0, "must not be HLT unless the DPL of SS is 0", HALTED, NOT(IS(SS_RIGHTS, 5, 3, 0))),
ONE(ACTIVITY, EQUAL, 0, "must be active while STI or MOV SS blocks", NOT(UNBLOCKED)),
ONE(EVENT, NEVER, 0, "HLT is not left by a software interrupt", INJECTS, HALTED, OF_SOFTWARE, NOT(OF_OTHER)),
ONE(EVENT, NEVER, 0, "HLT is left by no exceptions but #DB and #MC", INJECTS, HALTED, OF_EXCEPTION, NOT(OF_DB), NOT(OF_MC)),
ONE(EVENT, NEVER, 0, "shutdown is left by NMI and #MC only", INJECTS, IS(ACTIVITY, 0, 3, 2), NOT(OF_NMI), NOT(OF_MC)),
ONE(EVENT, NEVER, 0, "no event is injected in wait-for-SIPI", INJECTS, IS(ACTIVITY, 0, 3, 3)),
ZERO(INTERRUPTIBILITY, ~UINT64_C(31), "bits 31:5"),
ONE(INTERRUPTIBILITY, NEVER, 0, "STI and MOV SS must not both block", AFTER_STI, AFTER_MOV_SS),
ONE(INTERRUPTIBILITY, CLEAR, 1, "STI must not block with RFLAGS.IF 0", NOT(ON(GUEST_RFLAGS, 9))),
ONE(INTERRUPTIBILITY, CLEAR, 3, "STI and MOV SS must not block an injected interrupt", INJECTS, OF_EXTINT),
ONE(INTERRUPTIBILITY, CLEAR, 2, "MOV SS must not block an injected NMI", INJECTS, OF_NMI),
ONE(INTERRUPTIBILITY, CLEAR, 4, "SMI must not be blocked outside SMM"),
ONE(INTERRUPTIBILITY, CLEAR, 1, "STI must not block an injected NMI (on some CPUs)", INJECTS, OF_NMI),
ONE(INTERRUPTIBILITY, CLEAR, 8, "an NMI must not block an injected one", INJECTS, OF_NMI, VIRTUAL_NMIS),
ONE(INTERRUPTIBILITY, CLEAR, 16, "MOV SS must not block in an enclave", AFTER_MOV_SS),
ONE(INTERRUPTIBILITY, CLEAR, 16, "this CPU has no enclaves", NOT(ON(CAPS + CAP_CPUID_7_EBX, 2))),
ZERO(PENDING_DEBUG, ~UINT64_C(0x1580f), "bits 10:4, 13, 15 and 63:17"),
ONE(PENDING_DEBUG, CLEAR, BIT(11), "this CPU has no bus-lock detection", NOT(CAN_LOCK_DEBUG)),
ONE(PENDING_DEBUG, SINGLE_STEP, 0, "in HLT and after STI and MOV SS, BS must be RFLAGS.TF and not DEBUGCTL.BTF"),
ONE(PENDING_DEBUG, EQUAL, 0x11000, "with RTM, bit 12 must be 1 and the others 0", ON(PENDING_DEBUG, 16)),
ONE(PENDING_DEBUG, CLEAR, BIT(16), "this CPU has no RTM", NOT(CAN_RTM)),
ZERO(PENDING_DEBUG, BIT(16), "RTM while MOV SS blocks", AFTER_MOV_SS),
ONE(LINK_POINTER, LINK, 0xfff, "must be all ones, or a page below MAXPHYADDR"),
TITLE("Checks on Guest Page-Directory-Pointer-Table Entries"),
#define CHECK_PDPTE(field) ONE(field, PDPTE, 0x1e6, "reserved bits must be 0 if present", EPT, PG, PAE, NOT(IA32E))
CHECK_PDPTE(PDPTE0), CHECK_PDPTE(PDPTE1), CHECK_PDPTE(PDPTE2), CHECK_PDPTE(PDPTE3),
};
/* clang-format on */

uint64_t vmcs_rules_get(const struct vmcs_view *v, unsigned field) {
    if (field >= CAPS)
        return v->caps->raw[field - CAPS];
    if (field == SECONDARY && (v->read(v->context, PRIMARY) & BIT(31)) == 0)
        return 0; /* what the CPU takes it for */
    return v->read(v->context, field);
}

static bool is(const struct vmcs_view *v, uint64_t condition) {
    unsigned field = condition >> 40 & 0x7fff, shift = condition >> 24 & 63, mask = condition >> 12 & 0xfff;
    if (condition == USABLE && (1u << v->segment) == M_CS)
        return true; /* CS counts as usable whatever its bit says */
    field += field == GUEST_RIGHTS ? 2 * v->segment : 0;
    return ((vmcs_rules_get(v, field) >> shift & mask) == (condition & 0xfff)) != (condition >> 63);
}

static bool holds(const struct vmcs_view *v, const struct rule *r, uint64_t value) {
    const uint64_t argument = r->argument, *caps = v->caps->raw;
    bool segment = r->segments != 0; /* only those look at these three; reading takes time */
    uint64_t selector = segment ? vmcs_rules_get(v, GUEST_SELECTOR + 2 * v->segment) : 0, rpl = selector & 3;
    uint64_t dpl = value >> 5 & 3, cpl = segment ? vmcs_rules_get(v, SS_RIGHTS) >> 5 & 3 : 0;
    uint64_t limit = segment ? vmcs_rules_get(v, GUEST_LIMIT + 2 * v->segment) : 0;
    unsigned unused = 64 - (caps[CAP_CPUID_EXT8_EAX] >> 8 & 0x3f);
    /* clang-format off */
    switch ((enum test)r->test) {
    case NEVER:        return false;
    case CLEAR:        return (value & argument) == 0;
    case SET:          return (value & argument) == argument;
    case EQUAL:        return value == argument;
    case AT_MOST:      return value <= argument;
    case TYPE_IN:      return (argument >> (value & 0xf) & 1) != 0;
    case CR0_FIXED:    return (((caps[CAP_CR0_FIXED0] & ~value) | (value & ~caps[CAP_CR0_FIXED1])) & ~argument) == 0;
    case CR4_FIXED:    return ((caps[CAP_CR4_FIXED0] & ~value) | (value & ~caps[CAP_CR4_FIXED1])) == 0;
    case PHYSICAL:     return vmcs_rules_physical(v, value, argument);
    case CANONICAL:    return (uint64_t)((int64_t)(value << (unused - argument)) >> (unused - argument)) == value;
    case MEMORY_TYPES: return (value & 0xf8f8f8f8f8f8f8f8) == 0 && /* not 2 or 3: bit 1 without bit 2 */
                              (value & ~(value >> 1) & 0x0202020202020202) == 0;
    case OFFERED:      return value == 0 || (value <= 3 && (caps[CAP_MISC] >> (5 + value) & 1) != 0);
    case SINGLE_STEP:  return (is(v, UNBLOCKED) && !is(v, HALTED)) ||
                              (value >> 14 & 1) == (is(v, ON(GUEST_RFLAGS, 8)) && !is(v, ON(GUEST_DEBUGCTL, 1)));
    case LINK:         return value == UINT64_MAX || vmcs_rules_physical(v, value, argument);
    case PDPTE:        return (value & 1) == 0 || vmcs_rules_physical(v, value, argument);
    case RPL_OF_CS:    return rpl == (vmcs_rules_get(v, GUEST_SELECTOR + 2) & 3);
    case BASE_OF_SELECTOR: return value == selector << 4;
    case GRANULARITY:  return (value & BIT(15)) != 0 ? (limit & 0xfff) == 0xfff : limit >> 20 == 0;
    case DPL_OF_SS:    return dpl == cpl || (argument != 0 && dpl < cpl);
    case DPL_OF_RPL:   return dpl == rpl || (argument != 0 && dpl > rpl);
    case OTHER:        break;
    }
    /* clang-format on */
    return v->other != NULL && v->other(v, r, value);
}

static bool applies(const struct vmcs_view *v, const struct rule *r) {
    bool yes = r->segments == 0 || (r->segments >> v->segment & 1) != 0;
    for (unsigned i = 0; i < ARRAY_SIZE(r->conditions) && r->conditions[i] != 0; i++)
        yes = yes && is(v, r->conditions[i]);
    return yes;
}

bool vmcs_rules_hold(struct vmcs_view *v, const struct rule *rules, size_t count,
                     struct vmcs_violation *out) {
    for (const struct rule *r = rules; r < rules + count; r++) {
        if (r->name == NULL)
            out->section = r->words;
        unsigned segments = r->name == NULL ? 0 : r->segments == 0 ? 1 : ARRAY_SIZE(segment_names);
        for (v->segment = 0; v->segment < segments; v->segment++) {
            out->field = r->name;
            out->segment = r->segments == 0 ? "" : segment_names[v->segment];
            out->rule = r->words;
            out->encoding = r->field + 2 * v->segment;
            if (applies(v, r) && !holds(v, r, out->value = vmcs_rules_get(v, out->encoding)))
                return false;
        }
    }
    return true;
}

bool vmcs_check(const struct vmx_caps *caps, vmcs_read_fn *read, void *context, struct vmcs_violation *out) {
    struct vmcs_view v = {.caps = caps, .read = read, .context = context};
    return vmcs_rules_hold(&v, guest_rules, ARRAY_SIZE(guest_rules), out);
}
