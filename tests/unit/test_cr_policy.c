/* SPDX-License-Identifier: Apache-2.0 */
/* Rows X06, X31, V023-V025: the masks, and every #GP of MOV to CR0 and CR4 and of XSETBV. LMSW, CLTS
 * and WRMSR of EFER do not exit: guests/rows/cr.c tries them. */
#include <string.h>

#include "core/cr_policy.h"
#include "core/vmx_ctl.h"
#include "tests/unit/machine.h"
#include "tests/unit/unit.h"

#define PROTECTED (CR0_PE | CR0_ET | CR0_NE)
#define PAGED     (PROTECTED | CR0_PG)

static struct cr_policy policy;
static struct cr_change change;

static void load(const char *name) {
    struct cpuid_view view = {.nr_vcpus = 1, .tsc_khz = 1000000, .secondary = UINT32_MAX};
    struct cpuid_table cpuid;
    struct vmx_caps caps;

    machine_load(name);
    vmx_caps_read(&caps, machine_cpuid, machine_rdmsr);
    cpuid_build(&cpuid, &view, machine_cpuid);
    cr_policy_init(&policy, &caps, &cpuid);
}

static void X06_V025_masks_own_only_what_matters(void **state) {
    (void)state;
    load("corei7_skylake_x");
    assert_int_equal(policy.cr0_force, 0x20);
    assert_int_equal(policy.cr0_mask, 0x60000020);
    assert_int_equal(policy.cr4_force, 0x2040);
    assert_int_equal(policy.cr4_allowed, 0x3707ff);
    assert_int_equal(policy.cr4_mask, ~UINT64_C(0x3307bf)); /* OSXSAVE is ours to see */
    assert_int_equal(policy.xcr0_allowed, 0xe7);

    load("corei7_ivy_bridge_3770k");
    assert_int_equal(policy.cr4_allowed, 0x1707ff); /* no SMAP */
    load("corei7_icelake_u");
    assert_int_equal(policy.cr4_allowed, 0x370fff); /* UMIP */
    load("tigerlake");
    assert_int_equal(policy.cr4_allowed, 0x370fff); /* CET stays hidden */
}

static void V023_V025_real_registers_and_views(void **state) {
    (void)state;
    load("corei7_skylake_x");
    assert_int_equal(cr0_real(&policy, 0x60000010), 0x30); /* the state after RESET */
    assert_int_equal(cr4_real(&policy, 0), 0x2040);
    assert_int_equal(cr_view(0x80000031, 0x60000010, policy.cr0_mask), 0xe0000011);
    assert_int_equal(cr_view(0x26e8, 0x2000, policy.cr4_mask), 0x26a8);
}

static struct cr_state state_of(uint64_t cr0, uint64_t cr4, uint64_t efer, bool cs_l) {
    return (struct cr_state){.cr0 = cr0, .cr4 = cr4, .efer = efer, .cs_l = cs_l};
}

/* All combinations of what matters, against the rules in the order the SDM gives them. */
static enum cr_verdict cr0_expected(const struct cr_state *s, uint64_t v) {
    bool pg = v & CR0_PG, was = s->cr0 & CR0_PG;

    if (pg && !(v & CR0_PE))
        return CR_GP;
    if (!(v & CR0_CD) && (v & CR0_NW))
        return CR_GP;
    if (pg && !was && (s->efer & EFER_LME) && !(s->cr4 & CR4_PAE))
        return CR_GP;
    if (pg && !was && (s->efer & EFER_LME) && (s->cs_l || s->tss16))
        return CR_GP;
    if (!pg && was && (s->cr4 & CR4_PCIDE))
        return CR_GP;
    if (!pg && was && (s->efer & EFER_LMA) && s->cs_l)
        return CR_GP;
    return CR_OK;
}

static void check_cr0(const struct cr_state *s, uint64_t v) {
    bool lma = (v & CR0_PG) != 0 && (s->efer & EFER_LME) != 0;
    uint64_t changed = (s->cr0 ^ v) & (CR0_PG | CR0_CD | CR0_NW);
    enum cr_verdict expected = cr0_expected(s, v);

    assert_int_equal(cr0_write(&policy, s, v, &change), expected);
    if (cr0_is_plain(s->cr0, v)) { /* then nothing but these two */
        assert_int_equal(expected, CR_OK);
        assert_int_equal(change.shadow, cr0_guest(v));
        assert_int_equal(change.real, cr0_real(&policy, cr0_guest(v)));
        assert_int_equal(change.efer, s->efer);
        assert_false(change.load_pdptes || change.flush);
    }
    if (expected == CR_GP)
        return;
    assert_int_equal(change.shadow, v | CR0_ET);
    assert_int_equal(change.real, ((v | CR0_ET) & ~(CR0_CD | CR0_NW)) | CR0_NE);
    assert_int_equal(change.efer, (s->efer & ~EFER_LMA) | (lma ? EFER_LMA : 0));
    assert_int_equal(change.load_pdptes, changed != 0 && (v & CR0_PG) && (s->cr4 & CR4_PAE) && !lma);
    assert_int_equal(change.flush, ((s->cr0 ^ v) & CR0_PG) != 0);
}

static uint64_t pick(unsigned n, unsigned bit, uint64_t value) {
    return (n >> bit & 1) != 0 ? value : 0;
}

static void X06_V023_every_rule_of_mov_to_cr0(void **state) {
    (void)state;
    load("corei7_skylake_x");
    for (unsigned n = 0; n < 1u << 12; n++) {
        bool pg = n & 1, lme = n & 2;
        uint64_t now = CR0_ET | (pg ? CR0_PG | CR0_PE : pick(n, 2, CR0_PE));
        uint64_t value = pick(n, 3, CR0_PE) | pick(n, 4, CR0_PG) | pick(n, 5, CR0_CD) | pick(n, 6, CR0_NW) |
                         pick(n, 7, CR0_WP | CR0_NE);
        uint64_t cr4 = pick(n, 8, CR4_PAE) | pick(n, 9, CR4_PCIDE);
        struct cr_state s = state_of(now, cr4, lme ? EFER_LME | (pg ? EFER_LMA : 0) : EFER_NXE, n >> 10 & 1);

        s.tss16 = (n >> 11 & 1) != 0;
        check_cr0(&s, value);
    }
}

static void X06_V023_reserved_bits_of_cr0(void **state) {
    struct cr_state s = state_of(PROTECTED, 0, 0, false);

    (void)state;
    load("corei7_skylake_x");
    for (unsigned bit = 32; bit < 64; bit++)
        assert_int_equal(cr0_write(&policy, &s, PROTECTED | BIT(bit), &change), CR_GP);
    assert_int_equal(cr0_write(&policy, &s, CR0_PE | 0x1ffaffc0, &change), CR_OK);
    assert_int_equal(change.shadow, CR0_PE | CR0_ET); /* the reserved low ones do not stick */
    assert_int_equal(change.real, PROTECTED);
}

static enum cr_verdict try_cr4(struct cr_state s, uint64_t value) {
    return cr4_write(&policy, &s, value, &change);
}

static void X06_V024_V025_every_rule_of_mov_to_cr4(void **state) {
    struct cr_state real = state_of(PROTECTED, 0, 0, false);
    struct cr_state pae = state_of(PAGED, CR4_PAE, 0, false);
    struct cr_state lng = state_of(PAGED, CR4_PAE, EFER_LME | EFER_LMA, true);

    (void)state;
    load("corei7_skylake_x");
    for (unsigned bit = 0; bit < 64; bit++) { /* also VMXE, SMXE, UMIP, LA57, PKE, CET, PKS... */
        bool fine = (policy.cr4_allowed & BIT(bit)) != 0 && BIT(bit) != CR4_PCIDE;

        assert_int_equal(try_cr4(real, BIT(bit)), fine ? CR_OK : CR_GP);
        if (fine) {
            assert_int_equal(change.real, BIT(bit) | CR4_VMXE | CR4_MCE);
            assert_int_equal(change.shadow, BIT(bit));
            assert_false(change.load_pdptes);
        }
    }
    assert_int_equal(try_cr4(lng, 0), CR_GP); /* PAE cannot go in long mode */
    assert_int_equal(try_cr4(pae, 0), CR_OK);
    assert_true(change.flush);
    assert_int_equal(try_cr4(lng, CR4_PAE | CR4_PCIDE), CR_OK);
    assert_int_equal(change.efer, lng.efer);
    assert_int_equal(try_cr4(pae, CR4_PAE | CR4_PCIDE), CR_GP); /* not in long mode */
    lng.cr3 = 0x1001;
    assert_int_equal(try_cr4(lng, CR4_PAE | CR4_PCIDE), CR_GP); /* PCID in use */
    lng.cr4 |= CR4_PCIDE;
    assert_int_equal(try_cr4(lng, CR4_PAE | CR4_PCIDE), CR_OK); /* is on already */
    assert_false(change.flush);
    assert_int_equal(try_cr4(lng, CR4_PAE), CR_OK);
    assert_true(change.flush);
}

static void X06_V025_writes_of_cr4_that_load_pdptes(void **state) {
    struct cr_state pae = state_of(PAGED, CR4_PAE, 0, false);

    (void)state;
    load("corei7_skylake_x");
    for (unsigned bit = 0; bit < 21; bit++) {
        bool loads = BIT(bit) == CR4_PSE || BIT(bit) == CR4_PGE || BIT(bit) == CR4_SMEP;

        if (BIT(bit) != CR4_PAE && try_cr4(pae, CR4_PAE | BIT(bit)) == CR_OK) {
            assert_int_equal(change.load_pdptes, loads);
            assert_int_equal(change.flush, loads);
        }
    }
    pae.cr4 = 0;
    assert_int_equal(try_cr4(pae, CR4_PAE), CR_OK);
    assert_true(change.load_pdptes);
    pae.cr0 = PROTECTED;
    assert_int_equal(try_cr4(pae, CR4_PAE), CR_OK);
    assert_false(change.load_pdptes);
}

static void X31_every_rule_of_xsetbv(void **state) {
    (void)state;
    load("corei7_skylake_x");
    for (uint64_t v = 0; v < 1024; v++) {
        uint64_t avx512 = v & 0xe0;
        bool fine = (v & 1) != 0 && (v & ~UINT64_C(0xe7)) == 0 && ((v & 4) == 0 || (v & 2) != 0) &&
                    (avx512 == 0 || (avx512 == 0xe0 && (v & 6) == 6));

        assert_int_equal(xcr0_write(&policy, 0, v), fine ? CR_OK : CR_GP);
        assert_int_equal(xcr0_write(&policy, 1, v), CR_GP);
        assert_int_equal(xcr0_write(&policy, 0, v | BIT(62)), CR_GP);
    }
    load("corei7_ivy_bridge_3770k");
    assert_int_equal(xcr0_write(&policy, 0, 7), CR_OK);
    assert_int_equal(xcr0_write(&policy, 0, 0xe7), CR_GP);
}

static void X06_V023_reserved_bits_of_pdptes(void **state) {
    (void)state;
    for (unsigned which = 0; which < 4; which++) {
        for (unsigned bit = 1; bit < 64; bit++) {
            bool reserved = bit <= 2 || (bit >= 5 && bit <= 8) || bit >= 40;
            uint64_t p[4] = {0x1001, 0, 0x3019, 0xffe000e01};

            p[which] = BIT(bit); /* not present: anything goes */
            assert_true(cr_pdptes_valid(p, 40));
            p[which] |= 1;
            assert_int_equal(cr_pdptes_valid(p, 40), !reserved);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(X06_V025_masks_own_only_what_matters),
        cmocka_unit_test(V023_V025_real_registers_and_views),
        cmocka_unit_test(X06_V023_every_rule_of_mov_to_cr0),
        cmocka_unit_test(X06_V023_reserved_bits_of_cr0),
        cmocka_unit_test(X06_V024_V025_every_rule_of_mov_to_cr4),
        cmocka_unit_test(X06_V025_writes_of_cr4_that_load_pdptes),
        cmocka_unit_test(X31_every_rule_of_xsetbv),
        cmocka_unit_test(X06_V023_reserved_bits_of_pdptes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
