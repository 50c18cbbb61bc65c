/* SPDX-License-Identifier: Apache-2.0 */
/* VMX capabilities and controls as tables: what has to be there, and which control is 0 or 1 and
 * why. Reads the machine only through the functions given to vmx_caps_read; writes the log. */
#include "core/vmx_ctl.h"

#include "core/log.h"
#include "core/str.h"

#define MISSING      "this CPU cannot run Mullion: missing: "

#define VMX_BIT      BIT(5) /* CPUID.1:ECX */
#define ALLOWED_1(n) BIT(32 + (n))
#define TRUE_MSRS    BIT(55) /* IA32_VMX_BASIC */
#define MSR          4       /* in place of a register of CPUID */

#define FROM_CPUID(n, leaf, sub, r, ign)                                                                     \
    { .name = n, .index = leaf, .subleaf = sub, .reg = r, .ignore = ign }
#define FROM_MSR(n, msr, cap, bits)                                                                          \
    { .name = n, .index = msr, .reg = MSR, .needs = cap, .needs_any_of = bits }
#define FROM_VMX_MSR(n, msr) FROM_MSR(n, msr, CAP_CPUID_1_ECX, VMX_BIT)

static const struct source {
    const char *name;
    uint32_t index;
    uint8_t subleaf, reg;
    uint64_t ignore;       /* bits that software changes */
    enum vmx_cap needs;    /* an MSR is there only if that capability ... */
    uint64_t needs_any_of; /* ... has one of these bits */
} sources[CAP_COUNT] = {
    [CAP_VENDOR] = FROM_CPUID("CPUID vendor", 0, 0, CPUID_EBX, 0),
    [CAP_CPUID_1_ECX] = FROM_CPUID("CPUID.1:ECX", 1, 0, CPUID_ECX, BIT(27)), /* OSXSAVE */
    [CAP_CPUID_1_EDX] = FROM_CPUID("CPUID.1:EDX", 1, 0, CPUID_EDX, BIT(9)),  /* APIC enabled */
    [CAP_CPUID_7_EBX] = FROM_CPUID("CPUID.7:EBX", 7, 0, CPUID_EBX, 0),
    [CAP_CPUID_7_ECX] = FROM_CPUID("CPUID.7:ECX", 7, 0, CPUID_ECX, BIT(4)), /* OSPKE */
    [CAP_CPUID_D1_EAX] = FROM_CPUID("CPUID.(0DH,1):EAX", 0xd, 1, CPUID_EAX, 0),
    [CAP_CPUID_EXT1_EDX] = FROM_CPUID("CPUID.80000001H:EDX", 0x80000001, 0, CPUID_EDX, 0),
    [CAP_CPUID_EXT8_EAX] = FROM_CPUID("CPUID.80000008H:EAX", 0x80000008, 0, CPUID_EAX, 0),
    [CAP_FEATURE_CONTROL] = FROM_VMX_MSR("IA32_FEATURE_CONTROL", 0x3a),
    [CAP_BASIC] = FROM_VMX_MSR("IA32_VMX_BASIC", 0x480),
    [CAP_PINBASED] = FROM_VMX_MSR("IA32_VMX_PINBASED_CTLS", 0x481),
    [CAP_PROCBASED] = FROM_VMX_MSR("IA32_VMX_PROCBASED_CTLS", 0x482),
    [CAP_EXIT] = FROM_VMX_MSR("IA32_VMX_EXIT_CTLS", 0x483),
    [CAP_ENTRY] = FROM_VMX_MSR("IA32_VMX_ENTRY_CTLS", 0x484),
    [CAP_MISC] = FROM_VMX_MSR("IA32_VMX_MISC", 0x485),
    [CAP_CR0_FIXED0] = FROM_VMX_MSR("IA32_VMX_CR0_FIXED0", 0x486),
    [CAP_CR0_FIXED1] = FROM_VMX_MSR("IA32_VMX_CR0_FIXED1", 0x487),
    [CAP_CR4_FIXED0] = FROM_VMX_MSR("IA32_VMX_CR4_FIXED0", 0x488),
    [CAP_CR4_FIXED1] = FROM_VMX_MSR("IA32_VMX_CR4_FIXED1", 0x489),
    [CAP_PROCBASED2] = FROM_MSR("IA32_VMX_PROCBASED_CTLS2", 0x48b, CAP_PROCBASED, ALLOWED_1(31)),
    [CAP_EPT_VPID] = FROM_MSR("IA32_VMX_EPT_VPID_CAP", 0x48c, CAP_PROCBASED2, ALLOWED_1(1) | ALLOWED_1(5)),
    [CAP_TRUE_PINBASED] = FROM_MSR("IA32_VMX_TRUE_PINBASED_CTLS", 0x48d, CAP_BASIC, TRUE_MSRS),
    [CAP_TRUE_PROCBASED] = FROM_MSR("IA32_VMX_TRUE_PROCBASED_CTLS", 0x48e, CAP_BASIC, TRUE_MSRS),
    [CAP_TRUE_EXIT] = FROM_MSR("IA32_VMX_TRUE_EXIT_CTLS", 0x48f, CAP_BASIC, TRUE_MSRS),
    [CAP_TRUE_ENTRY] = FROM_MSR("IA32_VMX_TRUE_ENTRY_CTLS", 0x490, CAP_BASIC, TRUE_MSRS),
    [CAP_PROCBASED3] = FROM_MSR("IA32_VMX_PROCBASED_CTLS3", 0x492, CAP_PROCBASED, ALLOWED_1(17)),
};

static bool msr_there(const struct vmx_caps *caps, const struct source *s) {
    return (caps->raw[s->needs] & s->needs_any_of) != 0;
}

static uint64_t cpuid_read(const struct source *s, cpuid_fn *cpuid) {
    uint32_t regs[4];
    cpuid(s->index & 0x80000000, 0, regs); /* the highest leaf of this half */
    if (regs[CPUID_EAX] < s->index)
        return 0;
    cpuid(s->index, s->subleaf, regs);
    if (s == &sources[CAP_VENDOR])
        return memcmp(&regs[CPUID_EBX], "Genu", 4) == 0 && memcmp(&regs[CPUID_EDX], "ineI", 4) == 0 &&
               memcmp(&regs[CPUID_ECX], "ntel", 4) == 0;
    return regs[s->reg] & ~s->ignore;
}

void vmx_caps_read(struct vmx_caps *out, cpuid_fn *cpuid, rdmsr_fn *rdmsr) {
    for (unsigned i = 0; i < CAP_COUNT; i++) {
        const struct source *s = &sources[i];
        out->raw[i] = s->reg != MSR ? cpuid_read(s, cpuid) : msr_there(out, s) ? rdmsr(s->index) : 0;
    }
    if (msr_there(out, &sources[CAP_FEATURE_CONTROL]))
        out->raw[CAP_FEATURE_CONTROL] = vmx_feature_control(out->raw[CAP_FEATURE_CONTROL]) & 5;
}

#define NEEDS(cap, mask, name)                                                                               \
    { cap, mask, mask, name }

static const struct requirement {
    enum vmx_cap cap;
    uint64_t mask, value; /* (raw & mask) == value */
    const char *name;
} requirements[] = {
    NEEDS(CAP_VENDOR, BIT(0), "an Intel CPU (CPUID vendor GenuineIntel)"),
    NEEDS(CAP_CPUID_1_ECX, BIT(5), "VMX (CPUID.1:ECX bit 5)"),
    NEEDS(CAP_CPUID_1_ECX, BIT(21), "x2APIC (CPUID.1:ECX bit 21)"),
    NEEDS(CAP_CPUID_EXT1_EDX, BIT(20), "NX (CPUID.80000001H:EDX bit 20)"),
    {CAP_FEATURE_CONTROL, 5, 5,
     "VMX enabled (firmware set-up: enable \"Intel Virtualization Technology (VT-x)\", and not just for "
     "Trusted "
     "Execution)"},
    {CAP_BASIC, UINT64_C(0xf) << 50, UINT64_C(6) << 50, "write-back VMCS (IA32_VMX_BASIC bits 53:50)"},
    {CAP_BASIC, BIT(48), 0, "64-bit VMCS addresses (IA32_VMX_BASIC bit 48)"},
    NEEDS(CAP_BASIC, BIT(54), "INS and OUTS told in full (IA32_VMX_BASIC bit 54)"),
    {CAP_CR0_FIXED0, 0xe, 0, "CR0.MP, EM and TS as the guest likes (IA32_VMX_CR0_FIXED0 bits 1, 2, 3)"},
    NEEDS(CAP_MISC, BIT(5), "EFER.LMA saved on VM exits (IA32_VMX_MISC bit 5)"),
    NEEDS(CAP_EPT_VPID, BIT(6) | BIT(14) | BIT(16),
          "EPT 4-level walk, write-back and 2 MiB pages (IA32_VMX_EPT_VPID_CAP bits 6, 14, 16)"),
    NEEDS(CAP_EPT_VPID, BIT(20) | BIT(25) | BIT(26),
          "INVEPT, single- and all-context (IA32_VMX_EPT_VPID_CAP bits 20, 25, 26)"),
    NEEDS(CAP_EPT_VPID, BIT(32) | BIT(41) | BIT(42),
          "INVVPID, single- and all-context (IA32_VMX_EPT_VPID_CAP bits 32, 41, 42)"),
};

enum wish {
    MUST,  /* 1, or this CPU is refused */
    WANT,  /* 1 where it can be */
    LATER, /* 0 at start; has to be settable while running */
    CLEAR, /* 0; a CPU that forces 1 is refused */
};

/* Names as in the SDM; behind it, of a WANT, what follows if it is not there. A bit in no row keeps its
 * default: 0 unless the CPU forces 1. */
/* clang-format off */
static const struct control {
    uint8_t word; /* enum vmx_word */
    uint8_t wish;
    uint32_t bits;
    const char *name;
} controls[] = {
    {VMX_PIN, MUST, BIT(3), "NMI exiting"},  /* NMIs are how cores reach each other */
    {VMX_PIN, MUST, BIT(5), "virtual NMIs"}, /* the guest's own NMIs stay apart from ours */
    /* Interrupts go straight to the guest. The timer: code asks vmx_can_set before it uses it. */
    {VMX_PIN, CLEAR, BIT(0) | BIT(6) | BIT(7), "exits of interrupts and timers"},

    {VMX_PRIMARY, LATER, BIT(2) | BIT(22), "interrupt-window and NMI-window exiting"},
    {VMX_PRIMARY, MUST, BIT(3), "TSC offsetting"}, /* 0 until the guest moves its TSC */
    {VMX_PRIMARY, MUST, BIT(10) | BIT(29), "MWAIT and MONITOR exiting"}, /* deep C-states are the package's */
    {VMX_PRIMARY, MUST, BIT(11), "RDPMC exiting"},   /* no PMU: the counters are not the guest's */
    {VMX_PRIMARY, WANT, BIT(17), "activate tertiary controls; none of those"},
    {VMX_PRIMARY, MUST, BIT(25), "use I/O bitmaps"}, /* ports are denied by default */
    {VMX_PRIMARY, MUST, BIT(28), "use MSR bitmaps"}, /* so are MSRs; those of the timer pass */
    {VMX_PRIMARY, MUST, BIT(31), "activate secondary controls"}, /* EPT is one of them */
    {VMX_PRIMARY, CLEAR, BIT(12), "exits on RDTSC"}, /* the deadline timer is native */
    {VMX_PRIMARY, CLEAR, BIT(7) | BIT(30), "exits on HLT and PAUSE"}, /* nobody else could use the core */
    {VMX_PRIMARY, CLEAR, BIT(9) | BIT(15) | BIT(16), "exits on INVLPG and CR3"}, /* no shadow paging */
    {VMX_PRIMARY, CLEAR, BIT(19) | BIT(20) | BIT(21), "exits on CR8, TPR shadow"}, /* CR8 is the real TPR */
    {VMX_PRIMARY, CLEAR, BIT(23) | BIT(24) | BIT(27), "exits on DR, all I/O and each step"},

    {VMX_SECONDARY, MUST, BIT(1), "EPT"},                /* memory isolation */
    {VMX_SECONDARY, MUST, BIT(5), "VPID"},               /* exits keep the guest's TLB */
    {VMX_SECONDARY, MUST, BIT(7), "unrestricted guest"}, /* there is no real-mode emulator */
    {VMX_SECONDARY, WANT, BIT(3) | BIT(12), "RDTSCP, INVPCID; not in guests either"}, /* TSC_AUX is the guest's */
    {VMX_SECONDARY, WANT, BIT(6), "WBINVD exiting; a guest's flushes its neighbours' cache"},
    {VMX_SECONDARY, WANT, BIT(15) | BIT(28), "ENCLS, ENCLV exiting; fine without SGX"}, /* hidden: #UD */
    {VMX_SECONDARY, WANT, BIT(19), "conceal VMX from PT; fine, PT is hidden"}, /* with the exit and the entry control */
    {VMX_SECONDARY, WANT, BIT(20) | BIT(26), "XSAVES, user wait; not in guests either"}, /* IA32_XSS stays 0 */
    {VMX_SECONDARY, CLEAR, BIT(0) | BIT(4) | BIT(8) | BIT(9), "APIC virtualization"}, /* it is the real one */
    {VMX_SECONDARY, CLEAR, BIT(2) | BIT(10) | BIT(11) | BIT(16), "exits of native instructions"},
    {VMX_SECONDARY, CLEAR, BIT(13) | BIT(14) | BIT(21) | BIT(27), "VM functions, nesting, PASID, PCONFIG"},
    {VMX_SECONDARY, CLEAR, BIT(17) | BIT(18) | BIT(22) | BIT(23) | BIT(24), "EPT extensions"}, /* RWX pages */
    {VMX_SECONDARY, CLEAR, BIT(25), "TSC scaling"}, /* the deadline timer counts the real TSC */
    {VMX_SECONDARY, WANT, BIT(30) | BIT(31), "bus-lock detection, instruction timeout; a guest can slow others"},

    {VMX_TERTIARY, WANT, BIT(0), "LOADIWKEY exiting; fine without Key Locker"}, /* hidden: #UD */

    {VMX_EXIT, MUST, BIT(2), "save debug controls"},     /* DR7 and IA32_DEBUGCTL are the guest's */
    {VMX_EXIT, MUST, BIT(9), "host address-space size"}, /* we are 64-bit */
    {VMX_EXIT, MUST, BIT(18) | BIT(19), "save and load IA32_PAT"},   /* native in the guest, ours is fixed */
    {VMX_EXIT, MUST, BIT(20) | BIT(21), "save and load IA32_EFER"},  /* LMA changes without an exit */
    {VMX_EXIT, WANT, BIT(24), "conceal VMX from PT; fine, PT is hidden"},
    {VMX_EXIT, CLEAR, BIT(15) | BIT(22), "interrupt acknowledgement, saved timer"}, /* neither is used */
    {VMX_EXIT, CLEAR, BIT(12) | BIT(30), "IA32_PERF_GLOBAL_CTRL"}, /* no PMU; seen offered without the MSR */
    {VMX_EXIT, CLEAR, 0xbe800000, "state of hidden features"}, /* MPX, PT, LBR, UINTR, CET, PKS, secondary */

    {VMX_ENTRY, MUST, BIT(2), "load debug controls"},  /* DR7 and IA32_DEBUGCTL are the guest's */
    {VMX_ENTRY, LATER, BIT(9), "IA-32e mode guest"},   /* follows EFER.LMA */
    {VMX_ENTRY, MUST, BIT(14) | BIT(15), "load IA32_PAT and IA32_EFER"},
    {VMX_ENTRY, WANT, BIT(17), "conceal VMX from PT; fine, PT is hidden"},
    {VMX_ENTRY, CLEAR, BIT(10) | BIT(11), "SMM"},      /* no SMM guest, no SMM monitor */
    {VMX_ENTRY, CLEAR, BIT(13), "IA32_PERF_GLOBAL_CTRL"}, /* no PMU; seen offered without the MSR */
    {VMX_ENTRY, CLEAR, 0x00fd0000, "state of hidden features"}, /* MPX, PT, UINTR, CET, LBR, PKS, FRED */
};
/* clang-format on */

static const struct word {
    const char *name;
    enum vmx_cap cap, true_cap; /* true_cap: the same where there is no TRUE variant */
} words[VMX_WORDS] = {
    [VMX_PIN] = {"pin", CAP_PINBASED, CAP_TRUE_PINBASED},
    [VMX_PRIMARY] = {"primary", CAP_PROCBASED, CAP_TRUE_PROCBASED},
    [VMX_SECONDARY] = {"secondary", CAP_PROCBASED2, CAP_PROCBASED2},
    [VMX_TERTIARY] = {"tertiary", CAP_PROCBASED3, CAP_PROCBASED3},
    [VMX_EXIT] = {"exit", CAP_EXIT, CAP_TRUE_EXIT},
    [VMX_ENTRY] = {"entry", CAP_ENTRY, CAP_TRUE_ENTRY},
};

/* What a word may hold, "VMX Capability Reporting Facility": bits that have to be 1, bits that may
 * be 1, and the value of those that software does not know. */
struct limits {
    uint32_t must_be_1, may_be_1, default1;
};

static struct limits word_limits(const struct vmx_caps *caps, enum vmx_word word) {
    const struct word *w = &words[word];
    uint64_t plain = caps->raw[w->cap];
    uint64_t exact = msr_there(caps, &sources[w->true_cap]) ? caps->raw[w->true_cap] : plain;
    if (word == VMX_TERTIARY) /* 64 bits of "may be 1"; we use the low half */
        return (struct limits){.may_be_1 = (uint32_t)plain};
    return (struct limits){(uint32_t)exact, (uint32_t)(exact >> 32), (uint32_t)plain};
}

bool vmx_can_set(const struct vmx_caps *caps, enum vmx_word word, uint32_t bits) {
    return (word_limits(caps, word).may_be_1 & bits) == bits;
}

static bool requirements_met(const struct vmx_caps *caps) {
    bool met = true;
    for (size_t i = 0; i < ARRAY_SIZE(requirements); i++) {
        const struct requirement *r = &requirements[i];
        const struct source *s = &sources[r->cap];
        /* An absent MSR is explained by what it depends on. */
        if ((caps->raw[r->cap] & r->mask) == r->value || (s->reg == MSR && !msr_there(caps, s)))
            continue;
        log_line(MISSING "%s", r->name);
        met = false;
    }
    return met;
}

/* Log those of the row's controls that cannot be as it wishes. */
static bool control_met(const struct control *c, const struct limits *l) {
    uint32_t off = c->wish == MUST || c->wish == LATER ? c->bits & ~l->may_be_1 : 0;
    uint32_t on = c->wish == LATER || c->wish == CLEAR ? c->bits & l->must_be_1 : 0;
    for (unsigned bit = 0; bit < 32; bit++)
        if (((off | on) >> bit & 1) != 0)
            log_line(MISSING "%s%s (%s control %u)", (on >> bit & 1) != 0 ? "a way to clear " : "", c->name,
                     words[c->word].name, bit);
    return (off | on) == 0;
}

static bool word_resolve(const struct vmx_caps *caps, enum vmx_word word, uint32_t *out) {
    struct limits limits = word_limits(caps, word);
    uint32_t known = 0, ones = 0;
    bool met = true;
    for (size_t i = 0; i < ARRAY_SIZE(controls); i++) {
        const struct control *c = &controls[i];
        if (c->word != word)
            continue;
        known |= c->bits;
        ones |= c->wish == MUST || c->wish == WANT ? c->bits : 0;
        met &= control_met(c, &limits);
    }
    *out = (ones & limits.may_be_1) | (limits.default1 & ~known) | limits.must_be_1;
    return met;
}

enum err vmx_ctl_resolve(const struct vmx_caps *caps, struct vmx_controls *out) {
    bool met = requirements_met(caps);
    uint32_t *w = out->word;
    *out = (struct vmx_controls){0};
    for (unsigned word = 0; word < VMX_WORDS; word++) /* an absent one is explained in the same way */
        if (msr_there(caps, &sources[words[word].cap]))
            met &= word_resolve(caps, (enum vmx_word)word, &w[word]);
    if (!met) {
        *out = (struct vmx_controls){0};
        return ERR_UNSUPPORTED;
    }
    log_line(
        "VMX controls: pin %08x, primary %08x, secondary %08x, tertiary %08x, exit %08x, entry %08x; EPT and "
        "VPID %lx",
        w[VMX_PIN], w[VMX_PRIMARY], w[VMX_SECONDARY], w[VMX_TERTIARY], w[VMX_EXIT], w[VMX_ENTRY],
        caps->raw[CAP_EPT_VPID]);
    return ERR_OK;
}

bool vmx_caps_equal(const struct vmx_caps *boot, const struct vmx_caps *mine, unsigned cpu) {
    bool equal = true;
    for (unsigned i = 0; i < CAP_COUNT; i++) {
        if (boot->raw[i] != mine->raw[i]) {
            log_line("CPU %u is not like the boot CPU: %s is 0x%lx, there 0x%lx", cpu, sources[i].name,
                     mine->raw[i], boot->raw[i]);
            equal = false;
        }
    }
    return equal;
}
