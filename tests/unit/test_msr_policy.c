/* SPDX-License-Identifier: Apache-2.0 */
/* Rows C14, X09, X10, M07: the exact set that passes, and a sweep over everything else. */
#include <string.h>

#include "core/msr_policy.h"
#include "tests/unit/unit.h"

#define READS  1
#define WRITES 2

/* What the guest touches without an exit, written down a second time on purpose. */
static unsigned expect_pass(uint32_t i, bool x2apic) {
    static const uint32_t both[] = {0x48,       0x49,       0xe1,       0x10b,      0x174,      0x175,
                                    0x176,      0x277,      0x6e0,      0xc0000081, 0xc0000082, 0xc0000083,
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
    return i == 0x10 || i == 0xc0000080 ? READS : 0;
}

static unsigned bitmap_pass(const uint8_t *page, uint32_t i) {
    size_t at = (i >= 0xc0000000 ? 1024 : 0) + (i & 0x1fff) / 8;

    return ((page[at] >> (i & 7) & 1) == 0 ? READS : 0) |
           ((page[at + 2048] >> (i & 7) & 1) == 0 ? WRITES : 0);
}

static void test_bitmap(void **state) {
    uint8_t page[4096];

    (void)state;
    for (int x2apic = 0; x2apic < 2; x2apic++) {
        memset(page, 0x5a, sizeof(page));
        msr_bitmap_build(page, x2apic != 0);
        for (uint32_t i = 0; i < 0x2000; i++) {
            assert_int_equal(bitmap_pass(page, i), expect_pass(i, x2apic != 0));
            assert_int_equal(bitmap_pass(page, 0xc0000000 + i), expect_pass(0xc0000000 + i, x2apic != 0));
        }
    }
}

static const struct {
    uint32_t index;
    enum msr_verdict read, write; /* write: of the value just read, or 0 */
    uint64_t value;
} exits[] = {
    {0x10, MSR_GP, MSR_DONE, 0}, /* reads do not exit */
    {0x17, MSR_DONE, MSR_GP, 0},    {0x1b, MSR_ARCH, MSR_ARCH, 0},
    {0x3a, MSR_DONE, MSR_GP, 1},    {0x3b, MSR_DONE, MSR_DONE, 0},
    {0x79, MSR_GP, MSR_DONE, 0},    {0x8b, MSR_DONE, MSR_DONE, UINT64_C(0x0200006500000000)},
    {0xfe, MSR_DONE, MSR_GP, 0},    {0x10a, MSR_DONE, MSR_GP, UINT64_C(0x400000001d1ae17f)},
    {0x179, MSR_DONE, MSR_GP, 0},   {0x1a0, MSR_DONE, MSR_DONE, 0x1801},
    {0x1d9, MSR_ARCH, MSR_ARCH, 0}, {0x2ff, MSR_DONE, MSR_DONE, 0x806},
    {0xda0, MSR_DONE, MSR_DONE, 0}, {0xc0000080, MSR_GP, MSR_ARCH, 0}, /* reads do not exit */
};

static void init(struct msr_state *s) {
    msr_state_init(s, UINT64_C(0x0200006500000000), UINT64_MAX);
}

static void check_index(uint32_t index) {
    enum msr_verdict read = MSR_GP, write = MSR_GP;
    uint64_t expect = 0, value = 0;
    struct msr_state s;

    if (index == 0x250 || index == 0x258 || index == 0x259 || (index >= 0x268 && index <= 0x26f)) {
        read = MSR_DONE; /* fixed-range MTRRs: eleven, all write-back */
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

static void test_sweep(void **state) {
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

static void test_written_values(void **state) {
    struct msr_state s;

    (void)state;
    init(&s);
    assert_write(&s, 0x3b, UINT64_MAX - 5, UINT64_MAX - 5);
    assert_write(&s, 0x8b, 7, UINT64_C(0x0200006500000000));
    assert_write(&s, 0x1a0, 0, 0x1800);
    assert_write(&s, 0x1a0, 0x1881, 0x1801);
    for (unsigned bit = 0; bit < 64; bit++) {
        bool fine = bit == 0 || bit == 7 || bit == 11 || bit == 12;

        assert_int_equal(msr_write(&s, 0x1a0, BIT(bit)), fine ? MSR_DONE : MSR_GP);
        assert_int_equal(msr_write(&s, 0x1d9, BIT(bit)), bit < 2 ? MSR_ARCH : MSR_GP);
        assert_int_equal(msr_write(&s, 0xda0, BIT(bit)), MSR_GP);
        assert_int_equal(msr_write(&s, 0x1b, BIT(bit)), MSR_ARCH); /* vlapic checks */
    }
}

/* What Linux does around a PAT change: off, uncached, and back. */
static void test_mtrr(void **state) {
    struct msr_state s;

    (void)state;
    init(&s);
    assert_write(&s, 0x2ff, 0, 0);
    assert_write(&s, 0x2ff, 0x806, 0x806);
    assert_write(&s, 0x2ff, 0xc06, 0xc06);
    for (unsigned type = 0; type < 256; type++) {
        bool fine = type == 0 || type == 1 || type == 4 || type == 5 || type == 6;

        assert_int_equal(msr_write(&s, 0x2ff, 0x800 | type), fine ? MSR_DONE : MSR_GP);
    }
    for (unsigned bit = 8; bit < 64; bit++) {
        bool fine = bit == 10 || bit == 11;

        assert_int_equal(msr_write(&s, 0x2ff, BIT(bit)), fine ? MSR_DONE : MSR_GP);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bitmap),
        cmocka_unit_test(test_sweep),
        cmocka_unit_test(test_written_values),
        cmocka_unit_test(test_mtrr),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
