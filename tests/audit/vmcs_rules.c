/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of VM entry on controls and host state, for a CPU that is in IA-32e mode and not in SMM. In the
 * order of the SDM. Only judges. */
#include "tests/audit/vmcs_rules.h"

#include "core/cr_policy.h"
#include "core/vmcs_rules.h"

/* clang-format off */
enum {
    VPID = 0x0000, HOST_SELECTOR = 0x0c00, HOST_CS = 0x0c02, HOST_TR = 0x0c0c, IO_BITMAP_A = 0x2000,
    IO_BITMAP_B = 0x2002, MSR_BITMAP = 0x2004, EXIT_STORE_LIST = 0x2006, EXIT_LOAD_LIST = 0x2008,
    ENTRY_LOAD_LIST = 0x200a, PML_ADDRESS = 0x200e, VIRTUAL_APIC = 0x2012, APIC_ACCESS = 0x2014,
    EPT_POINTER = 0x201a, TSC_MULTIPLIER = 0x2032, TERTIARY = 0x2034, HOST_PAT = 0x2c00, HOST_EFER = 0x2c02,
    CR3_TARGET_COUNT = 0x400a, EXIT = 0x400c, EXIT_STORE_COUNT = 0x400e, EXIT_LOAD_COUNT = 0x4010,
    ENTRY_LOAD_COUNT = 0x4014, EVENT_ERROR = 0x4018, EVENT_LENGTH = 0x401a, TPR_THRESHOLD = 0x401c,
    HOST_CR0 = 0x6c00, HOST_CR3 = 0x6c02, HOST_CR4 = 0x6c04, HOST_FS_BASE = 0x6c06, HOST_GS_BASE = 0x6c08,
    HOST_TR_BASE = 0x6c0a, HOST_GDTR_BASE = 0x6c0c, HOST_IDTR_BASE = 0x6c0e, HOST_SYSENTER_ESP = 0x6c10,
    HOST_SYSENTER_EIP = 0x6c12, HOST_RIP = 0x6c16,
};
enum { TPR_SHADOW = ON(PRIMARY, 21), IO_BITMAPS = ON(PRIMARY, 25), VIRTUAL_DELIVERY = ON(SECONDARY, 9), HOST_LOADS_EFER = ON(EXIT, 21) };

/* The argument: the enum vmx_word; the list's address. */
enum { NONZERO = OTHER, CONTROLS, MSR_LIST, ERROR_BY_VECTOR, EPT_FORMAT };

/* Bits of the control words whose rules are not here, for vmx_ctl never sets them: posted interrupts,
 * VM functions, shadowing, #VE, PASID, SPP, PT, HLAT, and state of PMU, MPX, PT, CET, LBR, PKS, UINTR. */
static const uint64_t unknown[VMX_WORDS] = {[VMX_PIN] = BIT(7), [VMX_SECONDARY] = 0x1a46000,
    [VMX_TERTIARY] = ~UINT64_C(1), [VMX_EXIT] = 0xb0001000, [VMX_ENTRY] = 0xfd2000};

static const struct rule rules[] = {
TITLE("VM-Execution Control Fields"),
ONE(PIN, CONTROLS, VMX_PIN, "each bit must be as IA32_VMX_PINBASED_CTLS allows, and known here"),
ONE(PRIMARY, CONTROLS, VMX_PRIMARY, "each bit must be as IA32_VMX_PROCBASED_CTLS allows"),
ONE(SECONDARY, CONTROLS, VMX_SECONDARY, "each bit must be as IA32_VMX_PROCBASED_CTLS2 allows, and known here"),
ONE(TERTIARY, CONTROLS, VMX_TERTIARY, "each bit must be as IA32_VMX_PROCBASED_CTLS3 allows, and known here", ON(PRIMARY, 17)),
ONE(CR3_TARGET_COUNT, AT_MOST, 4, "must be at most 4"),
PAGE(IO_BITMAP_A, IO_BITMAPS), PAGE(IO_BITMAP_B, IO_BITMAPS), PAGE(MSR_BITMAP, ON(PRIMARY, 28)),
PAGE(VIRTUAL_APIC, TPR_SHADOW), PAGE(APIC_ACCESS, ON(SECONDARY, 0)), PAGE(PML_ADDRESS, ON(SECONDARY, 17)),
ONE(TPR_THRESHOLD, AT_MOST, 15, "bits 31:4 must be 0", TPR_SHADOW, NOT(VIRTUAL_DELIVERY)),
ONE(PIN, CLEAR, BIT(5), "virtual NMIs need NMI exiting", NOT(ON(PIN, 3))),
ONE(PRIMARY, CLEAR, BIT(22), "NMI-window exiting needs virtual NMIs", NOT(VIRTUAL_NMIS)),
ONE(SECONDARY, CLEAR, 0x310, "APIC virtualization (bits 4, 8, 9) needs the TPR shadow", NOT(TPR_SHADOW)),
ONE(SECONDARY, CLEAR, BIT(0), "virtualized x2APIC mode excludes virtualized APIC accesses", ON(SECONDARY, 4)),
ONE(PIN, SET, BIT(0), "virtual-interrupt delivery needs external-interrupt exiting", VIRTUAL_DELIVERY),
ONE(VPID, NONZERO, 0, "must not be 0", ON(SECONDARY, 5)),
ONE(EPT_POINTER, EPT_FORMAT, 0, "memory type and walk length must be in IA32_VMX_EPT_VPID_CAP", EPT),
ONE(EPT_POINTER, CLEAR, BIT(6), "this CPU has no accessed and dirty bits", EPT, NOT(ON(CAPS + CAP_EPT_VPID, 21))),
ONE(EPT_POINTER, CLEAR, BIT(7), "this CPU has no shadow-stack pages", EPT, NOT(ON(CAPS + CAP_EPT_VPID, 23))),
ONE(EPT_POINTER, PHYSICAL, 0xf00, "bits 11:8 and those from MAXPHYADDR on must be 0", EPT),
ONE(SECONDARY, CLEAR, 0x420080, "unrestricted guest, PML and execution by mode (bits 7, 17, 22) need EPT", NOT(EPT)),
ONE(TSC_MULTIPLIER, NONZERO, 0, "must not be 0", ON(SECONDARY, 25)),
TITLE("VM-Exit Control Fields"),
ONE(EXIT, CONTROLS, VMX_EXIT, "each bit must be as IA32_VMX_EXIT_CTLS allows, and known here"),
ONE(EXIT, CLEAR, BIT(22), "saving the preemption timer needs the timer", NOT(ON(PIN, 6))),
ONE(EXIT_STORE_COUNT, MSR_LIST, EXIT_STORE_LIST, "the list must be 16-byte aligned and end below MAXPHYADDR"),
ONE(EXIT_LOAD_COUNT, MSR_LIST, EXIT_LOAD_LIST, "the list must be 16-byte aligned and end below MAXPHYADDR"),
TITLE("VM-Entry Control Fields"),
ONE(ENTRY, CONTROLS, VMX_ENTRY, "each bit must be as IA32_VMX_ENTRY_CTLS allows, and known here"),
ONE(EVENT, NEVER, 0, "type 1 is reserved", INJECTS, IS(EVENT, 8, 7, 1)),
ONE(EVENT, NEVER, 0, "type 7 is reserved without the monitor trap flag", INJECTS, OF_OTHER, NOT(ON(CAPS + CAP_PROCBASED, 59))),
ONE(EVENT, NEVER, 0, "the vector of an NMI must be 2", INJECTS, OF_NMI, NOT(IS(EVENT, 0, 255, 2))),
ONE(EVENT, CLEAR, 0xe0, "the vector of a hardware exception must be at most 31", INJECTS, OF_EXCEPTION),
ONE(EVENT, CLEAR, 0xff, "the vector of an event of type 7 must be 0", INJECTS, OF_OTHER),
ONE(EVENT, CLEAR, BIT(11), "only a hardware exception delivers an error code", INJECTS, NOT(OF_EXCEPTION)),
ONE(EVENT, CLEAR, BIT(11), "no error code is delivered without CR0.PE", INJECTS, NOT(PE)),
ONE(EVENT, ERROR_BY_VECTOR, 0, "just vectors 8, 10-14 and 17 deliver an error code", INJECTS, OF_EXCEPTION, PE, NOT(ON(CAPS + CAP_BASIC, 56))),
ZERO(EVENT, 0x7ffff000, "bits 30:12", INJECTS),
ZERO(EVENT_ERROR, 0xffff0000, "bits 31:16", INJECTS, ON(EVENT, 11)),
ONE(EVENT_LENGTH, AT_MOST, 15, "must be at most 15", INJECTS, OF_SOFTWARE, NOT(OF_OTHER)),
ONE(EVENT_LENGTH, NONZERO, 0, "must not be 0 on this CPU", INJECTS, OF_SOFTWARE, NOT(OF_OTHER), NOT(ON(CAPS + CAP_MISC, 30))),
ONE(ENTRY_LOAD_COUNT, MSR_LIST, ENTRY_LOAD_LIST, "the list must be 16-byte aligned and end below MAXPHYADDR"),
ONE(ENTRY, CLEAR, 0xc00, "entry to SMM and the end of dual-monitor treatment are for SMM only"),
TITLE("Checks on Host Control Registers, MSRs, and SSP"),
ONE(HOST_CR0, CR0_FIXED, 0, "each bit must be as IA32_VMX_CR0_FIXED0 and FIXED1 say"),
ONE(HOST_CR4, CR4_FIXED, 0, "each bit must be as IA32_VMX_CR4_FIXED0 and FIXED1 say"),
ONE(HOST_CR0, SET, CR0_WP, "WP must be 1 with CR4.CET", ON(HOST_CR4, 23)),
ONE(HOST_CR3, PHYSICAL, 0, "bits from MAXPHYADDR on must be 0"),
CANON(HOST_SYSENTER_ESP, 0), CANON(HOST_SYSENTER_EIP, 0),
ONE(HOST_PAT, MEMORY_TYPES, 0, "each byte must be 0, 1, 4, 5, 6 or 7", ON(EXIT, 19)),
ZERO(HOST_EFER, ~UINT64_C(0xd01), "all bits but SCE, LME, LMA and NXE", HOST_LOADS_EFER),
ONE(HOST_EFER, SET, EFER_LME | EFER_LMA, "LME and LMA must be 1 in a 64-bit host", HOST_LOADS_EFER),
TITLE("Checks on Host Segment and Descriptor-Table Registers"),
EACH(HOST_SELECTOR, M_SEGMENTS, CLEAR, 7, "RPL and TI must be 0"), ZERO(HOST_TR, 7, "RPL and TI"),
ONE(HOST_CS, NONZERO, 0, "must not be 0"), ONE(HOST_TR, NONZERO, 0, "must not be 0"),
CANON(HOST_FS_BASE, 0), CANON(HOST_GS_BASE, 0), CANON(HOST_TR_BASE, 0),
CANON(HOST_GDTR_BASE, 0), CANON(HOST_IDTR_BASE, 0),
TITLE("Checks Related to Address-Space Size"),
ONE(EXIT, SET, BIT(9), "the host must be 64-bit, for the CPU is in IA-32e mode"),
ONE(HOST_CR4, SET, CR4_PAE, "PAE must be 1 in a 64-bit host"),
CANON(HOST_RIP, 0),
};
/* clang-format on */

/* "VMX Capability Reporting Facility": bits that have to be 1, bits that may be 1. */
static bool word_allowed(const struct vmx_caps *caps, enum vmx_word word, uint64_t value) {
    static const enum vmx_cap words[VMX_WORDS][2] = {
        [VMX_PIN] = {CAP_PINBASED, CAP_TRUE_PINBASED},
        [VMX_PRIMARY] = {CAP_PROCBASED, CAP_TRUE_PROCBASED},
        [VMX_SECONDARY] = {CAP_PROCBASED2, CAP_PROCBASED2},
        [VMX_EXIT] = {CAP_EXIT, CAP_TRUE_EXIT},
        [VMX_ENTRY] = {CAP_ENTRY, CAP_TRUE_ENTRY},
    };
    uint64_t plain = caps->raw[words[word][0]], exact = caps->raw[words[word][1]];
    uint64_t limits = exact != 0 ? exact : plain, must = (uint32_t)limits;
    if (word == VMX_TERTIARY)
        return (value & ~caps->raw[CAP_PROCBASED3]) == 0;
    return (value & must) == must && (value & ~(limits >> 32)) == 0;
}

static bool holds(const struct vmcs_view *v, const struct rule *r, uint64_t value) {
    uint64_t ept = v->caps->raw[CAP_EPT_VPID], walk = value >> 3 & 7, list;
    switch (r->test) {
    case NONZERO:
        return value != 0;
    case CONTROLS:
        return word_allowed(v->caps, (enum vmx_word)r->argument, value) &&
               (value & unknown[r->argument]) == 0;
    case MSR_LIST:
        list = vmcs_rules_get(v, (unsigned)r->argument);
        return value == 0 ||
               (vmcs_rules_physical(v, list, 0xf) && vmcs_rules_physical(v, list + value * 16 - 1, 0));
    case ERROR_BY_VECTOR:
        return (0x27d00 >> (value & 0x1f) & 1) == (value >> 11 & 1);
    case EPT_FORMAT:
        return (ept >> (8 + (value & 7)) & 1) != 0 && walk <= 4 && (ept >> (3 + walk) & 1) != 0;
    }
    return false;
}

bool vmcs_check_all(const struct vmx_caps *caps, vmcs_read_fn *read, void *context,
                    struct vmcs_violation *out) {
    struct vmcs_view v = {.caps = caps, .read = read, .context = context, .other = holds};
    return vmcs_rules_hold(&v, rules, ARRAY_SIZE(rules), out) && vmcs_check(caps, read, context, out);
}
