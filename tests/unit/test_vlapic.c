/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/vlapic.h"
#include "tests/unit/unit.h"

#define BASE    UINT64_C(0xfee00000)
#define EN      0x800u
#define EXTD    0x400u
#define MASKED  0x10000u
#define NOTHING UINT64_C(0xdeadbeefdeadbeef)

static struct vlapic v;
static struct vlapic_effect effect;

static void to_x2apic(void) {
    assert_int_equal(vlapic_write_base(&v, BASE | EN | EXTD), VLAPIC_DONE);
}

static int setup(void **state) {
    (void)state;
    memset(&v, 0xa5, sizeof(v));
    vlapic_reset(&v, 21, false, true);
    return 0;
}

static uint64_t get(unsigned reg) {
    uint64_t value = NOTHING;

    assert_int_equal(vlapic_read(&v, v.mode, reg, &value), VLAPIC_DONE);
    return value;
}

static enum vlapic_verdict put(unsigned reg, uint64_t value) {
    memset(&effect, 0xa5, sizeof(effect));
    return vlapic_write(&v, v.mode, reg, value, &effect);
}

static void put_real(unsigned reg, uint64_t value, uint64_t real) {
    assert_int_equal(put(reg, value), VLAPIC_HARDWARE);
    assert_int_equal(effect.reg, reg);
    assert_int_equal(effect.value, real);
}

/* One letter a register. Read: D answered here, H from hardware, - absent. Write, of 0 where no
 * more is allowed: D kept or ignored here (an ICR of 0 is an illegal vector), H to hardware, - absent or
 * read-only. */
static void expect_map(const char *reads, const char *writes) {
    bool x2 = v.mode == VLAPIC_X2APIC;

    for (unsigned reg = 0; reg < 0x400; reg++) {
        char r = reg < 0x40 ? reads[reg] : '-', w = reg < 0x40 ? writes[reg] : '-';
        uint64_t value = NOTHING;
        enum vlapic_verdict verdict = vlapic_read(&v, v.mode, reg, &value);

        assert_int_equal(verdict, r == 'H' ? VLAPIC_HARDWARE : r == '-' && x2 ? VLAPIC_GP : VLAPIC_DONE);
        assert_true(r != '-' || value == 0);
        verdict = put(reg, 0);
        assert_int_equal(verdict, w == 'H' ? VLAPIC_HARDWARE : w == '-' && x2 ? VLAPIC_GP : VLAPIC_DONE);
        assert_int_equal(effect.reg, w == 'H' ? reg : 0);
    }
}

static void X27_register_maps_of_page_and_msrs(void **state) {
    (void)state;
    /*           0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef */
    expect_map("--DH----H-H--DDDHHHHHHHHHHHHHHHHHHHHHHHHH------DDDDDDDDDHH----H-",
               "--------H--H-DDH------------------------H------DDDHDDDDHH-----H-");
    setup(NULL);
    to_x2apic();
    expect_map("--DH----H-H--D-DHHHHHHHHHHHHHHHHHHHHHHHHH------DD-DDDDDDHH----H-",
               "--------H--H---H------------------------H------DD-HDDDDHH-----HH");
}

static void test_after_reset(void **state) {
    (void)state;
    assert_int_equal(v.mode, VLAPIC_XAPIC);
    assert_int_equal(v.base_msr, BASE | EN);
    assert_int_equal(get(APIC_ID), 21u << 24);
    assert_int_equal(get(APIC_LDR), 0);
    assert_int_equal(get(APIC_DFR), 0xffffffff);
    assert_int_equal(get(APIC_SVR), 0xff);
    for (unsigned reg = APIC_LVT_TIMER; reg <= APIC_LVT_ERROR; reg++)
        assert_int_equal(get(reg), MASKED);
    vlapic_reset(&v, 0, true, true);
    assert_int_equal(v.base_msr, BASE | EN | 0x100);
}

static void test_identity(void **state) {
    (void)state;
    assert_int_equal(put(APIC_ID, 0x7f000000), VLAPIC_DONE);
    assert_int_equal(get(APIC_ID), 21u << 24);
    assert_int_equal(put(APIC_LDR, 0x12345678), VLAPIC_DONE);
    assert_int_equal(get(APIC_LDR), 0x12000000);
    assert_int_equal(put(APIC_DFR, 0x0abcdef0), VLAPIC_DONE);
    assert_int_equal(get(APIC_DFR), 0x0fffffff);
    to_x2apic();
    assert_int_equal(get(APIC_ID), 21);
    assert_int_equal(get(APIC_LDR), 0x10020);
    assert_int_equal(put(APIC_ID, 21), VLAPIC_GP);
    assert_int_equal(put(APIC_LDR, 0x10020), VLAPIC_GP);
}

static void V060_the_way_that_is_not_open(void **state) {
    uint64_t value;

    (void)state;
    assert_int_equal(vlapic_read(&v, VLAPIC_X2APIC, APIC_ID, &value), VLAPIC_GP);
    assert_int_equal(vlapic_write(&v, VLAPIC_X2APIC, APIC_TPR, 0, &effect), VLAPIC_GP);
    to_x2apic();
    assert_int_equal(vlapic_read(&v, VLAPIC_XAPIC, APIC_VERSION, &value), VLAPIC_DONE);
    assert_int_equal(value, 0xffffffff);
    assert_int_equal(vlapic_write(&v, VLAPIC_XAPIC, APIC_SVR, 0x1ff, &effect), VLAPIC_DONE);
    assert_int_equal(get(APIC_SVR), 0xff);
    assert_int_equal(vlapic_write_base(&v, BASE), VLAPIC_RESET);
    assert_int_equal(vlapic_read(&v, VLAPIC_X2APIC, APIC_ID, &value), VLAPIC_GP);
    assert_int_equal(vlapic_read(&v, VLAPIC_XAPIC, APIC_ID, &value), VLAPIC_DONE);
    assert_int_equal(value, 0xffffffff);
}

/* Every bit of every writable register: what a real one gets never has a reserved bit. */
static void test_reserved_bits(void **state) {
    static const struct {
        unsigned reg;
        uint64_t accepted, real;
    } rows[] = {
        {APIC_TPR, 0xff, 0xff},
        {APIC_EOI, 0, 0},
        {APIC_SVR, 0x13ff, 0x1ff},
        {APIC_ESR, 0, 0},
        {APIC_INITIAL_COUNT, 0xffffffff, 0xffffffff},
        {APIC_DIVIDE, 0xb, 0xb},
        {APIC_LVT_TIMER, 0x710ff, 0x700ff},
        {APIC_LVT_ERROR, 0x110ff, 0x100ff},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        for (unsigned bit = 0; bit < 64; bit++) {
            setup(NULL);
            assert_int_equal(put(APIC_SVR, 0x1ff), VLAPIC_HARDWARE);
            if (bit < 32) {
                assert_int_equal(put(rows[i].reg, BIT(bit)), VLAPIC_HARDWARE);
                assert_int_equal(effect.value & ~rows[i].real, 0);
            }
            to_x2apic();
            if ((BIT(bit) & rows[i].accepted) == 0) {
                assert_int_equal(put(rows[i].reg, BIT(bit)), VLAPIC_GP);
                assert_int_equal(effect.reg | effect.value, 0);
            } else {
                assert_int_equal(put(rows[i].reg, BIT(bit)), VLAPIC_HARDWARE);
                assert_int_equal(effect.value & ~rows[i].real, 0);
                assert_int_equal(effect.value & 0xff, BIT(bit) & 0xff & rows[i].real);
            }
        }
    }
    assert_int_equal(put(APIC_SELF_IPI, 0x100), VLAPIC_GP);
    put_real(APIC_SELF_IPI, 0xef, 0xef);
    assert_int_equal(put(APIC_LVT_LINT0, 0x1f0ff), VLAPIC_DONE);
    assert_int_equal(put(APIC_LVT_LINT0, 0x00800), VLAPIC_GP);
    assert_int_equal(put(APIC_LVT_TIMER, 0x04000), VLAPIC_GP);
    assert_int_equal(put(APIC_LVT_CMCI, 0x200ff), VLAPIC_GP);
}

static void test_software_disable(void **state) {
    (void)state;
    put_real(APIC_LVT_TIMER, 0x400ef, 0x500ef); /* mask forced while disabled */
    assert_int_equal(get(APIC_LVT_TIMER), 0x500ef);
    put_real(APIC_SVR, 0x10001ff, 0x1ff);
    assert_int_equal(get(APIC_SVR), 0x1ff);
    put_real(APIC_LVT_TIMER, 0x400ef, 0x400ef);
    put_real(APIC_LVT_ERROR, 0xfe, 0xfe);
    assert_int_equal(put(APIC_LVT_LINT1, 0x400), VLAPIC_DONE);
    put_real(APIC_SVR, 0x10ff, 0xff);
    assert_int_equal(get(APIC_SVR), 0x10ff);
    assert_int_equal(get(APIC_LVT_TIMER), 0x500ef);
    assert_int_equal(get(APIC_LVT_ERROR), 0x100fe);
    assert_int_equal(get(APIC_LVT_LINT1), 0x10400);
}

static void test_lvt_modes(void **state) {
    /* per delivery mode: may a pin, may a counter have it */
    static const bool pin[] = {true, false, false, false, true, false, false, true};
    static const bool counter[] = {true, false, false, false, true, false, false, false};

    (void)state;
    put_real(APIC_SVR, 0x1ff, 0x1ff);
    for (unsigned reg = APIC_LVT_THERMAL; reg <= APIC_LVT_LINT1; reg++) {
        for (unsigned mode = 0; mode < 8; mode++) {
            bool ok = reg >= APIC_LVT_LINT0 ? pin[mode] : counter[mode];
            uint32_t seen = ok ? mode << 8 | 0x41 : MASKED | 0x41;

            assert_int_equal(put(reg, mode << 8 | 0x41), VLAPIC_DONE);
            assert_int_equal(get(reg), seen);
        }
    }
    put_real(APIC_LVT_TIMER, 0x741, 0x41); /* the timer has no mode bits */
}

static void test_timer_modes(void **state) {
    (void)state;
    put_real(APIC_SVR, 0x1ff, 0x1ff);
    put_real(APIC_LVT_TIMER, 0x20041, 0x20041);
    put_real(APIC_LVT_TIMER, 0x60041, MASKED | 0x41);
    to_x2apic();
    assert_int_equal(put(APIC_LVT_TIMER, 0x60041), VLAPIC_GP);
    vlapic_reset(&v, 0, true, false);
    put_real(APIC_SVR, 0x1ff, 0x1ff);
    put_real(APIC_LVT_TIMER, 0x40041, 0x41); /* a real timer without the mode never gets the bit */
    put_real(APIC_LVT_TIMER, 0x60041, 0x20041);
    to_x2apic();
    assert_int_equal(put(APIC_LVT_TIMER, 0x40041), VLAPIC_GP);
}

/* "x2APIC State Transitions": rows are the present mode, columns what EN and EXTD ask for. */
static void V060_mode_transitions(void **state) {
    static const uint64_t enter[][2] = {{0, 0}, {EN, 0}, {EN, EN | EXTD}};
    static const enum vlapic_verdict expected[3][4] = {
        /* 0            EXTD       EN           EN | EXTD */
        {VLAPIC_DONE, VLAPIC_GP, VLAPIC_DONE, VLAPIC_GP},
        {VLAPIC_RESET, VLAPIC_GP, VLAPIC_DONE, VLAPIC_DONE},
        {VLAPIC_RESET, VLAPIC_GP, VLAPIC_GP, VLAPIC_DONE},
    };

    (void)state;
    for (unsigned from = 0; from < 3; from++) {
        for (unsigned to = 0; to < 4; to++) {
            static const enum vlapic_mode modes[] = {VLAPIC_DISABLED, 9, VLAPIC_XAPIC, VLAPIC_X2APIC};
            uint64_t bits = (to & 1 ? EXTD : 0) | (to & 2 ? EN : 0);
            enum vlapic_verdict verdict;

            setup(NULL);
            assert_int_not_equal(vlapic_write_base(&v, BASE | enter[from][0]), VLAPIC_GP);
            if (from == 2)
                to_x2apic();
            verdict = vlapic_write_base(&v, BASE | bits);
            assert_int_equal(verdict, expected[from][to]);
            assert_int_equal(v.mode, verdict == VLAPIC_GP ? (enum vlapic_mode)from : modes[to]);
            assert_int_equal(v.base_msr, BASE | (verdict == VLAPIC_GP ? enter[from][1 - (from < 2)] : bits));
        }
    }
}

static void V060_reserved_bits_and_a_moved_page_are_gp(void **state) {
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++)
        if (bit != 8 && bit != 10 && bit != 11)
            assert_int_equal(vlapic_write_base(&v, (BASE | EN) ^ BIT(bit)), VLAPIC_GP);
    assert_int_equal(v.base_msr, BASE | EN);
    assert_int_equal(vlapic_write_base(&v, BASE | EN | 0x100), VLAPIC_DONE);
    assert_int_equal(v.base_msr, BASE | EN); /* still not the boot CPU */
}

static void V060_what_survives_a_transition(void **state) {
    (void)state;
    put_real(APIC_SVR, 0x1ff, 0x1ff);
    put_real(APIC_LVT_TIMER, 0x41, 0x41);
    assert_int_equal(put(APIC_ICR_HIGH, 0x12345678), VLAPIC_DONE);
    assert_int_equal(get(APIC_ICR_HIGH), 0x12000000);
    assert_int_equal(put(APIC_LDR, 0x80000000), VLAPIC_DONE);
    to_x2apic();
    assert_int_equal(get(APIC_ICR), 0);
    assert_int_equal(get(APIC_LDR), 0x10020);
    assert_int_equal(get(APIC_LVT_TIMER), 0x41); /* the rest survives */
    to_x2apic();
    vlapic_init_signal(&v);
    assert_int_equal(v.mode, VLAPIC_X2APIC);
    assert_int_equal(get(APIC_LDR), 0x10020);
    assert_int_equal(get(APIC_SVR), 0xff);
    assert_int_equal(get(APIC_LVT_TIMER), MASKED);
    put_real(APIC_SVR, 0x1ff, 0x1ff);
    assert_int_equal(vlapic_write_base(&v, BASE), VLAPIC_RESET);
    assert_int_equal(vlapic_write_base(&v, BASE), VLAPIC_DONE);
    assert_int_equal(vlapic_write_base(&v, BASE | EN), VLAPIC_DONE);
    assert_int_equal(get(APIC_SVR), 0xff);
    assert_int_equal(get(APIC_LDR), 0);
    assert_int_equal(get(APIC_ID), 21u << 24);
}

static void X27_icr_both_ways(void **state) {
    (void)state;
    assert_int_equal(put(APIC_ICR_HIGH, 0x03ffffff), VLAPIC_DONE);
    assert_int_equal(put(APIC_ICR, 0xfffff0f1), VLAPIC_IPI);
    assert_int_equal(effect.value, 0x03000000000cc0f1);
    assert_int_equal(get(APIC_ICR), 0xcc0f1); /* delivery status reads idle */
    assert_int_equal(get(APIC_ICR_HIGH), 0x03000000);
    to_x2apic();
    assert_int_equal(put(APIC_ICR, 0x00000005000000f1), VLAPIC_IPI);
    assert_int_equal(effect.value, 0x00000005000000f1);
    assert_int_equal(get(APIC_ICR), 0x00000005000000f1);
    for (unsigned bit = 0; bit < 64; bit++) {
        bool reserved = bit == 13 || bit == 16 || bit == 17 || (bit >= 20 && bit < 32);

        assert_int_equal(put(APIC_ICR, 0xf1 | BIT(bit)) == VLAPIC_GP, reserved);
    }
    assert_int_equal(put(APIC_ICR, 0x10f1), VLAPIC_IPI);
    assert_int_equal(get(APIC_ICR), 0xf1);
}

/* ESR shows at a write what was found since the last one, and the error entry interrupts. */
static void X27_illegal_vector_is_logged(void **state) {
    uint64_t value;

    (void)state;
    for (unsigned x2 = 0; x2 < 2; x2++) {
        setup(NULL);
        put_real(APIC_SVR, 0x1ff, 0x1ff);
        if (x2 != 0)
            to_x2apic();
        for (unsigned mode = 0; mode < 8; mode++) {
            bool illegal = mode <= 1; /* fixed and lowest priority; others have no vector, or a page */

            put_real(APIC_ESR, 0, 0);
            put_real(APIC_ESR, 0, 0);
            assert_int_equal(put(APIC_ICR, 0x4000f | mode << 8), illegal ? VLAPIC_DONE : VLAPIC_IPI);
            assert_int_equal(vlapic_read(&v, v.mode, APIC_ESR, &value), VLAPIC_HARDWARE);
            assert_int_equal(value, 0);
            put_real(APIC_ESR, 0, 0);
            assert_int_equal(vlapic_read(&v, v.mode, APIC_ESR, &value), VLAPIC_HARDWARE);
            assert_int_equal(value, illegal ? 0x20 : 0);
        }
        put_real(APIC_LVT_ERROR, 0xe3, 0xe3);
        assert_int_equal(put(APIC_ICR, 0x00), VLAPIC_HARDWARE);
        assert_int_equal(effect.reg, APIC_SELF_IPI);
        assert_int_equal(effect.value, 0xe3);
        put_real(APIC_LVT_ERROR, 0x100e3, 0x100e3);
        assert_int_equal(put(APIC_ICR, 0x10f), VLAPIC_DONE);
        assert_int_equal(put(APIC_ICR, 0x10), VLAPIC_IPI);
        vlapic_init_signal(&v);
        put_real(APIC_ESR, 0, 0);
        assert_int_equal(vlapic_read(&v, v.mode, APIC_ESR, &value), VLAPIC_HARDWARE);
        assert_int_equal(value, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(X27_register_maps_of_page_and_msrs, setup),
        cmocka_unit_test_setup(test_after_reset, setup),
        cmocka_unit_test_setup(test_identity, setup),
        cmocka_unit_test_setup(V060_the_way_that_is_not_open, setup),
        cmocka_unit_test_setup(test_reserved_bits, setup),
        cmocka_unit_test_setup(test_software_disable, setup),
        cmocka_unit_test_setup(test_lvt_modes, setup),
        cmocka_unit_test_setup(test_timer_modes, setup),
        cmocka_unit_test_setup(V060_mode_transitions, setup),
        cmocka_unit_test_setup(V060_reserved_bits_and_a_moved_page_are_gp, setup),
        cmocka_unit_test_setup(V060_what_survives_a_transition, setup),
        cmocka_unit_test_setup(X27_icr_both_ways, setup),
        cmocka_unit_test_setup(X27_illegal_vector_is_logged, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
