/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of VM entry as one table, for a CPU that is in IA-32e mode and not in SMM. In the order of
 * the SDM, but for RFLAGS, whose VM flag decides what segment registers have to be. Only judges. */
#include "core/vmcs_check.h"

#include "core/cr_policy.h"

/* clang-format off */
/* "Field Encoding in VMCS". From CAPS on, the number stands for a capability instead. */
enum {
    VPID = 0x0000, GUEST_SELECTOR = 0x0800, HOST_SELECTOR = 0x0c00, HOST_CS = 0x0c02, HOST_TR = 0x0c0c,
    IO_BITMAP_A = 0x2000, IO_BITMAP_B = 0x2002, MSR_BITMAP = 0x2004, EXIT_STORE_LIST = 0x2006,
    EXIT_LOAD_LIST = 0x2008, ENTRY_LOAD_LIST = 0x200a, PML_ADDRESS = 0x200e, VIRTUAL_APIC = 0x2012,
    APIC_ACCESS = 0x2014, EPT_POINTER = 0x201a, TSC_MULTIPLIER = 0x2032, TERTIARY = 0x2034,
    LINK_POINTER = 0x2800, GUEST_DEBUGCTL = 0x2802, GUEST_PAT = 0x2804, GUEST_EFER = 0x2806, PDPTE0 = 0x280a,
    PDPTE1 = 0x280c, PDPTE2 = 0x280e, PDPTE3 = 0x2810, HOST_PAT = 0x2c00, HOST_EFER = 0x2c02, PIN = 0x4000,
    PRIMARY = 0x4002, CR3_TARGET_COUNT = 0x400a, EXIT = 0x400c, EXIT_STORE_COUNT = 0x400e,
    EXIT_LOAD_COUNT = 0x4010, ENTRY = 0x4012, ENTRY_LOAD_COUNT = 0x4014, EVENT = 0x4016, EVENT_ERROR = 0x4018,
    EVENT_LENGTH = 0x401a, TPR_THRESHOLD = 0x401c, SECONDARY = 0x401e, GUEST_LIMIT = 0x4800,
    GDTR_LIMIT = 0x4810, IDTR_LIMIT = 0x4812, GUEST_RIGHTS = 0x4814, CS_RIGHTS = 0x4816, SS_RIGHTS = 0x4818,
    INTERRUPTIBILITY = 0x4824, ACTIVITY = 0x4826, GUEST_CR0 = 0x6800, GUEST_CR3 = 0x6802, GUEST_CR4 = 0x6804,
    GUEST_BASE = 0x6806, GDTR_BASE = 0x6816, IDTR_BASE = 0x6818, GUEST_DR7 = 0x681a, GUEST_RIP = 0x681e,
    GUEST_RFLAGS = 0x6820, PENDING_DEBUG = 0x6822, GUEST_SYSENTER_ESP = 0x6824, GUEST_SYSENTER_EIP = 0x6826,
    HOST_CR0 = 0x6c00, HOST_CR3 = 0x6c02, HOST_CR4 = 0x6c04, HOST_FS_BASE = 0x6c06, HOST_GS_BASE = 0x6c08,
    HOST_TR_BASE = 0x6c0a, HOST_GDTR_BASE = 0x6c0c, HOST_IDTR_BASE = 0x6c0e, HOST_SYSENTER_ESP = 0x6c10,
    HOST_SYSENTER_EIP = 0x6c12, HOST_RIP = 0x6c16, CAPS = 0x7000,
};

/* A condition in one number: the bits of a field, from one on and under a mask, have a value. */
#define IS(field, bit, mask, value) (UINT64_C(1) * (field) << 40 | (bit) << 24 | (mask) << 12 | (value))
#define ON(field, bit)              IS(field, bit, 1, 1)
#define NOT(condition)              ((condition) ^ BIT(63))
enum {
    VIRTUAL_NMIS = ON(PIN, 5), TPR_SHADOW = ON(PRIMARY, 21), IO_BITMAPS = ON(PRIMARY, 25),
    EPT = ON(SECONDARY, 1), UNRESTRICTED = ON(SECONDARY, 7), VIRTUAL_DELIVERY = ON(SECONDARY, 9),
    HOST_LOADS_EFER = ON(EXIT, 21), LOADS_DEBUG = ON(ENTRY, 2), IA32E = ON(ENTRY, 9),
    LOADS_EFER = ON(ENTRY, 15), INJECTS = ON(EVENT, 31), OF_EXTINT = IS(EVENT, 8, 7, 0),
    OF_NMI = IS(EVENT, 8, 7, 2), OF_EXCEPTION = IS(EVENT, 8, 7, 3), OF_SOFTWARE = ON(EVENT, 10),
    OF_OTHER = IS(EVENT, 8, 7, 7), OF_DB = IS(EVENT, 0, 0x7ff, 0x301), OF_MC = IS(EVENT, 0, 0x7ff, 0x312),
    PE = ON(GUEST_CR0, 0), PG = ON(GUEST_CR0, 31), PAE = ON(GUEST_CR4, 5), V86 = ON(GUEST_RFLAGS, 17),
    USABLE = IS(GUEST_RIGHTS, 16, 1, 0), CONFORMING = IS(GUEST_RIGHTS, 2, 3, 3),
    CS_IS_DATA = IS(CS_RIGHTS, 0, 15, 3), CS_IS_64 = ON(CS_RIGHTS, 13), HALTED = IS(ACTIVITY, 0, 15, 1),
    AFTER_STI = ON(INTERRUPTIBILITY, 0), AFTER_MOV_SS = ON(INTERRUPTIBILITY, 1),
    UNBLOCKED = IS(INTERRUPTIBILITY, 0, 3, 0), CAN_RTM = ON(CAPS + CAP_CPUID_7_EBX, 11),
    CAN_LOCK_DEBUG = ON(CAPS + CAP_CPUID_7_ECX, 24),
};

/* What a rule asks of its field. The argument: bits, a value, a set of types of a segment, the enum
 * vmx_word, bits not looked at, bits below the alignment, the list's address; of an address, bits it may
 * have more, as RIP has behind the last instruction below the hole; of DPL, whether it may be on the safe
 * side. NEVER: the conditions say it all. */
enum test {
    NEVER, NONZERO, CLEAR, SET, EQUAL, AT_MOST, TYPE_IN, CONTROLS, CR0_FIXED, CR4_FIXED, PHYSICAL, CANONICAL,
    MSR_LIST, MEMORY_TYPES, EPT_FORMAT, ERROR_BY_VECTOR, OFFERED, SINGLE_STEP, LINK, PDPTE, RPL_OF_CS,
    BASE_OF_SELECTOR, GRANULARITY, DPL_OF_SS, DPL_OF_RPL,
};
enum { M_ES = 1, M_CS = 2, M_SS = 4, M_DS = 8, M_FS = 16, M_GS = 32, M_LDTR = 64, M_TR = 128,
       M_DATA = M_ES | M_DS | M_FS | M_GS, M_SEGMENTS = M_DATA | M_CS | M_SS, M_ALL = 255 };
static const char segment_names[][6] = {" ES", " CS", " SS", " DS", " FS", " GS", " LDTR", " TR"};

/* Bits of the control words whose rules are not here, for vmx_ctl never sets them: posted interrupts,
 * VM functions, shadowing, #VE, PASID, SPP, PT, HLAT, and state of PMU, MPX, PT, CET, LBR, PKS, UINTR. */
static const uint64_t unknown[VMX_WORDS] = {[VMX_PIN] = BIT(7), [VMX_SECONDARY] = 0x1a46000,
    [VMX_TERTIARY] = ~UINT64_C(1), [VMX_EXIT] = 0xb0001000, [VMX_ENTRY] = 0xfd2000};

static const struct rule {
    const char *name;     /* of the field; NULL: `words` is the title of a section */
    uint16_t field;
    uint8_t segments;     /* if not 0, the field is that of ES, and the rule is for these, two apart */
    uint8_t test;
    uint64_t argument;
    const char *words;
    uint64_t conditions[5]; /* the rule is for when all of them hold */
} rules[] = {
#define TITLE(words) {NULL, 0, 0, 0, 0, words, {0}}
#define EACH(field, segments, test, argument, words, ...) {#field, field, segments, test, argument, words, {__VA_ARGS__}}
#define ONE(field, ...)             EACH(field, 0, __VA_ARGS__)
#define ZERO(field, bits, words, ...) ONE(field, CLEAR, bits, words " must be 0", __VA_ARGS__)
#define PAGE(field, ...)            ONE(field, PHYSICAL, 0xfff, "must be a page below MAXPHYADDR", __VA_ARGS__)
#define CANON(field, segments, ...) EACH(field, segments, CANONICAL, 0, "must be canonical", __VA_ARGS__)
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

struct view {
    const struct vmx_caps *caps;
    vmcs_read_fn *read;
    void *context;
    unsigned segment; /* that the rule is looked at for */
};

static uint64_t get(const struct view *v, unsigned field) {
    if (field >= CAPS)
        return v->caps->raw[field - CAPS];
    if (field == SECONDARY && (v->read(v->context, PRIMARY) & BIT(31)) == 0)
        return 0; /* what the CPU takes it for */
    return v->read(v->context, field);
}

static bool is(const struct view *v, uint64_t condition) {
    unsigned field = condition >> 40 & 0x7fff, shift = condition >> 24 & 63, mask = condition >> 12 & 0xfff;
    if (condition == USABLE && (1u << v->segment) == M_CS)
        return true; /* CS counts as usable whatever its bit says */
    field += field == GUEST_RIGHTS ? 2 * v->segment : 0;
    return ((get(v, field) >> shift & mask) == (condition & 0xfff)) != (condition >> 63);
}

static bool physical(const struct view *v, uint64_t value, uint64_t low_bits) {
    return (value & low_bits) == 0 && value >> vmx_phys_bits(v->caps) == 0;
}

static bool holds(const struct view *v, const struct rule *r, uint64_t value) {
    const uint64_t argument = r->argument, *caps = v->caps->raw, ept = caps[CAP_EPT_VPID];
    bool segment = r->segments != 0; /* only those look at these three; reading takes time */
    uint64_t selector = segment ? get(v, GUEST_SELECTOR + 2 * v->segment) : 0, rpl = selector & 3;
    uint64_t dpl = value >> 5 & 3, cpl = segment ? get(v, SS_RIGHTS) >> 5 & 3 : 0;
    uint64_t limit = segment ? get(v, GUEST_LIMIT + 2 * v->segment) : 0, walk = value >> 3 & 7;
    unsigned unused = 64 - (caps[CAP_CPUID_EXT8_EAX] >> 8 & 0x3f);
    /* clang-format off */
    switch ((enum test)r->test) {
    case NEVER:        return false;
    case CLEAR:        return (value & argument) == 0;
    case SET:          return (value & argument) == argument;
    case EQUAL:        return value == argument;
    case AT_MOST:      return value <= argument;
    case NONZERO:      return value != 0;
    case TYPE_IN:      return (argument >> (value & 0xf) & 1) != 0;
    case CONTROLS:     return vmx_word_allowed(v->caps, (enum vmx_word)argument, value) && (value & unknown[argument]) == 0;
    case CR0_FIXED:    return (((caps[CAP_CR0_FIXED0] & ~value) | (value & ~caps[CAP_CR0_FIXED1])) & ~argument) == 0;
    case CR4_FIXED:    return ((caps[CAP_CR4_FIXED0] & ~value) | (value & ~caps[CAP_CR4_FIXED1])) == 0;
    case PHYSICAL:     return physical(v, value, argument);
    case CANONICAL:    return (uint64_t)((int64_t)(value << (unused - argument)) >> (unused - argument)) == value;
    case MSR_LIST:     return value == 0 || (physical(v, get(v, (unsigned)argument), 0xf) &&
                                             physical(v, get(v, (unsigned)argument) + value * 16 - 1, 0));
    case MEMORY_TYPES: return (value & 0xf8f8f8f8f8f8f8f8) == 0 && /* not 2 or 3: bit 1 without bit 2 */
                              (value & ~(value >> 1) & 0x0202020202020202) == 0;
    case EPT_FORMAT:   return (ept >> (8 + (value & 7)) & 1) != 0 && walk <= 4 && (ept >> (3 + walk) & 1) != 0;
    case ERROR_BY_VECTOR: return (0x27d00 >> (value & 0x1f) & 1) == (value >> 11 & 1);
    case OFFERED:      return value == 0 || (value <= 3 && (caps[CAP_MISC] >> (5 + value) & 1) != 0);
    case SINGLE_STEP:  return (is(v, UNBLOCKED) && !is(v, HALTED)) ||
                              (value >> 14 & 1) == (is(v, ON(GUEST_RFLAGS, 8)) && !is(v, ON(GUEST_DEBUGCTL, 1)));
    case LINK:         return value == UINT64_MAX || physical(v, value, argument);
    case PDPTE:        return (value & 1) == 0 || physical(v, value, argument);
    case RPL_OF_CS:    return rpl == (get(v, GUEST_SELECTOR + 2) & 3);
    case BASE_OF_SELECTOR: return value == selector << 4;
    case GRANULARITY:  return (value & BIT(15)) != 0 ? (limit & 0xfff) == 0xfff : limit >> 20 == 0;
    case DPL_OF_SS:    return dpl == cpl || (argument != 0 && dpl < cpl);
    case DPL_OF_RPL:   return dpl == rpl || (argument != 0 && dpl > rpl);
    }
    /* clang-format on */
    return false;
}

static bool applies(const struct view *v, const struct rule *r) {
    bool yes = r->segments == 0 || (r->segments >> v->segment & 1) != 0;
    for (unsigned i = 0; i < ARRAY_SIZE(r->conditions) && r->conditions[i] != 0; i++)
        yes = yes && is(v, r->conditions[i]);
    return yes;
}

bool vmcs_check(const struct vmx_caps *caps, vmcs_read_fn *read, void *context, struct vmcs_violation *out) {
    struct view v = {.caps = caps, .read = read, .context = context};
    for (const struct rule *r = rules; r < rules + ARRAY_SIZE(rules); r++) {
        if (r->name == NULL)
            out->section = r->words;
        unsigned segments = r->name == NULL ? 0 : r->segments == 0 ? 1 : ARRAY_SIZE(segment_names);
        for (v.segment = 0; v.segment < segments; v.segment++) {
            out->field = r->name;
            out->segment = r->segments == 0 ? "" : segment_names[v.segment];
            out->rule = r->words;
            out->encoding = r->field + 2 * v.segment;
            if (applies(&v, r) && !holds(&v, r, out->value = get(&v, out->encoding)))
                return false;
        }
    }
    return true;
}
