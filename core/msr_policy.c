/* SPDX-License-Identifier: Apache-2.0 */
/* One table says which MSRs a guest has; the bitmap and both verdicts are made from it. Touches no
 * MSR and no VMCS. */
#include "core/msr_policy.h"

#include "core/str.h"

enum action {
    GP,
    STATE = MSR_STATE, /* kept in struct msr_state */
    PASS,              /* native, no exit */
    X2APIC,            /* native in x2APIC mode, else the virtual APIC answers */
    DEADLINE,          /* native while the guest's TSC is the real one, else the caller translates */
    VALUE,             /* reads as a constant */
    IGNORE,            /* writes are swallowed */
    ARCH,              /* the caller acts */
};

/* The field of struct msr_state that a row keeps. */
#define FIELD(name)   (offsetof(struct msr_state, name) / sizeof(uint64_t))

#define TSC_ADJUST    0x3b
#define MISC_ENABLE   0x1a0
#define DEBUGCTL      0x1d9
#define MTRR_DEF_TYPE 0x2ff
#define XSS           0xda0

/* The first row is for all MSRs without one: #GP. Of two rows with an MSR the later counts. Left out on
 * purpose: TEST_CTRL, SMI_COUNT, FSB_FREQ, PLATFORM_INFO, MPERF, APERF, PERF_STATUS, PERF_CTL, THERM_*, RAPL,
 * residencies (the machine's, and side channels to the neighbours), all of the PMU and RTIT_* (hidden; trace
 * output would be a way around EPT), TSX_CTRL, MCU_OPT_CTRL, BNDCFGS (hidden), variable MTRRs (MTRRCAP has
 * none), VMX. */
/* clang-format off */
const struct msr_row msr_rows[] = {
    {UINT32_MAX, UINT32_MAX, GP, GP, 0},
    {0x10, 0x10, PASS, ARCH, 0},   /* TSC: native with an offset; a write moves that, this vCPU's view only */
    {0x17, 0x17, VALUE, GP, 0},    /* PLATFORM_ID: read at boot by microcode loaders */
    {0x1b, 0x1b, ARCH, ARCH, 0},   /* APIC_BASE: the mode is virtual, the real one stays in x2APIC */
    {0x3a, 0x3a, VALUE, GP, 1},    /* FEATURE_CONTROL: locked, no VMX, no SMX */
    {0x3b, 0x3b, STATE, ARCH, FIELD(tsc_adjust)}, /* TSC_ADJUST: what writes have moved the TSC by */
    {0x48, 0x49, PASS, PASS, 0},   /* SPEC_CTRL, PRED_CMD: this core's; shown as the host has them */
    {0x79, 0x79, GP, IGNORE, 0},   /* BIOS_UPDT_TRIG: microcode is the machine's */
    {0x8b, 0x8b, STATE, IGNORE, FIELD(microcode)}, /* BIOS_SIGN_ID: guests choose mitigations by it */
    {0xe1, 0xe1, PASS, PASS, 0},   /* UMWAIT_CONTROL: this core's */
    {0xfe, 0xfe, VALUE, GP, 0x500}, /* MTRRCAP: FIX, WC; Linux wants MTRRs for PAT */
    {0x10a, 0x10a, STATE, GP, FIELD(arch_capabilities)}, /* ARCH_CAPABILITIES: bits that need no other MSR */
    {0x10b, 0x10b, PASS, PASS, 0}, /* FLUSH_CMD: flushes this core's L1D */
    {0x174, 0x176, PASS, PASS, 0}, /* SYSENTER_CS, ESP, EIP: VMCS guest state */
    {0x179, 0x179, VALUE, GP, 0},  /* MCG_CAP: no banks; machine checks are ours */
    {0x1a0, 0x1a0, STATE, STATE, FIELD(misc_enable)}, /* MISC_ENABLE: read by boot code without asking CPUID */
    {0x1d9, 0x1d9, ARCH, ARCH, 0}, /* DEBUGCTL: VMCS guest state; BTF single-steps branches */
    {0x250, 0x250, STATE, STATE, FIELD(mtrr_fixed[0])}, /* MTRR_FIX64K: reads back; EPT decides the type */
    {0x258, 0x259, STATE, STATE, FIELD(mtrr_fixed[1])}, /* MTRR_FIX16K */
    {0x268, 0x26f, STATE, STATE, FIELD(mtrr_fixed[3])}, /* MTRR_FIX4K */
    {0x277, 0x277, PASS, PASS, 0}, /* PAT: VMCS guest state; the CPU itself refuses a bad type */
    {0x2ff, 0x2ff, STATE, STATE, FIELD(mtrr_def_type)}, /* MTRR_DEF_TYPE: reads back */
    {0x6e0, 0x6e0, DEADLINE, DEADLINE, 0}, /* TSC_DEADLINE: the real timer, which counts the real TSC */
    {0x800, 0x8ff, ARCH, ARCH, 0}, /* x2APIC: identity, ICR, LVT, SVR are watched, the rest reserved; but */
    {0x803, 0x803, X2APIC, X2APIC, 0}, /* version */
    {0x808, 0x808, X2APIC, X2APIC, 0}, /* TPR */
    {0x80a, 0x80b, X2APIC, X2APIC, 0}, /* PPR, EOI */
    {0x810, 0x827, X2APIC, X2APIC, 0}, /* ISR, TMR, IRR */
    {0x838, 0x839, X2APIC, X2APIC, 0}, /* timer counts */
    {0x83e, 0x83f, X2APIC, X2APIC, 0}, /* timer divisor, self IPI */
    {0xda0, 0xda0, VALUE, STATE, 0}, /* XSS: no supervisor state is shown, so only 0 */
    {0xc0000080, 0xc0000080, PASS, PASS, 0}, /* EFER: VMCS guest state; the CPU itself checks writes */
    {0xc0000081, 0xc0000084, PASS, PASS, 0}, /* STAR, LSTAR, CSTAR, FMASK: we make no SYSCALL */
    {0xc0000100, 0xc0000101, PASS, PASS, 0}, /* FS_BASE, GS_BASE: VMCS guest state */
    {0xc0000102, 0xc0000103, PASS, PASS, 0}, /* KERNEL_GS_BASE, TSC_AUX: we use neither */
};
/* clang-format on */

uint8_t msr_row_of[MSR_LOW + MSR_HIGH + 1] __attribute__((section(".bss.sealed")));

void msr_policy_init(void) {
    for (size_t i = 1; i < ARRAY_SIZE(msr_rows); i++)
        for (uint32_t index = msr_rows[i].first; index <= msr_rows[i].last; index++)
            msr_row_of[msr_place(index)] = (uint8_t)i;
}

/* "Enumeration of Architectural Capabilities": those that promise something about the core itself.
 * Hidden are the bits that announce an MSR which a guest does not get: TSX_CTRL, MISC_PACKAGE_CTLS,
 * ENERGY_FILTERING_CTL, DOITM, FB_CLEAR_CTRL, XAPIC_DISABLE_STATUS, OVERCLOCKING_STATUS, GDS_CTRL.
 */
#define ARCH_CAPABILITIES_SHOWN UINT64_C(0x400000001d1ae17f)

#define MISC_FAST_STRINGS       BIT(0)
#define MISC_PERFMON            BIT(7)
#define MISC_BTS_UNAVAILABLE    (BIT(11) | BIT(12)) /* and PEBS */

#define MTRR_TYPES              0x73u /* a bit for each type there is: UC, WC, WT, WP, WB */
#define MTRR_TYPE_WB            6
#define MTRR_FIXED_ENABLE       BIT(10)
#define MTRR_ENABLE             BIT(11)

#define DEBUGCTL_ALLOWED        (BIT(0) | BIT(1)) /* LBR: harmless without its MSRs; BTF */

void msr_state_init(struct msr_state *out, uint64_t microcode, uint64_t arch_capabilities) {
    *out = (struct msr_state){
        .misc_enable = MISC_FAST_STRINGS | MISC_BTS_UNAVAILABLE,
        .mtrr_def_type = MTRR_ENABLE | MTRR_TYPE_WB,
        .microcode = microcode,
        .arch_capabilities = arch_capabilities & ARCH_CAPABILITIES_SHOWN,
    };
    memset(out->mtrr_fixed, MTRR_TYPE_WB, sizeof(out->mtrr_fixed));
}

static bool mtrr_type_valid(uint64_t type) {
    return type <= MTRR_TYPE_WB && (MTRR_TYPES >> type & 1) != 0;
}

static bool state_write(struct msr_state *s, const struct msr_row *row, uint32_t index, uint64_t value) {
    switch (index) {
    case XSS:
        return value == 0;
    case MISC_ENABLE: /* read-only bits keep their value, as on the machine */
        if ((value & ~(MISC_FAST_STRINGS | MISC_PERFMON | MISC_BTS_UNAVAILABLE)) != 0)
            return false;
        value = (value & MISC_FAST_STRINGS) | MISC_BTS_UNAVAILABLE;
        break;
    case MTRR_DEF_TYPE:
        if ((value & ~(MTRR_ENABLE | MTRR_FIXED_ENABLE | 0xff)) != 0 || !mtrr_type_valid(value & 0xff))
            return false;
        break;
    default: /* MTRR_FIX*: a type for each of eight ranges */
        for (unsigned shift = 0; shift < 64; shift += 8)
            if (!mtrr_type_valid(value >> shift & 0xff))
                return false;
    }
    *msr_field(s, row, index) = value;
    return true;
}

/* What passes does not exit, so the last resort of both is #GP. */
enum msr_verdict msr_read(struct msr_state *state, uint32_t index, uint64_t *value) {
    const struct msr_row *row = msr_row(index);
    *value = 0;
    switch (row->read) {
    case VALUE:
        *value = row->value;
        return MSR_DONE;
    case STATE:
        *value = *msr_field(state, row, index);
        return MSR_DONE;
    case ARCH:
    case X2APIC:
    case DEADLINE:
        return MSR_ARCH;
    default:
        return MSR_GP;
    }
}

enum msr_verdict msr_write(struct msr_state *state, uint32_t index, uint64_t value) {
    const struct msr_row *row = msr_row(index);
    if (row->write == STATE)
        return state_write(state, row, index, value) ? MSR_DONE : MSR_GP;
    switch (row->write) {
    case IGNORE:
        return MSR_DONE;
    case ARCH:
    case X2APIC:
    case DEADLINE:
        return index == DEBUGCTL && (value & ~DEBUGCTL_ALLOWED) != 0 ? MSR_GP : MSR_ARCH;
    default:
        return MSR_GP;
    }
}

uint64_t msr_deadline_real(uint64_t deadline, uint64_t tsc_adjust, uint64_t now) {
    uint64_t guest_now = now + tsc_adjust, left = deadline - guest_now;
    if (deadline == 0)
        return 0;
    if (deadline <= guest_now)
        return 1; /* long past: fires at once */
    return left > UINT64_MAX - now ? UINT64_MAX : now + left;
}

/* "MSR-Bitmap Address": reads of 0..1FFFH, reads of C0000000H.., then writes likewise. */
#define BITMAP_HIGH  1024
#define BITMAP_WRITE 2048

static void bitmap_clear(uint8_t *page, uint32_t index) {
    size_t at = (index >= 0xc0000000 ? BITMAP_HIGH : 0) + (index & 0x1fff) / 8;
    page[at] &= (uint8_t) ~(1u << (index & 7));
}

void msr_bitmap_build(uint8_t page[4096], bool x2apic, enum msr_tsc tsc) {
    const bool passes[] = {
        [PASS] = true, [X2APIC] = x2apic, [DEADLINE] = tsc != MSR_TSC_MOVED, [ARCH] = false};
    memset(page, 0xff, 4096);
    for (const struct msr_row *row = msr_rows + 1; row < msr_rows + ARRAY_SIZE(msr_rows); row++) {
        for (uint32_t index = row->first; index <= row->last; index++) {
            if (passes[row->read])
                bitmap_clear(page, index);
            if (passes[row->write])
                bitmap_clear(page + BITMAP_WRITE, index);
        }
    }
    if (tsc == MSR_TSC_BARE) /* Linux reads it once a second that it idles */
        bitmap_clear(page, TSC_ADJUST);
}
