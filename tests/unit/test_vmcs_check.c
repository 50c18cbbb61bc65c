/* SPDX-License-Identifier: Apache-2.0 */
/* Rows Y07, Y08, V041, M01-M05, M10, M11, M13, K01, K03: every rule of VM entry by a fault of its own,
 * seeded into a VMCS that is good without it. */
#include "tests/unit/vmcs_image.h"

#include "tests/unit/unit.h"

/* More good images. */
static void flip(unsigned field, uint64_t bits) {
    image[field] ^= bits;
}

static void v86(void) {
    image_start32();
    for (unsigned s = SEG_ES; s <= SEG_GS; s++)
        image_segment(s, 0x1230 + s, 0x12300 + 16 * s, 0xffff, 0xf3);
    flip(F_RFLAGS, BIT(17));
}

/* As a CPU without unrestricted guest has it: paging on, CPL 3. */
static void user(void) {
    image_start32();
    flip(F_SECONDARY, BIT(7));
    flip(F_CR0, BIT(31));
    image_segment(SEG_CS, 0x1b, 0, 0xffffffff, 0xc0fb);
    image_segments(0x23, 0, 0xffffffff, 0xc0f3);
}

static void unrestricted_user(void) {
    user();
    flip(F_SECONDARY, BIT(7));
    flip(F_CR0, BIT(31));
}

static void user_conforming(void) {
    user();
    image[RIGHTS(SEG_CS)] = 0xc09f;
}

static void cs_is_data(void) {
    image_start32();
    flip(RIGHTS(SEG_CS), BIT(3));
}

static void small_tss(void) {
    image_start64();
    image[LIMIT(SEG_TR)] = 0x67;
}

/* What is not looked at, once a condition of a rule does not hold: it may be anything. */
static void unusable_segments(void) {
    image_start64();
    image_segments(0xffff, UINT64_MAX / 3, 0x12345678, BIT(16));
    image_segment(SEG_LDTR, 0xffff, BIT(60), 0, BIT(16) | BIT(4));
    image[BASE(SEG_FS)] = image[BASE(SEG_GS)] = 0;
}

static void unusable_data_of_user(void) {
    user();
    image[RIGHTS(SEG_DS)] = BIT(16);
}

static void conforming_data_of_user(void) {
    user();
    image[RIGHTS(SEG_DS)] = 0xc09f;
}

static void rpl_without_restriction(void) {
    image_start32();
    image[F_DS] |= 3;
    image[F_SS] |= 2;
}

static void v86_restricted(void) {
    v86();
    flip(F_SECONDARY, BIT(7));
    flip(F_CR0, BIT(31));
    image_segment(SEG_DS, 1, 0x10, 0xffff, 0xf3);
}

static void tss16_and_long_bit(void) {
    image_start32();
    image[RIGHTS(SEG_TR)] = 0x83;
    flip(RIGHTS(SEG_CS), BIT(13));
}

static void nothing_loaded(void) {
    image_start64();
    flip(F_ENTRY, BIT(2) | BIT(14) | BIT(15));
    flip(F_EXIT, BIT(19) | BIT(21));
    image[F_DEBUGCTL] = image[F_DR7] = image[F_PAT] = image[F_HOST_PAT] = image[F_HOST_EFER] = UINT64_MAX;
    image[F_EFER] = ~UINT64_C(0x500);
}

static void nothing_loaded32(void) {
    nothing_loaded();
    flip(F_ENTRY, BIT(9));
    image[F_EFER] = UINT64_MAX;
    image[RIGHTS(SEG_CS)] = 0xc09b;
    image[F_RIP] = 0x100000;
}

static void nothing_used(void) {
    image_start64();
    flip(F_PRIMARY, BIT(25) | BIT(28));
    flip(F_SECONDARY, BIT(5));
    image[F_IO_A] = image[F_IO_B] = image[F_MSR_BITMAP] = UINT64_MAX;
    image[F_VPID] = 0;
    image[F_HOST_CR0] ^= BIT(16);
    flip(F_CR4, BIT(17));
    flip(F_PRIMARY, BIT(22)); /* the NMI window, as there are virtual NMIs */
}

static void lme_without_paging(void) {
    image_start32();
    image[F_EFER] = BIT(8);
}

static void no_uc_no_dirty(void) {
    image_reset();
    image_caps.raw[CAP_EPT_VPID] ^= BIT(8) | BIT(21);
}

static void uncached_ept(void) {
    image_reset();
    flip(F_EPTP, 6);
}

static void no_hlt(void) {
    image_start64();
    image_caps.raw[CAP_MISC] ^= BIT(6);
}

static void single_step_by_branch(void) {
    image_start64();
    flip(F_DEBUGCTL, BIT(1));
    flip(F_RFLAGS, BIT(8));
    image[F_ACTIVITY] = 1;
}

static void real_without_vnmi(void) {
    image_reset();
    flip(F_PIN, BIT(5));
}

static void pae(void) {
    image_start32();
    flip(F_CR0, BIT(31));
    flip(F_CR4, BIT(5));
    for (unsigned i = 0; i < 3; i++)
        image[F_PDPTE0 + 2 * i] = 0x2001 + i * 0x1000;
    image[F_PDPTE0 + 6] = UINT64_MAX - 1; /* not present: anything goes */
}

static void compatibility(void) {
    image_start64();
    flip(RIGHTS(SEG_CS), BIT(13) | BIT(14));
    image[F_RIP] = 0x100000;
}

static void halted(void) {
    image_start64();
    image[F_ACTIVITY] = 1;
}

static void shut_down(void) {
    image_start64();
    image[F_ACTIVITY] = 2;
}

static void waits_for_sipi(void) {
    image_start64();
    image[F_ACTIVITY] = 3;
}

static void after_sti(void) {
    image_start64();
    flip(F_RFLAGS, BIT(9));
    image[F_INTERRUPTIBILITY] = 1;
}

static void after_mov_ss(void) {
    image_start64();
    image[F_INTERRUPTIBILITY] = 2;
}

static void single_step_after_mov_ss(void) {
    after_mov_ss();
    flip(F_RFLAGS, BIT(8));
    image[F_PENDING_DEBUG] = BIT(14);
}

static void inject(uint32_t event) {
    image_start64();
    image[F_EVENT] = event;
}

static void inject_interrupt(void) {
    inject(0x80000020);
    flip(F_RFLAGS, BIT(9));
}

static void inject_nmi(void) {
    inject(0x80000202);
}

static void inject_nmi_after_sti(void) {
    inject_nmi();
    flip(F_RFLAGS, BIT(9));
}

static void inject_gp(void) {
    inject(0x80000b0d);
}

static void inject_ud(void) {
    inject(0x80000306);
}

static void inject_gp_real(void) {
    image_reset();
    image[F_EVENT] = 0x8000030d;
}

static void inject_any_error(void) {
    inject_ud();
    image_caps.raw[CAP_BASIC] |= BIT(56);
    flip(F_EVENT, BIT(11));
}

static void inject_int(void) {
    inject(0x80000480);
    image[F_EVENT_LENGTH] = 2;
}

static void inject_int_length_0(void) {
    inject_int();
    image_caps.raw[CAP_MISC] ^= BIT(30);
}

static void inject_mtf(void) {
    inject(0x80000700);
    image_caps.raw[CAP_PROCBASED] |= BIT(59);
    image_caps.raw[CAP_TRUE_PROCBASED] |= BIT(59);
}

static void no_mtf_no_empty(void) {
    image_start64();
    image_caps.raw[CAP_MISC] ^= BIT(30);
}

static void halted_with_mtf(void) {
    inject_mtf();
    image[F_EVENT] = 0;
    image[F_ACTIVITY] = 1;
    image_caps.raw[CAP_MISC] ^= BIT(30);
}

static void inject_db_halted(void) {
    halted();
    image[F_EVENT] = 0x80000301;
}

static void inject_mc_shut_down(void) {
    shut_down();
    image[F_EVENT] = 0x80000312;
}

static void inject_interrupt_halted(void) {
    inject_interrupt();
    image[F_ACTIVITY] = 1;
}

/* TPR shadow and what needs it; virtual-interrupt delivery; PML; TSC scaling. */
static void apicv(void) {
    image_start64();
    flip(F_PRIMARY, BIT(21));
    flip(F_SECONDARY, BIT(0) | BIT(8) | BIT(17) | BIT(25));
    image[F_VIRTUAL_APIC] = 0x600000;
    image[F_APIC_ACCESS] = 0x601000;
    image[F_PML] = 0x602000;
    image[F_TSC_MULTIPLIER] = BIT(48);
}

static void apicv_delivery(void) {
    apicv();
    flip(F_PIN, BIT(0));
    flip(F_SECONDARY, BIT(9));
    image[F_TPR_THRESHOLD] = 0x10;
}

static void no_ept(void) {
    user();
    flip(F_SECONDARY, BIT(1));
}

static void tertiary(void) {
    image_start64();
    image_caps.raw[CAP_PROCBASED] |= BIT(49);
    image_caps.raw[CAP_TRUE_PROCBASED] |= BIT(49);
    image_caps.raw[CAP_PROCBASED3] = 3;
    flip(F_PRIMARY, BIT(17));
    flip(F_TERTIARY, 1);
}

static void no_secondary(void) {
    user();
    flip(F_PRIMARY, BIT(31));
    image[F_SECONDARY] = UINT32_MAX; /* not looked at */
}

/* A CPU that has everything. */
static void able(void) {
    image_start64();
    image_caps.raw[CAP_CPUID_7_EBX] |= BIT(2) | BIT(11);
    image_caps.raw[CAP_CPUID_7_ECX] |= BIT(24);
    image_caps.raw[CAP_EPT_VPID] |= BIT(7) | BIT(21) | BIT(23);
    image_caps.raw[CAP_PINBASED] = image_caps.raw[CAP_TRUE_PINBASED] |= UINT64_C(0xff) << 32;
    image_caps.raw[CAP_PROCBASED2] = UINT64_C(0xffffffff) << 32;
    image_caps.raw[CAP_EXIT] = image_caps.raw[CAP_TRUE_EXIT] |= UINT64_C(0xffffffff) << 32;
    image_caps.raw[CAP_ENTRY] = image_caps.raw[CAP_TRUE_ENTRY] |= UINT64_C(0xffffffff) << 32;
    image_caps.raw[CAP_CR4_FIXED1] |= BIT(23);
    image[F_EPTP] = 0x4030e6; /* 5 levels, accessed and dirty, shadow stacks */
    flip(F_DEBUGCTL, BIT(2) | BIT(15));
    flip(F_PENDING_DEBUG, BIT(11));
    flip(F_INTERRUPTIBILITY, 16);
    flip(F_PIN, BIT(6));
    flip(F_EXIT, BIT(22)); /* the preemption timer, saved */
    flip(F_CR4, BIT(23));
    flip(F_CR0, BIT(16));
    flip(F_HOST_CR4, BIT(23));
}

/* ... with all that vmx_ctl then switches on: none of it may be unknown to the check. */
static void able_controls(void) {
    able();
    image_caps.raw[CAP_PROCBASED] = image_caps.raw[CAP_TRUE_PROCBASED] |= UINT64_C(0xffffffff) << 32;
    image_caps.raw[CAP_PROCBASED3] = UINT64_MAX;
    image_controls();
    flip(F_ENTRY, BIT(9));
}

static void able_after_mov_ss(void) {
    able();
    image[F_INTERRUPTIBILITY] = 2;
}

static void rtm(void) {
    able();
    image[F_PENDING_DEBUG] = BIT(16) | BIT(12);
}

static void lists(void) {
    image_start64();
    for (unsigned i = 0; i < 3; i++)
        image[F_STORE_LIST + 2 * i] = BIT(40) - 32; /* two entries end where the addresses do */
    image[F_STORE_COUNT] = image[F_LOAD_COUNT] = image[F_ENTRY_COUNT] = 2;
}

static void link_to_a_page(void) {
    image_start64();
    image[F_LINK] = 0x700000;
}

struct fault {
    void (*good)(void);
    unsigned field;
    uint64_t bits;     /* to flip */
    const char *words; /* part of the rule's */
};

static const char *segment_of(unsigned field) {
    static const char names[][6] = {" ES", " CS", " SS", " DS", " FS", " GS", " LDTR", " TR"};
    static const unsigned arrays[] = {F_ES, F_HOST_ES, F_ES_LIMIT, F_ES_RIGHTS, F_ES_BASE};

    for (size_t i = 0; i < ARRAY_SIZE(arrays); i++)
        if (field >= arrays[i] && field < arrays[i] + 16)
            return names[(field - arrays[i]) / 2];
    return "none";
}

static void seed(const char *section, const struct fault *f, size_t number) {
    struct vmcs_violation broken = {.rule = "none"};

    f->good();
    if (!image_check(&broken))
        fail_msg("%s, fault %zu: before it, %s%s is 0x%lx: %s", section, number, broken.field, broken.segment,
                 broken.value, broken.rule);
    flip(f->field, f->bits);
    if (image_check(&broken) || strcmp(broken.section, section) != 0 || broken.encoding != f->field ||
        broken.value != image[f->field] || strstr(broken.rule, f->words) == NULL)
        fail_msg("%s, fault %zu (%s): found %s%s 0x%x is 0x%lx: %s", section, number, f->words, broken.field,
                 broken.segment, broken.encoding, broken.value, broken.rule);
    if (broken.segment[0] != '\0')
        assert_string_equal(broken.segment, segment_of(f->field));
    assert_int_equal(image_bad_reads, 0);
}

static void seed_all(const char *section, const struct fault *faults, size_t count) {
    for (size_t i = 0; i < count; i++)
        seed(section, &faults[i], i);
}

static void K01_K03_M03_M04_M05_execution_controls(void **state) {
    static const struct fault faults[] = {
        {image_reset, F_PIN, BIT(1), "PINBASED"},
        {image_reset, F_PIN, BIT(9), "PINBASED"},
        {able, F_PIN, BIT(7), "known here"},
        {image_reset, F_PRIMARY, BIT(1), "PROCBASED_CTLS allows"},
        {image_reset, F_PRIMARY, BIT(27), "PROCBASED_CTLS allows"},
        {image_reset, F_SECONDARY, BIT(31), "PROCBASED_CTLS2"},
        {image_reset, F_SECONDARY, BIT(13), "known here"},
        {able, F_SECONDARY, BIT(24), "known here"},
        {tertiary, F_TERTIARY, BIT(2), "PROCBASED_CTLS3"},
        {tertiary, F_TERTIARY, BIT(1), "known here"},
        {tertiary, F_TERTIARY, BIT(40), "PROCBASED_CTLS3"},
        {image_reset, F_CR3_TARGETS, 5, "at most 4"},
        {image_reset, F_IO_A, 0x800, "page below MAXPHYADDR"},
        {image_reset, F_IO_A, BIT(40), "page below MAXPHYADDR"},
        {image_reset, F_IO_B, 1, "page below MAXPHYADDR"},
        {image_reset, F_MSR_BITMAP, BIT(63), "page below MAXPHYADDR"},
        {apicv, F_VIRTUAL_APIC, 0x10, "page below MAXPHYADDR"},
        {apicv, F_APIC_ACCESS, BIT(40), "page below MAXPHYADDR"},
        {apicv, F_PML, 8, "page below MAXPHYADDR"},
        {apicv, F_TPR_THRESHOLD, 0x10, "bits 31:4"},
        {apicv, F_TSC_MULTIPLIER, BIT(48), "not be 0"},
        {image_reset, F_PIN, BIT(3), "need NMI exiting"},
        {real_without_vnmi, F_PRIMARY, BIT(22), "needs virtual NMIs"},
        {apicv, F_SECONDARY, BIT(4), "excludes"},
        {apicv_delivery, F_PIN, BIT(0), "needs external-interrupt exiting"},
        {image_reset, F_SECONDARY, BIT(8), "needs the TPR shadow"},
        {image_reset, F_SECONDARY, BIT(4), "needs the TPR shadow"},
        {image_reset, F_SECONDARY, BIT(9), "needs the TPR shadow"},
        {image_reset, F_VPID, 1, "not be 0"},
        {image_reset, F_EPTP, 2, "memory type"},
        {no_uc_no_dirty, F_EPTP, 6, "memory type"},
        {no_uc_no_dirty, F_EPTP, BIT(6), "accessed and dirty"},
        {image_reset, F_EPTP, 0x38, "walk length"},
        {image_reset, F_EPTP, 0x18, "walk length"},
        {image_reset, F_EPTP, BIT(7), "shadow-stack"},
        {image_reset, F_EPTP, BIT(11), "bits 11:8"},
        {image_reset, F_EPTP, BIT(40), "MAXPHYADDR"},
        {no_ept, F_SECONDARY, BIT(7), "need EPT"},
        {no_ept, F_SECONDARY, BIT(17), "need EPT"},
    };

    (void)state;
    seed_all("VM-Execution Control Fields", faults, ARRAY_SIZE(faults));
}

static void M10_exit_controls(void **state) {
    static const struct fault faults[] = {
        {image_reset, F_EXIT, BIT(0), "EXIT_CTLS"},
        {image_reset, F_EXIT, BIT(31), "EXIT_CTLS"},
        {able, F_EXIT, BIT(28), "known here"},
        {image_reset, F_EXIT, BIT(22), "needs the timer"},
        {lists, F_STORE_COUNT, 3 ^ 2, "16-byte aligned"},
        {lists, F_LOAD_COUNT, 3 ^ 2, "16-byte aligned"},
    };

    (void)state;
    seed_all("VM-Exit Control Fields", faults, ARRAY_SIZE(faults));
}

static void M11_entry_controls(void **state) {
    static const struct fault faults[] = {
        {image_reset, F_ENTRY, BIT(0), "ENTRY_CTLS"},
        {image_reset, F_ENTRY, BIT(24), "ENTRY_CTLS"},
        {able, F_ENTRY, BIT(20), "known here"},
        {able, F_ENTRY, BIT(10), "SMM"},
        {able, F_ENTRY, BIT(11), "SMM"},
        {inject_interrupt, F_EVENT, 0x100, "type 1"},
        {inject_ud, F_EVENT, 0x400, "type 7 is reserved"},
        {inject_nmi, F_EVENT, 1, "must be 2"},
        {inject_ud, F_EVENT, 0x20, "at most 31"},
        {inject_ud, F_EVENT, 0x80, "at most 31"},
        {inject_mtf, F_EVENT, 1, "type 7 must be 0"},
        {inject_interrupt, F_EVENT, BIT(11), "only a hardware exception"},
        {inject_gp_real, F_EVENT, BIT(11), "without CR0.PE"},
        {inject_gp, F_EVENT, BIT(11), "just vectors"},
        {inject_ud, F_EVENT, BIT(11), "just vectors"},
        {inject_gp, F_EVENT, 13 ^ 15, "just vectors"},
        {inject_ud, F_EVENT, BIT(12), "bits 30:12"},
        {inject_ud, F_EVENT, BIT(30), "bits 30:12"},
        {inject_any_error, F_EVENT_ERROR, BIT(16), "bits 31:16"},
        {inject_gp, F_EVENT_ERROR, BIT(31), "bits 31:16"},
        {inject_int, F_EVENT_LENGTH, 16, "at most 15"},
        {inject_int_length_0, F_EVENT_LENGTH, 2, "not be 0"},
        {lists, F_ENTRY_COUNT, 3 ^ 2, "16-byte aligned"},
    };

    (void)state;
    seed_all("VM-Entry Control Fields", faults, ARRAY_SIZE(faults));
}

static void M02_host_registers(void **state) {
    static const struct fault faults[] = {
        {image_reset, F_HOST_CR0, BIT(31), "CR0_FIXED"},
        {image_reset, F_HOST_CR0, BIT(32), "CR0_FIXED"},
        {image_reset, F_HOST_CR4, BIT(13), "CR4_FIXED"},
        {image_reset, F_HOST_CR4, BIT(23), "CR4_FIXED"},
        {able, F_HOST_CR0, BIT(16), "WP must be 1"},
        {image_reset, F_HOST_CR3, BIT(40), "MAXPHYADDR"},
        {image_reset, F_HOST_CR3, BIT(63), "MAXPHYADDR"},
        {image_reset, F_HOST_SYSENTER_ESP, BIT(47), "canonical"},
        {image_reset, F_HOST_SYSENTER_EIP, BIT(63), "canonical"},
        {image_reset, F_HOST_PAT, 4, "each byte"},
        {image_reset, F_HOST_PAT, 8, "each byte"},
        {image_reset, F_HOST_PAT, UINT64_C(3) << 56, "each byte"},
        {image_reset, F_HOST_EFER, BIT(1), "all bits but"},
        {image_reset, F_HOST_EFER, BIT(12), "all bits but"},
        {image_reset, F_HOST_EFER, BIT(8), "LME and LMA"},
        {image_reset, F_HOST_EFER, BIT(10), "LME and LMA"},
    };

    (void)state;
    seed_all("Checks on Host Control Registers, MSRs, and SSP", faults, ARRAY_SIZE(faults));
}

static void M02_host_segments(void **state) {
    static const struct fault faults[] = {
        {image_reset, F_HOST_ES, 1, "RPL and TI"},
        {image_reset, F_HOST_CS, 2, "RPL and TI"},
        {image_reset, F_HOST_SS, 4, "RPL and TI"},
        {image_reset, F_HOST_GS, 3, "RPL and TI"},
        {image_reset, F_HOST_TR, 4, "RPL and TI"},
        {image_reset, F_HOST_CS, 8, "not be 0"},
        {image_reset, F_HOST_TR, 24, "not be 0"},
        {image_reset, F_HOST_BASES, BIT(47), "canonical"},
        {image_reset, F_HOST_BASES + 2, BIT(62), "canonical"},
        {image_reset, F_HOST_BASES + 4, BIT(47), "canonical"},
        {image_reset, F_HOST_BASES + 6, BIT(50), "canonical"},
        {image_reset, F_HOST_BASES + 8, BIT(63), "canonical"},
    };

    (void)state;
    seed_all("Checks on Host Segment and Descriptor-Table Registers", faults, ARRAY_SIZE(faults));
}

static void M02_host_address_space(void **state) {
    static const struct fault faults[] = {
        {able, F_EXIT, BIT(9), "the host must be 64-bit"},
        {image_reset, F_HOST_CR4, BIT(5), "PAE must be 1"},
        {image_reset, F_HOST_RIP, BIT(47), "canonical"},
    };

    (void)state;
    seed_all("Checks Related to Address-Space Size", faults, ARRAY_SIZE(faults));
}

static void M01_guest_registers(void **state) {
    static const struct fault faults[] = {
        {user, F_CR0, BIT(31), "each bit must be"},
        {image_reset, F_CR0, BIT(5), "but PE and PG"},
        {image_reset, F_CR0, BIT(32), "but PE and PG"},
        {image_start64, F_CR0, BIT(0), "PE must be 1"},
        {image_reset, F_CR4, BIT(13), "CR4_FIXED"},
        {image_reset, F_CR4, BIT(11), "CR4_FIXED"},
        {able, F_CR0, BIT(16), "WP must be 1"},
        {image_reset, F_DEBUGCTL, BIT(3), "bits 5:3"},
        {image_reset, F_DEBUGCTL, BIT(16), "63:16"},
        {image_reset, F_DEBUGCTL, BIT(2), "bus-lock"},
        {image_reset, F_DEBUGCTL, BIT(15), "RTM"},
        {image_start64, F_CR0, BIT(31), "PG must be 1"},
        {image_start64, F_CR4, BIT(5), "PAE must be 1"},
        {image_start32, F_CR4, BIT(17), "PCIDE"},
        {image_start64, F_CR3, BIT(40), "MAXPHYADDR"},
        {image_start64, F_CR3, BIT(63), "MAXPHYADDR"},
        {image_reset, F_DR7, BIT(32), "63:32"},
        {image_reset, F_SYSENTER_ESP, BIT(48), "canonical"},
        {image_reset, F_SYSENTER_EIP, BIT(47), "canonical"},
        {image_reset, F_PAT, 4, "each byte"},
        {image_reset, F_PAT, BIT(63), "each byte"},
        {image_reset, F_EFER, BIT(2), "all bits but"},
        {image_reset, F_EFER, BIT(63), "all bits but"},
        {image_start64, F_EFER, BIT(10), "LMA must be 1"},
        {image_start32, F_EFER, BIT(10), "LMA must be 0"},
        {image_start64, F_EFER, BIT(8), "LME must be LMA"},
        {pae, F_EFER, BIT(8), "LME must be LMA"},
    };

    (void)state;
    seed_all("Checks on Guest Control Registers, Debug Registers, and MSRs", faults, ARRAY_SIZE(faults));
}

static void M01_guest_segments(void **state) {
    static const struct fault faults[] = {
        {image_reset, F_TR, 4, "TI"},
        {image_reset, F_LDTR, 4, "TI"},
        {user, F_SS, 1, "RPL must be that of CS"},
        {v86, BASE(SEG_ES), 1, "16 times"},
        {v86, BASE(SEG_CS), BIT(20), "16 times"},
        {image_start64, BASE(SEG_FS), BIT(47), "canonical"},
        {image_start64, BASE(SEG_TR), BIT(63), "canonical"},
        {image_start64, BASE(SEG_LDTR), BIT(47), "canonical"},
        {image_start64, BASE(SEG_CS), BIT(32), "63:32"},
        {image_start64, BASE(SEG_DS), BIT(63), "63:32"},
        {v86, LIMIT(SEG_GS), 1, "FFFFH"},
        {v86, LIMIT(SEG_CS), BIT(16), "FFFFH"},
        {v86, RIGHTS(SEG_CS), BIT(3), "F3H"},
        {v86, RIGHTS(SEG_SS), BIT(5), "F3H"},
        {v86, RIGHTS(SEG_DS), BIT(16), "F3H"},
        {user, RIGHTS(SEG_CS), BIT(3), "must be 9, 11"},
        {image_start64, RIGHTS(SEG_CS), BIT(0), "must be 3, 9"},
        {image_start64, RIGHTS(SEG_SS), BIT(0), "3 or 7"},
        {image_start64, RIGHTS(SEG_SS), BIT(3), "3 or 7"},
        {image_start64, RIGHTS(SEG_ES), BIT(0), "accessed"},
        {image_start64, RIGHTS(SEG_FS), BIT(3) | BIT(1), "if code readable"},
        {image_start64, RIGHTS(SEG_CS), BIT(4), "S must be 1"},
        {image_start64, RIGHTS(SEG_GS), BIT(4), "S must be 1"},
        {image_start64, RIGHTS(SEG_CS), BIT(5), "DPL must be that of SS"},
        {user, RIGHTS(SEG_CS), BIT(5), "DPL must be that of SS"},
        {image_start32, RIGHTS(SEG_CS), BIT(2) | BIT(6), "not exceed that of SS"},
        {image_reset, RIGHTS(SEG_CS), BIT(3) | BIT(5), "0 with type 3"},
        {cs_is_data, RIGHTS(SEG_SS), BIT(5), "0 if CS has type 3"},
        {user_conforming, RIGHTS(SEG_SS), BIT(5), "DPL must be the RPL"},
        {user, RIGHTS(SEG_DS), BIT(5), "not be below the RPL"},
        {image_start64, RIGHTS(SEG_CS), BIT(14), "D must be 0"},
        {image_start64, RIGHTS(SEG_TR), BIT(16), "usable"},
        {image_start32, RIGHTS(SEG_TR), BIT(1), "a busy TSS"},
        {image_start64, RIGHTS(SEG_TR), BIT(3), "busy 64-bit"},
        {image_start64, RIGHTS(SEG_LDTR), BIT(0), "an LDT"},
        {image_start64, RIGHTS(SEG_TR), BIT(4), "S must be 0"},
        {image_start64, RIGHTS(SEG_LDTR), BIT(4), "S must be 0"},
        {image_start64, RIGHTS(SEG_CS), BIT(7), "P must be 1"},
        {image_start64, RIGHTS(SEG_LDTR), BIT(7), "P must be 1"},
        {image_start64, RIGHTS(SEG_SS), BIT(8), "11:8"},
        {image_start64, RIGHTS(SEG_TR), BIT(17), "31:17"},
        {image_reset, RIGHTS(SEG_CS), BIT(31), "31:17"},
        {image_start64, RIGHTS(SEG_ES), BIT(15), "G must"},
        {small_tss, RIGHTS(SEG_TR), BIT(15), "G must"},
    };

    (void)state;
    seed_all("Checks on Guest Segment Registers", faults, ARRAY_SIZE(faults));
}

static void M01_guest_descriptor_tables(void **state) {
    static const struct fault faults[] = {
        {image_reset, F_GDTR_BASE, BIT(47), "canonical"},
        {image_reset, F_IDTR_BASE, BIT(63), "canonical"},
        {image_reset, F_GDTR_LIMIT, BIT(16), "31:16"},
        {image_reset, F_IDTR_LIMIT, BIT(31), "31:16"},
    };

    (void)state;
    seed_all("Checks on Guest Descriptor-Table Registers", faults, ARRAY_SIZE(faults));
}

static void below_the_hole(void) { /* was the last instruction: the fetch of the next one is #GP */
    image_start64();
    image[F_RIP] = UINT64_C(0x800000000000);
}

static void M01_guest_rip_rflags(void **state) {
    static const struct fault faults[] = {
        {image_start32, F_RIP, BIT(32), "outside IA-32e mode"},
        {compatibility, F_RIP, BIT(32), "unless CS.L is 1"},
        {image_start64, F_RIP, BIT(48), "above the linear-address width"},
        {image_reset, F_RFLAGS, BIT(1), "bit 1 must be 1"},
        {image_reset, F_RFLAGS, BIT(3), "bits 3, 5, 15"},
        {image_reset, F_RFLAGS, BIT(5), "bits 3, 5, 15"},
        {image_reset, F_RFLAGS, BIT(15), "bits 3, 5, 15"},
        {image_reset, F_RFLAGS, BIT(22), "63:22"},
        {image_start64, F_RFLAGS, BIT(17), "VM must be 0 in IA-32e mode"},
        {image_reset, F_RFLAGS, BIT(17), "VM must be 0 without"},
        {inject_interrupt, F_RFLAGS, BIT(9), "IF must be 1"},
    };

    (void)state;
    seed_all("Checks on Guest RIP, RFLAGS, and SSP", faults, ARRAY_SIZE(faults));
}

static void M01_guest_non_register_state(void **state) {
    static const struct fault faults[] = {
        {image_start64, F_ACTIVITY, 4, "0 to 3"},
        {no_hlt, F_ACTIVITY, 1, "IA32_VMX_MISC"},
        {user, F_ACTIVITY, 1, "DPL of SS"},
        {after_sti, F_ACTIVITY, 1, "must be active"},
        {after_mov_ss, F_ACTIVITY, 2, "must be active"},
        {inject_interrupt_halted, F_EVENT, BIT(10), "software"},
        {inject_db_halted, F_EVENT, 2, "but #DB and #MC"},
        {inject_mc_shut_down, F_EVENT, 0x12 ^ 1, "shutdown"},
        {waits_for_sipi, F_EVENT, 0x80000202, "wait-for-SIPI"},
        {image_start64, F_INTERRUPTIBILITY, 32, "31:5"},
        {after_sti, F_INTERRUPTIBILITY, 2, "not both"},
        {image_start64, F_INTERRUPTIBILITY, 1, "with RFLAGS.IF 0"},
        {inject_interrupt, F_INTERRUPTIBILITY, 1, "injected interrupt"},
        {inject_interrupt, F_INTERRUPTIBILITY, 2, "injected interrupt"},
        {inject_nmi, F_INTERRUPTIBILITY, 2, "MOV SS must not block an injected NMI"},
        {inject_nmi_after_sti, F_INTERRUPTIBILITY, 1, "STI must not block an injected NMI"},
        {inject_nmi, F_INTERRUPTIBILITY, 8, "an NMI must not block"},
        {image_start64, F_INTERRUPTIBILITY, 4, "SMI"},
        {able, F_INTERRUPTIBILITY, 2, "in an enclave"},
        {image_start64, F_INTERRUPTIBILITY, 16, "no enclaves"},
        {image_start64, F_PENDING_DEBUG, BIT(4), "10:4"},
        {image_start64, F_PENDING_DEBUG, BIT(13), "13, 15"},
        {image_start64, F_PENDING_DEBUG, BIT(63), "63:17"},
        {image_start64, F_PENDING_DEBUG, BIT(11), "bus-lock"},
        {after_sti, F_PENDING_DEBUG, BIT(14), "BS must be"},
        {halted, F_PENDING_DEBUG, BIT(14), "BS must be"},
        {single_step_by_branch, F_PENDING_DEBUG, BIT(14), "BS must be"},
        {single_step_after_mov_ss, F_PENDING_DEBUG, BIT(14), "BS must be"},
        {rtm, F_PENDING_DEBUG, BIT(12), "with RTM"},
        {rtm, F_PENDING_DEBUG, BIT(0), "with RTM"},
        {image_start64, F_PENDING_DEBUG, BIT(16) | BIT(12), "no RTM"},
        {able_after_mov_ss, F_PENDING_DEBUG, BIT(16) | BIT(12) | BIT(11), "RTM while MOV SS blocks"},
        {image_start64, F_LINK, BIT(0), "all ones"},
        {link_to_a_page, F_LINK, BIT(11), "all ones"},
        {link_to_a_page, F_LINK, BIT(40), "all ones"},
    };

    (void)state;
    seed_all("Checks on Guest Non-Register State", faults, ARRAY_SIZE(faults));
}

static void M01_guest_pdptes(void **state) {
    static const struct fault faults[] = {
        {pae, F_PDPTE0, BIT(1), "reserved"},
        {pae, F_PDPTE0 + 2, BIT(8), "reserved"},
        {pae, F_PDPTE0 + 4, BIT(40), "reserved"},
        {pae, F_PDPTE0 + 6, BIT(0), "reserved"},
    };

    (void)state;
    seed_all("Checks on Guest Page-Directory-Pointer-Table Entries", faults, ARRAY_SIZE(faults));
}

/* Rules of two fields, where the wrong one may be the other than the one that is shown. */
static void Y08_M10_M11_seen_elsewhere(void **state) {
    static const struct {
        struct fault fault;
        unsigned shown;
    } faults[] = {
        {{lists, F_STORE_LIST, 8, "16-byte aligned"}, F_STORE_COUNT},
        {{lists, F_LOAD_LIST, BIT(40), "below MAXPHYADDR"}, F_LOAD_COUNT},
        {{lists, F_ENTRY_LIST, BIT(63), "below MAXPHYADDR"}, F_ENTRY_COUNT},
        {{unrestricted_user, F_CR0, BIT(0), "DPL must be 0 without CR0.PE"}, RIGHTS(SEG_SS)},
        {{image_start64, LIMIT(SEG_TR), BIT(31), "1 unless 31:20 are 0"}, RIGHTS(SEG_TR)},
        {{image_start32, LIMIT(SEG_ES), BIT(11), "0 unless limit bits"}, RIGHTS(SEG_ES)},
    };
    struct vmcs_violation broken;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
        const struct fault *f = &faults[i].fault;

        f->good();
        flip(f->field, f->bits);
        assert_false(image_check(&broken));
        assert_int_equal(broken.encoding, faults[i].shown);
        assert_non_null(strstr(broken.rule, f->words));
    }
}

/* Events that nobody injects; and with the valid bit, those that are right where they are. */
static void Y07_V041_good_events(void **state) {
    static void (*const good[])(void) = {image_reset, image_start64, halted,         shut_down,
                                         after_sti,   after_mov_ss,  no_mtf_no_empty};
    static const uint32_t not_valid[] = {0x106, 0x203, 0x3ff, 0x701, 0xb06, 0x80d, 0x30d, 0x7ffff306, 0x480};
    static const struct {
        void (*good)(void);
        uint32_t event;
        unsigned interruptibility;
    } valid[] = {
        {after_mov_ss, 0x306, 2},      {after_sti, 0x306, 1}, {image_start64, 0x306, 8},
        {real_without_vnmi, 0x202, 8}, {halted, 0x312, 0},    {halted, 0x202, 0},
        {halted_with_mtf, 0x700, 0},   {shut_down, 0x202, 0}, {no_mtf_no_empty, 0x306, 0},
    };
    struct vmcs_violation broken;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        for (size_t e = 0; e < ARRAY_SIZE(not_valid); e++) {
            good[i]();
            image[F_EVENT] = not_valid[e];
            image[F_EVENT_ERROR] = image[F_EVENT_LENGTH] = e % 2 == 0 ? UINT32_MAX : 0;
            assert_true(image_check(&broken));
        }
    for (size_t i = 0; i < ARRAY_SIZE(valid); i++)
        for (unsigned length = 0; length <= 255; length += 255) {
            valid[i].good();
            image[F_EVENT] = 0x80000000 | valid[i].event;
            image[F_INTERRUPTIBILITY] = valid[i].interruptibility;
            image[F_EVENT_ERROR] = UINT32_MAX; /* none of them has one */
            image[F_EVENT_LENGTH] = length;
            if (!image_check(&broken))
                fail_msg("event %zu: %s is 0x%lx: %s", i, broken.field, broken.value, broken.rule);
        }
}

static void Y07_V041_good_states(void **state) {
    static void (*const good[])(void) = {
        image_reset,
        image_sipi,
        image_start32,
        image_start64,
        v86,
        user,
        user_conforming,
        cs_is_data,
        small_tss,
        unusable_segments,
        no_uc_no_dirty,
        uncached_ept,
        no_hlt,
        real_without_vnmi,
        pae,
        compatibility,
        halted,
        shut_down,
        waits_for_sipi,
        after_sti,
        after_mov_ss,
        inject_interrupt,
        inject_nmi,
        inject_nmi_after_sti,
        inject_gp,
        inject_ud,
        inject_gp_real,
        inject_any_error,
        inject_int,
        inject_int_length_0,
        inject_mtf,
        inject_db_halted,
        apicv,
        apicv_delivery,
        inject_mc_shut_down,
        no_ept,
        tertiary,
        no_secondary,
        able,
        inject_interrupt_halted,
        rtm,
        lists,
        link_to_a_page,
        able_after_mov_ss,
        single_step_after_mov_ss,
        single_step_by_branch,
        able_controls,
        unusable_data_of_user,
        conforming_data_of_user,
        rpl_without_restriction,
        v86_restricted,
        tss16_and_long_bit,
        nothing_loaded,
        nothing_loaded32,
        nothing_used,
        lme_without_paging,
        below_the_hole,
    };
    struct vmcs_violation broken;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        good[i]();
        if (!image_check(&broken))
            fail_msg("state %zu: %s%s is 0x%lx: %s", i, broken.field, broken.segment, broken.value,
                     broken.rule);
    }
    assert_int_equal(image_bad_reads, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(Y07_V041_good_states),
        cmocka_unit_test(Y07_V041_good_events),
        cmocka_unit_test(K01_K03_M03_M04_M05_execution_controls),
        cmocka_unit_test(M10_exit_controls),
        cmocka_unit_test(M11_entry_controls),
        cmocka_unit_test(Y08_M10_M11_seen_elsewhere),
        cmocka_unit_test(M02_host_registers),
        cmocka_unit_test(M02_host_segments),
        cmocka_unit_test(M02_host_address_space),
        cmocka_unit_test(M01_guest_registers),
        cmocka_unit_test(M01_guest_segments),
        cmocka_unit_test(M01_guest_descriptor_tables),
        cmocka_unit_test(M01_guest_rip_rflags),
        cmocka_unit_test(M01_guest_non_register_state),
        cmocka_unit_test(M01_guest_pdptes),
    };

    return cmocka_run_group_tests_name("vmcs_check", tests, NULL, NULL);
}
