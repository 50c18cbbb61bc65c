/* SPDX-License-Identifier: Apache-2.0 */
/* VMX capabilities and controls as two tables: what has to be there, and which control is 0 or 1
 * and why. Reads the machine only through the functions given to vmx_caps_read; writes the log. */
#include "core/vmx_ctl.h"

#include "core/log.h"
#include "core/str.h"

/* ---- Where each capability is read from ------------------------------------------------------ */

struct source {
    const char *name;
    enum { CPUID_LEAF, MSR } kind;
    uint32_t index, subleaf;
    enum cpuid_reg reg;
    uint64_t ignore;       /* bits that software changes */
    enum vmx_cap needs;    /* read only if that capability ... */
    uint64_t needs_any_of; /* ... has one of these bits */
};

#define VMX_BIT      BIT(5) /* CPUID.1:ECX */
#define ALLOWED_1(n) BIT(32 + (n))
#define FROM_CPUID(n, leaf, sub, r, ign)                                                                     \
    { .name = n, .kind = CPUID_LEAF, .index = leaf, .subleaf = sub, .reg = r, .ignore = ign }
#define FROM_MSR(n, msr, cap, bits)                                                                          \
    { .name = n, .kind = MSR, .index = msr, .needs = cap, .needs_any_of = bits }
#define FROM_VMX_MSR(n, msr) FROM_MSR(n, msr, CAP_CPUID_1_ECX, VMX_BIT)

static const struct source sources[CAP_COUNT] = {
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
    [CAP_TRUE_PINBASED] = FROM_MSR("IA32_VMX_TRUE_PINBASED_CTLS", 0x48d, CAP_BASIC, BIT(55)),
    [CAP_TRUE_PROCBASED] = FROM_MSR("IA32_VMX_TRUE_PROCBASED_CTLS", 0x48e, CAP_BASIC, BIT(55)),
    [CAP_TRUE_EXIT] = FROM_MSR("IA32_VMX_TRUE_EXIT_CTLS", 0x48f, CAP_BASIC, BIT(55)),
    [CAP_TRUE_ENTRY] = FROM_MSR("IA32_VMX_TRUE_ENTRY_CTLS", 0x490, CAP_BASIC, BIT(55)),
    [CAP_VMFUNC] = FROM_MSR("IA32_VMX_VMFUNC", 0x491, CAP_PROCBASED2, ALLOWED_1(13)),
    [CAP_PROCBASED3] = FROM_MSR("IA32_VMX_PROCBASED_CTLS3", 0x492, CAP_PROCBASED, ALLOWED_1(17)),
};

_Static_assert(CAP_COUNT <= 32, "vmx_caps.have is one 32-bit mask");

static bool cap_have(const struct vmx_caps *caps, enum vmx_cap cap) {
    return (caps->have & BIT(cap)) != 0;
}

static bool source_read(const struct vmx_caps *caps, const struct source *s, cpuid_fn *cpuid, rdmsr_fn *rdmsr,
                        uint64_t *value) {
    uint32_t regs[4];

    if (s->kind == MSR) {
        if ((caps->raw[s->needs] & s->needs_any_of) == 0)
            return false;
        *value = rdmsr(s->index);
        return true;
    }
    cpuid(s->index & 0x80000000, 0, regs); /* the highest leaf of this half */
    if (regs[CPUID_EAX] < s->index)
        return false;
    cpuid(s->index, s->subleaf, regs);
    *value = regs[s->reg] & ~s->ignore;
    if (s == &sources[CAP_VENDOR]) {
        *value = memcmp(&regs[CPUID_EBX], "Genu", 4) == 0 && memcmp(&regs[CPUID_EDX], "ineI", 4) == 0 &&
                 memcmp(&regs[CPUID_ECX], "ntel", 4) == 0;
    }
    return true;
}

/* In the order of enum vmx_cap, which lists what a capability depends on before it. */
void vmx_caps_read(struct vmx_caps *out, cpuid_fn *cpuid, rdmsr_fn *rdmsr) {
    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < CAP_COUNT; i++)
        if (source_read(out, &sources[i], cpuid, rdmsr, &out->raw[i]))
            out->have |= (uint32_t)BIT(i);
}

/* ---- What has to be there besides controls --------------------------------------------------- */

struct requirement {
    enum vmx_cap cap;
    uint64_t mask, value; /* (raw & mask) == value */
    const char *name;
};

#define NEEDS_BIT(cap, bit, name)                                                                            \
    { cap, BIT(bit), BIT(bit), name }

static const struct requirement requirements[] = {
    NEEDS_BIT(CAP_VENDOR, 0, "an Intel CPU (CPUID vendor GenuineIntel)"),
    NEEDS_BIT(CAP_CPUID_1_ECX, 5, "VMX (CPUID.1:ECX bit 5)"),
    NEEDS_BIT(CAP_CPUID_1_ECX, 21, "x2APIC (CPUID.1:ECX bit 21)"),
    NEEDS_BIT(CAP_CPUID_EXT1_EDX, 20, "NX (CPUID.80000001H:EDX bit 20)"),
    {CAP_BASIC, UINT64_C(0xf) << 50, UINT64_C(6) << 50, "write-back VMCS (IA32_VMX_BASIC bits 53:50)"},
    {CAP_BASIC, BIT(48), 0, "64-bit VMCS addresses (IA32_VMX_BASIC bit 48)"},
    NEEDS_BIT(CAP_MISC, 5, "EFER.LMA saved on VM exits (IA32_VMX_MISC bit 5)"),
    NEEDS_BIT(CAP_EPT_VPID, 6, "EPT 4-level walk (IA32_VMX_EPT_VPID_CAP bit 6)"),
    NEEDS_BIT(CAP_EPT_VPID, 14, "EPT write-back (IA32_VMX_EPT_VPID_CAP bit 14)"),
    NEEDS_BIT(CAP_EPT_VPID, 16, "EPT 2 MiB pages (IA32_VMX_EPT_VPID_CAP bit 16)"),
    NEEDS_BIT(CAP_EPT_VPID, 20, "INVEPT (IA32_VMX_EPT_VPID_CAP bit 20)"),
    NEEDS_BIT(CAP_EPT_VPID, 25, "INVEPT single-context (IA32_VMX_EPT_VPID_CAP bit 25)"),
    NEEDS_BIT(CAP_EPT_VPID, 26, "INVEPT all-context (IA32_VMX_EPT_VPID_CAP bit 26)"),
    NEEDS_BIT(CAP_EPT_VPID, 32, "INVVPID (IA32_VMX_EPT_VPID_CAP bit 32)"),
    NEEDS_BIT(CAP_EPT_VPID, 41, "INVVPID single-context (IA32_VMX_EPT_VPID_CAP bit 41)"),
    NEEDS_BIT(CAP_EPT_VPID, 42, "INVVPID all-context (IA32_VMX_EPT_VPID_CAP bit 42)"),
};

/* ---- The controls ---------------------------------------------------------------------------- */

enum wish {
    MUST,  /* 1, or this CPU is refused */
    WANT,  /* 1 where it can be */
    LATER, /* 0 at start; has to be settable while running */
    COULD, /* 0 at start; code asks vmx_can_set before it uses it */
    NEVER, /* 0; a CPU that forces 1 is refused */
};

struct control {
    uint8_t word; /* enum vmx_word */
    uint8_t bit;
    uint8_t wish;
    const char *name; /* as in the SDM */
    const char *reason;
};

static const struct control controls[] = {
    {VMX_PIN, 0, NEVER, "external-interrupt exiting", "interrupts go straight to the guest"},
    {VMX_PIN, 3, MUST, "NMI exiting", "NMIs are how cores reach each other"},
    {VMX_PIN, 5, MUST, "virtual NMIs", "the guest's own NMIs stay apart from ours"},
    {VMX_PIN, 6, COULD, "activate VMX-preemption timer", "slow console input, only if asked for"},
    {VMX_PIN, 7, NEVER, "process posted interrupts", "needs external-interrupt exiting"},

    {VMX_PRIMARY, 2, LATER, "interrupt-window exiting", "only while an event waits for it"},
    {VMX_PRIMARY, 3, NEVER, "use TSC offsetting", "the deadline timer counts the real TSC"},
    {VMX_PRIMARY, 7, NEVER, "HLT exiting", "nobody else could use the core"},
    {VMX_PRIMARY, 9, NEVER, "INVLPG exiting", "EPT, not shadow paging"},
    {VMX_PRIMARY, 10, MUST, "MWAIT exiting", "#UD: deep C-states reach the whole package"},
    {VMX_PRIMARY, 11, MUST, "RDPMC exiting", "no PMU: the counters are not the guest's"},
    {VMX_PRIMARY, 12, NEVER, "RDTSC exiting", "the TSC is native"},
    {VMX_PRIMARY, 15, NEVER, "CR3-load exiting", "EPT, not shadow paging"},
    {VMX_PRIMARY, 16, NEVER, "CR3-store exiting", "EPT, not shadow paging"},
    {VMX_PRIMARY, 17, WANT, "activate tertiary controls", "for LOADIWKEY exiting"},
    {VMX_PRIMARY, 19, NEVER, "CR8-load exiting", "CR8 is the real TPR"},
    {VMX_PRIMARY, 20, NEVER, "CR8-store exiting", "CR8 is the real TPR"},
    {VMX_PRIMARY, 21, NEVER, "use TPR shadow", "CR8 is the real TPR"},
    {VMX_PRIMARY, 22, LATER, "NMI-window exiting", "only while a virtual NMI waits for it"},
    {VMX_PRIMARY, 23, NEVER, "MOV-DR exiting", "debug registers are the guest's"},
    {VMX_PRIMARY, 24, NEVER, "unconditional I/O exiting", "the I/O bitmaps decide"},
    {VMX_PRIMARY, 25, MUST, "use I/O bitmaps", "ports are denied by default"},
    {VMX_PRIMARY, 27, NEVER, "monitor trap flag", "we do not step guests"},
    {VMX_PRIMARY, 28, MUST, "use MSR bitmaps", "MSRs are denied by default, timer MSRs pass"},
    {VMX_PRIMARY, 29, MUST, "MONITOR exiting", "#UD, as MWAIT"},
    {VMX_PRIMARY, 30, NEVER, "PAUSE exiting", "nobody else could use the core"},
    {VMX_PRIMARY, 31, MUST, "activate secondary controls", "EPT is one of them"},

    {VMX_SECONDARY, 0, NEVER, "virtualize APIC accesses", "the APIC page is an EPT hole"},
    {VMX_SECONDARY, 1, MUST, "EPT", "memory isolation"},
    {VMX_SECONDARY, 2, NEVER, "descriptor-table exiting", "native"},
    {VMX_SECONDARY, 3, WANT, "enable RDTSCP", "native; TSC_AUX is the guest's"},
    {VMX_SECONDARY, 4, NEVER, "virtualize x2APIC mode", "x2APIC MSRs pass to the real one"},
    {VMX_SECONDARY, 5, MUST, "VPID", "exits keep the guest's TLB"},
    {VMX_SECONDARY, 6, WANT, "WBINVD exiting", "it would flush the neighbours' cache"},
    {VMX_SECONDARY, 7, MUST, "unrestricted guest", "there is no real-mode emulator"},
    {VMX_SECONDARY, 8, NEVER, "APIC-register virtualization", "the APIC is the real one"},
    {VMX_SECONDARY, 9, NEVER, "virtual-interrupt delivery", "the APIC is the real one"},
    {VMX_SECONDARY, 10, NEVER, "PAUSE-loop exiting", "nobody else could use the core"},
    {VMX_SECONDARY, 11, NEVER, "RDRAND exiting", "native"},
    {VMX_SECONDARY, 12, WANT, "enable INVPCID", "native"},
    {VMX_SECONDARY, 13, NEVER, "enable VM functions", "VMFUNC is #UD"},
    {VMX_SECONDARY, 14, NEVER, "VMCS shadowing", "no nesting"},
    {VMX_SECONDARY, 15, WANT, "enable ENCLS exiting", "SGX is hidden: #UD"},
    {VMX_SECONDARY, 16, NEVER, "RDSEED exiting", "native"},
    {VMX_SECONDARY, 17, NEVER, "enable PML", "no dirty log"},
    {VMX_SECONDARY, 18, NEVER, "EPT-violation #VE", "violations are ours"},
    {VMX_SECONDARY, 19, WANT, "conceal VMX from PT", "with the exit and entry control"},
    {VMX_SECONDARY, 20, WANT, "enable XSAVES/XRSTORS", "native; IA32_XSS stays 0"},
    {VMX_SECONDARY, 21, NEVER, "PASID translation", "ENQCMD is hidden"},
    {VMX_SECONDARY, 22, NEVER, "mode-based execute control for EPT", "one execute bit"},
    {VMX_SECONDARY, 23, NEVER, "sub-page write permissions for EPT", "whole pages"},
    {VMX_SECONDARY, 24, NEVER, "Intel PT uses guest physical addresses", "PT is hidden"},
    {VMX_SECONDARY, 25, NEVER, "use TSC scaling", "the deadline timer counts the real TSC"},
    {VMX_SECONDARY, 26, WANT, "enable user wait and pause", "native TPAUSE and UMWAIT"},
    {VMX_SECONDARY, 27, NEVER, "enable PCONFIG", "hidden: #UD"},
    {VMX_SECONDARY, 28, WANT, "enable ENCLV exiting", "SGX is hidden: #UD"},
    {VMX_SECONDARY, 30, NEVER, "VMM bus-lock detection", "an exit alone limits nothing"},
    {VMX_SECONDARY, 31, NEVER, "instruction timeout", "no notify window is set"},

    {VMX_TERTIARY, 0, WANT, "LOADIWKEY exiting", "Key Locker is hidden: #UD"},
    {VMX_TERTIARY, 1, NEVER, "enable HLAT", "EPT alone translates"},
    {VMX_TERTIARY, 2, NEVER, "EPT paging-write control", "EPT alone translates"},
    {VMX_TERTIARY, 3, NEVER, "guest-paging verification", "EPT alone translates"},
    {VMX_TERTIARY, 4, NEVER, "IPI virtualization", "needs the virtual APIC"},
    {VMX_TERTIARY, 6, NEVER, "enable MSR-list instructions", "RDMSRLIST is #UD"},
    {VMX_TERTIARY, 7, NEVER, "virtualize IA32_SPEC_CTRL", "the MSR is the guest's"},

    {VMX_EXIT, 2, MUST, "save debug controls", "DR7 and IA32_DEBUGCTL are the guest's"},
    {VMX_EXIT, 9, MUST, "host address-space size", "we are 64-bit"},
    {VMX_EXIT, 12, NEVER, "load IA32_PERF_GLOBAL_CTRL", "no PMU; seen offered without the MSR"},
    {VMX_EXIT, 15, NEVER, "acknowledge interrupt on exit", "no interrupt exits"},
    {VMX_EXIT, 18, MUST, "save IA32_PAT", "the guest writes it natively"},
    {VMX_EXIT, 19, MUST, "load IA32_PAT", "ours is fixed"},
    {VMX_EXIT, 20, MUST, "save IA32_EFER", "LMA changes without an exit"},
    {VMX_EXIT, 21, MUST, "load IA32_EFER", "ours is fixed"},
    {VMX_EXIT, 22, COULD, "save VMX-preemption timer value", "each entry starts it anew"},
    {VMX_EXIT, 23, NEVER, "clear IA32_BNDCFGS", "MPX is hidden"},
    {VMX_EXIT, 24, WANT, "conceal VMX from PT", "with the secondary and entry control"},
    {VMX_EXIT, 25, NEVER, "clear IA32_RTIT_CTL", "PT is hidden"},
    {VMX_EXIT, 26, NEVER, "clear IA32_LBR_CTL", "LBRs are hidden"},
    {VMX_EXIT, 27, NEVER, "clear UINV", "user interrupts are hidden"},
    {VMX_EXIT, 28, NEVER, "load CET state", "CET is hidden"},
    {VMX_EXIT, 29, NEVER, "load PKRS", "PKS is hidden"},
    {VMX_EXIT, 30, NEVER, "save IA32_PERF_GLOBAL_CTL", "no PMU"},
    {VMX_EXIT, 31, NEVER, "activate secondary controls", "none is needed"},

    {VMX_ENTRY, 2, MUST, "load debug controls", "DR7 and IA32_DEBUGCTL are the guest's"},
    {VMX_ENTRY, 9, LATER, "IA-32e mode guest", "follows EFER.LMA"},
    {VMX_ENTRY, 10, NEVER, "entry to SMM", "no SMM guest"},
    {VMX_ENTRY, 11, NEVER, "deactivate dual-monitor treatment", "no SMM monitor"},
    {VMX_ENTRY, 13, NEVER, "load IA32_PERF_GLOBAL_CTRL", "no PMU; seen offered without the MSR"},
    {VMX_ENTRY, 14, MUST, "load IA32_PAT", "the guest writes it natively"},
    {VMX_ENTRY, 15, MUST, "load IA32_EFER", "the guest has its own"},
    {VMX_ENTRY, 16, NEVER, "load IA32_BNDCFGS", "MPX is hidden"},
    {VMX_ENTRY, 17, WANT, "conceal VMX from PT", "with the secondary and exit control"},
    {VMX_ENTRY, 18, NEVER, "load IA32_RTIT_CTL", "PT is hidden"},
    {VMX_ENTRY, 19, NEVER, "load UINV", "user interrupts are hidden"},
    {VMX_ENTRY, 20, NEVER, "load CET state", "CET is hidden"},
    {VMX_ENTRY, 21, NEVER, "load guest IA32_LBR_CTL", "LBRs are hidden"},
    {VMX_ENTRY, 22, NEVER, "load PKRS", "PKS is hidden"},
    {VMX_ENTRY, 23, NEVER, "load FRED", "FRED is hidden"},
};

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
    uint64_t exact = cap_have(caps, w->true_cap) ? caps->raw[w->true_cap] : plain;

    if (word == VMX_TERTIARY) /* 64 bits of "may be 1"; we use the low half */
        return (struct limits){.may_be_1 = (uint32_t)plain};
    return (struct limits){(uint32_t)exact, (uint32_t)(exact >> 32), (uint32_t)plain};
}

bool vmx_can_set(const struct vmx_caps *caps, enum vmx_word word, uint32_t bits) {
    return (word_limits(caps, word).may_be_1 & bits) == bits;
}

/* ---- Resolving ------------------------------------------------------------------------------- */

#define MISSES_LINE_MAX 180

/* The list of what is missing, cut into lines. */
struct misses {
    unsigned count;
    size_t used;
    char line[MISSES_LINE_MAX];
};

static void misses_flush(struct misses *m) {
    if (m->used > 0)
        log_line("%s", m->line);
    m->used = 0;
}

static void misses_add(struct misses *m, const char *what) {
    if (m->used + 2 + str_length(what) >= sizeof(m->line))
        misses_flush(m);
    if (m->used == 0) {
        m->used = str_format(m->line, sizeof(m->line), "this CPU cannot run Mullion: %smissing: %s",
                             m->count == 0 ? "" : "also ", what);
    } else {
        m->used += str_format(m->line + m->used, sizeof(m->line) - m->used, ", %s", what);
    }
    m->count++;
}

static void requirements_check(const struct vmx_caps *caps, struct misses *misses) {
    for (size_t i = 0; i < ARRAY_SIZE(requirements); i++) {
        const struct requirement *r = &requirements[i];
        bool msr_absent = sources[r->cap].kind == MSR && !cap_have(caps, r->cap);

        /* An absent MSR is explained by what it depends on. */
        if (!msr_absent && (caps->raw[r->cap] & r->mask) != r->value)
            misses_add(misses, r->name);
    }
    if (!cap_have(caps, CAP_BASIC))
        return;
    if ((vmx_feature_control(caps->raw[CAP_FEATURE_CONTROL]) & 5) != 5) {
        misses_add(misses, "VMX enabled (firmware set-up: enable \"Intel Virtualization "
                           "Technology (VT-x)\")");
    }
    if ((caps->raw[CAP_BASIC] >> 32 & 0x1fff) > PAGE_SIZE)
        misses_add(misses, "a VMCS of at most 4096 bytes (IA32_VMX_BASIC bits 44:32)");
}

static bool control_satisfied(const struct control *c, const struct limits *l) {
    bool can_be_1 = (l->may_be_1 >> c->bit & 1) != 0;
    bool can_be_0 = (l->must_be_1 >> c->bit & 1) == 0;

    switch (c->wish) {
    case MUST:
        return can_be_1;
    case LATER:
        return can_be_1 && can_be_0;
    case WANT:
        return true;
    default:
        return can_be_0;
    }
}

static uint32_t word_resolve(const struct vmx_caps *caps, enum vmx_word word, struct misses *misses) {
    struct limits limits = word_limits(caps, word);
    uint32_t known = 0, ones = 0;

    for (size_t i = 0; i < ARRAY_SIZE(controls); i++) {
        const struct control *c = &controls[i];
        char what[96];

        if (c->word != word)
            continue;
        known |= UINT32_C(1) << c->bit;
        if (c->wish == MUST || c->wish == WANT)
            ones |= UINT32_C(1) << c->bit;
        if (!control_satisfied(c, &limits)) {
            str_format(what, sizeof(what), "%s%s (%s control %u)",
                       c->wish == NEVER || c->wish == COULD ? "a way to clear " : "", c->name,
                       words[word].name, c->bit);
            misses_add(misses, what);
        }
    }
    return (ones & limits.may_be_1) | (limits.default1 & ~known) | limits.must_be_1;
}

enum err vmx_ctl_resolve(const struct vmx_caps *caps, struct vmx_controls *out) {
    struct misses misses = {0};

    memset(out, 0, sizeof(*out));
    requirements_check(caps, &misses);
    if (cap_have(caps, CAP_BASIC))
        for (unsigned word = 0; word < VMX_WORDS; word++)
            out->word[word] = word_resolve(caps, (enum vmx_word)word, &misses);
    misses_flush(&misses);
    if (misses.count > 0) {
        memset(out, 0, sizeof(*out));
        return ERR_UNSUPPORTED;
    }
    return ERR_OK;
}

bool vmx_caps_equal(const struct vmx_caps *boot, const struct vmx_caps *mine, unsigned cpu) {
    bool equal = true;

    for (unsigned i = 0; i < CAP_COUNT; i++) {
        uint64_t a = boot->raw[i], b = mine->raw[i];

        if (i == CAP_FEATURE_CONTROL) { /* firmware may leave it unlocked on some cores */
            a = vmx_feature_control(a) & 5;
            b = vmx_feature_control(b) & 5;
        }
        if (a != b || cap_have(boot, (enum vmx_cap)i) != cap_have(mine, (enum vmx_cap)i)) {
            log_line("CPU %u is not like the boot CPU: %s is 0x%lx, there 0x%lx", cpu, sources[i].name, b, a);
            equal = false;
        }
    }
    return equal;
}
