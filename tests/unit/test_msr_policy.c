/* SPDX-License-Identifier: Apache-2.0 */
/* Rows C08, C14, K05, K06, V005, V016, V017, V104, X09, X10, M07: the exact set that passes, a sweep
 * over everything else, what may be written, and one golden file per recorded machine. */
#include <string.h>

#include "core/msr_policy.h"
#include "tests/unit/golden.h"
#include "tests/unit/machine.h"
#include "tests/unit/unit.h"

#define READS  1
#define WRITES 2

/* What the guest touches without an exit, written down a second time on purpose. */
static unsigned expect_pass(uint32_t i, bool x2apic, enum msr_tsc tsc) {
    static const uint32_t both[] = {0x48,       0x49,       0xe1,       0x10b,      0x174,      0x175,
                                    0x176,      0x277,      0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083,
                                    0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103};
    static const uint32_t apic[] = {0x803, 0x808, 0x80a, 0x80b, 0x838, 0x839, 0x83e, 0x83f};

    for (size_t k = 0; k < ARRAY_SIZE(both); k++)
        if (i == both[k])
            return READS | WRITES;
    for (size_t k = 0; k < ARRAY_SIZE(apic); k++)
        if (i == apic[k])
            return x2apic ? READS | WRITES : 0;
    if (i >= 0x810 && i <= 0x827)
        return x2apic ? READS | WRITES : 0;
    if (i == 0x6e0)
        return tsc == MSR_TSC_MOVED ? 0 : READS | WRITES;
    return i == 0x10 || (i == 0x3b && tsc == MSR_TSC_BARE) ? READS : 0;
}

static unsigned bitmap_pass(const uint8_t *page, uint32_t i) {
    size_t at = (i >= 0xc0000000 ? 1024 : 0) + (i & 0x1fff) / 8;

    return ((page[at] >> (i & 7) & 1) == 0 ? READS : 0) |
           ((page[at + 2048] >> (i & 7) & 1) == 0 ? WRITES : 0);
}

static void C14_M07_K05_bitmap_is_ones_but_for_these(void **state) {
    uint8_t page[4096];

    (void)state;
    for (unsigned mode = 0; mode < 2 * MSR_TSC_KINDS; mode++) {
        bool x2apic = (mode & 1) != 0;
        enum msr_tsc tsc = mode / 2;

        memset(page, 0x5a, sizeof(page));
        msr_bitmap_build(page, x2apic, tsc);
        for (uint32_t i = 0; i < 0x2000; i++) {
            assert_int_equal(bitmap_pass(page, i), expect_pass(i, x2apic, tsc));
            assert_int_equal(bitmap_pass(page, 0xc0000000 + i), expect_pass(0xc0000000 + i, x2apic, tsc));
        }
    }
}

static const struct {
    uint32_t index;
    enum msr_verdict read, write; /* write: of the value just read, or 0 */
    uint64_t value;
} exits[] = {
    {0x10, MSR_GP, MSR_ARCH, 0}, /* reads do not exit */
    {0x17, MSR_DONE, MSR_GP, 0},     {0x1b, MSR_ARCH, MSR_ARCH, 0},
    {0x3a, MSR_DONE, MSR_GP, 1},     {0x3b, MSR_DONE, MSR_ARCH, 0},
    {0x79, MSR_GP, MSR_DONE, 0},     {0x8b, MSR_DONE, MSR_DONE, UINT64_C(0x0200006500000000)},
    {0xfe, MSR_DONE, MSR_GP, 0x500}, {0x10a, MSR_DONE, MSR_GP, UINT64_C(0x400000001d1ae17f)},
    {0x179, MSR_DONE, MSR_GP, 0},    {0x1a0, MSR_DONE, MSR_DONE, 0x1801},
    {0x1d9, MSR_ARCH, MSR_ARCH, 0},  {0x2ff, MSR_DONE, MSR_DONE, 0x806},
    {0x6e0, MSR_ARCH, MSR_ARCH, 0},  {0xda0, MSR_DONE, MSR_DONE, 0},
};

static void init(struct msr_state *s) {
    msr_policy_init();
    msr_state_init(s, UINT64_C(0x0200006500000000), UINT64_MAX);
}

static void check_index(uint32_t index) {
    enum msr_verdict read = MSR_GP, write = MSR_GP;
    uint64_t expect = 0, value = 0;
    struct msr_state s;

    if (index == 0x250 || index == 0x258 || index == 0x259 || (index >= 0x268 && index <= 0x26f)) {
        read = write = MSR_DONE; /* fixed-range MTRRs: eleven, all write-back */
        expect = UINT64_C(0x0606060606060606);
    }
    if (index >= 0x800 && index <= 0x8ff)
        read = write = MSR_ARCH;
    for (size_t k = 0; k < ARRAY_SIZE(exits); k++) {
        if (exits[k].index == index) {
            read = exits[k].read;
            write = exits[k].write;
            expect = exits[k].value;
        }
    }
    init(&s);
    assert_int_equal(msr_read(&s, index, &value), read);
    assert_int_equal(value, expect);
    assert_int_equal(msr_write(&s, index, value), write);
    assert_int_equal(msr_read(&s, index, &value), read);
    assert_int_equal(value, expect);
}

static void V005_X09_X10_V104_sweep_of_all_indexes(void **state) {
    static const uint32_t odd[] = {0x2000,     0x40000000, 0x40000020, 0x4b564d00, 0x4b564d01, 0xbfffffff,
                                   0xc0002000, 0xc0010015, 0xc0011029, 0xfffffffe, 0xffffffff};

    (void)state;
    for (uint32_t i = 0; i < 0x2000; i++) {
        check_index(i);
        check_index(0xc0000000 + i);
    }
    for (size_t k = 0; k < ARRAY_SIZE(odd); k++)
        check_index(odd[k]);
}

static void assert_write(struct msr_state *s, uint32_t index, uint64_t value, uint64_t then) {
    uint64_t now;

    assert_int_equal(msr_write(s, index, value), MSR_DONE);
    assert_int_equal(msr_read(s, index, &now), MSR_DONE);
    assert_int_equal(now, then);
}

static void X10_V017_K06_reserved_bits_are_gp(void **state) {
    struct msr_state s;

    (void)state;
    init(&s);
    assert_write(&s, 0x8b, 7, UINT64_C(0x0200006500000000));
    assert_write(&s, 0x1a0, 0, 0x1800);
    assert_write(&s, 0x1a0, 0x1881, 0x1801);
    for (unsigned bit = 0; bit < 64; bit++) {
        bool fine = bit == 0 || bit == 7 || bit == 11 || bit == 12;

        assert_int_equal(msr_write(&s, 0x1a0, BIT(bit)), fine ? MSR_DONE : MSR_GP);
        assert_int_equal(msr_write(&s, 0x1d9, BIT(bit)), bit < 2 ? MSR_ARCH : MSR_GP);
        assert_int_equal(msr_write(&s, 0xda0, BIT(bit)), MSR_GP);
        assert_int_equal(msr_write(&s, 0xd90, BIT(bit)), MSR_GP);
        assert_int_equal(msr_write(&s, 0x1b, BIT(bit)), MSR_ARCH); /* vlapic checks */
    }
}

static bool is_type(unsigned type) {
    return type == 0 || type == 1 || type == 4 || type == 5 || type == 6;
}

/* What Linux does around a PAT change: off, uncached, and back. */
static void X10_mtrr_default_type(void **state) {
    struct msr_state s;

    (void)state;
    init(&s);
    assert_write(&s, 0x2ff, 0, 0);
    assert_write(&s, 0x2ff, 0x806, 0x806);
    assert_write(&s, 0x2ff, 0xc06, 0xc06);
    for (unsigned type = 0; type < 256; type++)
        assert_int_equal(msr_write(&s, 0x2ff, 0x800 | type), is_type(type) ? MSR_DONE : MSR_GP);
    for (unsigned bit = 8; bit < 64; bit++) {
        bool fine = bit == 10 || bit == 11;

        assert_int_equal(msr_write(&s, 0x2ff, BIT(bit)), fine ? MSR_DONE : MSR_GP);
    }
}

/* Each register has its own value, each of its bytes has to be a memory type. */
static void X10_mtrr_fixed_ranges(void **state) {
    static const uint32_t fixed[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
                                     0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
    struct msr_state s;
    uint64_t value;

    (void)state;
    init(&s);
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
        assert_write(&s, fixed[i], UINT64_C(0x0001040506000000) | (i & 1) << 2,
                     UINT64_C(0x0001040506000000) | (i & 1) << 2);
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++) {
        assert_int_equal(msr_read(&s, fixed[i], &value), MSR_DONE);
        assert_int_equal(value, UINT64_C(0x0001040506000000) | (i & 1) << 2);
        for (uint64_t type = 0; type < 256; type++)
            for (unsigned byte = 0; byte < 8; byte++)
                assert_int_equal(msr_write(&s, fixed[i], type << 8 * byte),
                                 is_type((unsigned)type) ? MSR_DONE : MSR_GP);
    }
    assert_int_equal(msr_read(&s, 0x2ff, &value), MSR_DONE);
    assert_int_equal(value, 0x806);
}

static void C08_X10_deadline_of_a_moved_tsc(void **state) {
    static const uint64_t nows[] = {1, 1000, UINT64_C(1) << 40, UINT64_C(1) << 62};
    static const uint64_t adjusts[] = {0,           1,       500,         UINT64_C(1) << 32,
                                       BIT(63) - 1, BIT(63), BIT(63) + 1, UINT64_MAX};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(nows); i++) {
        for (size_t k = 0; k < ARRAY_SIZE(adjusts); k++) {
            uint64_t now = nows[i], adjust = adjusts[k], guest = now + adjust;

            assert_int_equal(msr_deadline_real(0, adjust, now), 0);
            assert_int_equal(msr_deadline_real(guest, adjust, now), guest == 0 ? 0 : 1); /* has passed */
            if (guest > 1)
                assert_int_equal(msr_deadline_real(1, adjust, now), 1);
            if (guest < UINT64_MAX - 5000)
                assert_int_equal(msr_deadline_real(guest + 5000, adjust, now), now + 5000);
            /* never: as late as can be, neither wrapped nor disarmed */
            assert_true(msr_deadline_real(UINT64_MAX, adjust, now) >= (guest == UINT64_MAX ? 1 : now));
        }
        assert_int_equal(msr_deadline_real(nows[i], -nows[i], nows[i]), 2 * nows[i]);
        assert_int_equal(msr_deadline_real(UINT64_MAX, -nows[i], nows[i]), UINT64_MAX);
    }
}

/* "FIRST-LAST read ..., write ..." for MSRs in a row that answer alike. */
static void golden_msrs(const uint8_t *page, struct msr_state *s) {
    static const char *const verdicts[] = {[MSR_DONE] = "done", [MSR_GP] = "#GP", [MSR_ARCH] = "handled"};
    char line[80], before[80] = "";
    uint32_t first = 0;

    for (uint32_t n = 0; n <= 0x4000; n++) {
        uint32_t i = n < 0x2000 ? n : 0xc0000000 + n - 0x2000;
        unsigned pass = n == 0x4000 ? 0 : bitmap_pass(page, i);
        uint64_t value;
        enum msr_verdict read = msr_read(s, i, &value), write = msr_write(s, i, value);

        snprintf(line, sizeof(line), "read %s %lx, write %s", (pass & READS) != 0 ? "native" : verdicts[read],
                 value, (pass & WRITES) != 0 ? "native" : verdicts[write]);
        if (strcmp(line, before) == 0)
            continue;
        if (n != 0 && strcmp(before, "read #GP 0, write #GP") != 0)
            golden_add("%08x-%08x %s\n", first, i - 1, before);
        first = i;
        strcpy(before, line);
    }
}

static void V005_V016_golden_files(void **state) {
    static const char *const models[] = {"corei7_ivy_bridge_3770k", "corei7_haswell_4770", "corei7_skylake_x",
                                         "corei7_icelake_u", "tigerlake"};
    uint8_t page[4096];

    (void)state;
    msr_bitmap_build(page, true, MSR_TSC_REAL);
    for (size_t m = 0; m < ARRAY_SIZE(models); m++) {
        struct msr_state s;

        machine_load(models[m]);
        bool has = (machine_cpuid_regs(7, 0)[3] & 1 << 29) != 0;
        msr_state_init(&s, 0, has ? machine_rdmsr(0x10a) : 0);
        golden_clear();
        golden_msrs(page, &s);
        golden_check("msr", models[m]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(C14_M07_K05_bitmap_is_ones_but_for_these),
        cmocka_unit_test(V005_X09_X10_V104_sweep_of_all_indexes),
        cmocka_unit_test(X10_V017_K06_reserved_bits_are_gp),
        cmocka_unit_test(X10_mtrr_default_type),
        cmocka_unit_test(X10_mtrr_fixed_ranges),
        cmocka_unit_test(C08_X10_deadline_of_a_moved_tsc),
        cmocka_unit_test(V005_V016_golden_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
