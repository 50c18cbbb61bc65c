/* SPDX-License-Identifier: Apache-2.0 */
/* What MTRRs leave of RAM, by hand after "MTRR Precedences"; and thousands of random ones against an
 * oracle that knows only what a single address matches. */
#include "core/mtrr.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/host_stub.h"
#include "tests/unit/unit.h"

#define ON    0x800u
#define FIXED 0x400u
#define VALID 0x800u
#define SPACE BIT(39)

enum { UC = 0, WC = 1, WT = 4, WB = 6 };

static struct frames frames;
static uint64_t msrs[0x300]; /* what rdmsr gives */

static uint64_t rdmsr(uint32_t index) {
    assert_true(index < ARRAY_SIZE(msrs));
    return msrs[index];
}

static const struct vmx_caps caps = {
    .raw = {[CAP_CPUID_1_EDX] = BIT(12), [CAP_CPUID_EXT8_EAX] = 0x3027}}; /* 39 bits */

/* As a BIOS sets it: `size` a power of 2, the mask with that many address bits. */
static void variable(unsigned i, uint64_t base, uint64_t size, unsigned type, unsigned bits) {
    msrs[0x200 + 2 * i] = base | type;
    msrs[0x201 + 2 * i] = (BIT(bits) - size) | VALID;
}

static void machine(uint64_t cap, uint64_t def_type) {
    memset(msrs, 0, sizeof(msrs));
    msrs[0xfe] = cap;
    msrs[0x2ff] = def_type;
}

/* What is left of RAM from 1 MiB to 512 GiB: pairs of begin and end, 0 behind the last. */
static void expect(const uint64_t *borders) {
    static const struct memory_range ram = {{0, SPACE}, MEMORY_RAM}, rom = {{0, MIB(1)}, MEMORY_RESERVED};
    const struct memory_range map[] = {ram, rom};
    const struct range firmware = {0xfec00000, GIB(4) - 0xfec00000}; /* nobody's anyway */

    stub_log_clear();
    assert_int_equal(frames_init(&frames, map, 2), ERR_OK);
    assert_int_equal(frames_list_set(&frames.free, firmware, true), ERR_OK);
    assert_int_equal(mtrr_exclude(&caps, rdmsr, &frames), ERR_OK);
    for (unsigned i = 0; i < frames.free.count; i++, borders += 2) {
        assert_int_equal(frames.free.ranges[i].base, borders[0]);
        assert_int_equal(range_end(frames.free.ranges[i]), borders[1]);
    }
    assert_int_equal(borders[0], 0);
}
#define EXPECT(...) expect((const uint64_t[]){__VA_ARGS__, 0})
#define EXPECT_NONE expect((const uint64_t[]){0})

/* 8 GiB as firmware with the default write-back sets it: 2 to 4 GiB, where devices are, and a frame buffer.
 * The fixed ranges are below 1 MiB: there only a start-up page is taken, for real mode. */
static void test_default_write_back(void **state) {
    (void)state;
    machine(0x50a, ON | FIXED | WB);
    variable(0, GIB(2), GIB(2), UC, 39);
    variable(9, 0xc0000000, MIB(256), WC, 39); /* UC and WC: UC */
    EXPECT(MIB(1), GIB(2), GIB(4), SPACE);
    variable(9, 0x70000000, MIB(64), WT, 39);
    EXPECT(MIB(1), 0x70000000, 0x74000000, GIB(2), GIB(4), SPACE);
}

/* Every pair of types, one over the other: only where both are write-back it is. */
static void test_precedence(void **state) {
    static const unsigned types[] = {UC, WC, WT, 5, WB, 2, 3, 7, 255};

    (void)state;
    for (size_t a = 0; a < ARRAY_SIZE(types); a++) {
        for (size_t b = 0; b < ARRAY_SIZE(types); b++) {
            machine(2, ON | WC);
            variable(0, GIB(1), GIB(1), types[a], 39);
            variable(1, GIB(1), MIB(512), types[b], 39);
            if (types[a] == WB && types[b] == WB)
                EXPECT(GIB(1), GIB(2));
            else if (types[a] == WB)
                EXPECT(GIB(1) + MIB(512), GIB(2));
            else
                EXPECT_NONE;
        }
    }
}

static void test_switched_off(void **state) {
    static const struct vmx_caps none = {.raw = {[CAP_CPUID_EXT8_EAX] = 39}};

    (void)state;
    machine(0x508, WB); /* all of it: uncached */
    variable(0, 0, GIB(4), WB, 39);
    EXPECT_NONE;
    machine(0x408, ON | FIXED | WB);
    variable(1, GIB(1), GIB(1), UC, 39);
    msrs[0x203] &= ~(uint64_t)VALID;
    EXPECT(MIB(1), SPACE);
    assert_int_equal(mtrr_exclude(&none, NULL, &frames), ERR_OK); /* a CPU without MTRRs */
    assert_int_equal(frames_free_bytes(&frames), SPACE - MIB(1));
}

/* As OVMF sets it, uncached by default; SMM has the top 8 MiB of the RAM below 2 GiB, the type in its MSR is
 * SMM's. */
static void test_default_uncached_and_smm(void **state) {
    (void)state;
    machine(0xd08, ON | UC);
    variable(0, 0, GIB(2), WB, 39);
    variable(1, GIB(4), GIB(4), WB, 39);
    msrs[0x1f2] = 0x7f800000 | WB;
    msrs[0x1f3] = 0xff800000 | VALID;
    EXPECT(MIB(1), 0x7f800000, GIB(4), GIB(8));
    msrs[0x1f3] &= ~(uint64_t)VALID;
    EXPECT(MIB(1), GIB(2), GIB(4), GIB(8));
}

/* Seen on PCs: a BIOS that writes masks of 36 bits on a CPU that has 39. It means one range. */
static void test_mask_too_short(void **state) {
    (void)state;
    machine(8, ON | WB);
    variable(0, GIB(3), GIB(1), UC, 36);
    EXPECT(MIB(1), GIB(3), GIB(4), SPACE);
    variable(0, 0, GIB(1), UC, 36);
    msrs[0x201] = VALID; /* no address bit compared at all */
    EXPECT_NONE;
}

static void test_what_is_said(void **state) {
    (void)state;
    machine(8, ON | FIXED | UC);
    variable(0, 0, GIB(4), WB, 39);
    variable(1, GIB(3) - MIB(64), MIB(64), WT, 39); /* as for a frame buffer in RAM */
    variable(2, GIB(4), GIB(2), WB, 39);            /* as if sticks had been added since */
    EXPECT(MIB(1), GIB(3) - MIB(64), GIB(3), GIB(6));
    assert_string_equal(stub_log,
                        "memory: 65536 KiB of RAM from 0xbc000000 on are not write-back by the "
                        "firmware's MTRRs: left out\n"
                        "memory: 530579456 KiB of RAM from 0x180000000 on are not write-back by the "
                        "firmware's MTRRs: left out\n");
    machine(8, ON | WB);
    EXPECT(MIB(1), SPACE);
    assert_string_equal(stub_log, "");
}

/* ---- The oracle: one address, by the words of the SDM --------------------------------------- */

static unsigned oracle(uint64_t at) {
    bool seen[256] = {false};
    unsigned kinds = 0, last = 0;

    if ((msrs[0x2ff] & ON) == 0)
        return UC;
    for (unsigned i = 0; i < (msrs[0xfe] & 0xff); i++) {
        uint64_t mask = msrs[0x201 + 2 * i] & 0x7ffffff000;

        if ((msrs[0x201 + 2 * i] & VALID) != 0 && (at & mask) == (msrs[0x200 + 2 * i] & mask)) {
            last = msrs[0x200 + 2 * i] & 0xff;
            kinds += !seen[last];
            seen[last] = true;
        }
    }
    if (kinds == 0)
        last = msrs[0x2ff] & 0xff;
    if (kinds == 2 && seen[WT] && seen[WB])
        last = WT;
    else if (kinds > 1)
        last = UC;
    return last == 1 || last == 4 || last == 5 || last == 6 ? last : UC;
}

static uint64_t bits(uint64_t n) {
    uint64_t v = 0;

    for (unsigned i = 0; i < 4; i++)
        v = v << 16 ^ (uint64_t)random();
    return n >= 64 ? v : v & (BIT(n) - 1);
}

static void random_machine(void) {
    static const unsigned types[] = {UC, WC, WT, 5, WB, WB, WB, WT, UC, 2};

    machine(0x500 | bits(2), ON | (bits(1) != 0 ? FIXED : 0) | types[bits(16) % 10]);
    if (bits(5) == 0)
        msrs[0x2ff] &= ~(uint64_t)ON;
    for (unsigned i = 0; i < 4; i++) {
        unsigned size = 21 + (unsigned)bits(16) % 18;

        variable(i, bits(39 - size) << size, BIT(size), types[bits(16) % 10], 39);
    }
}

static bool is_free(uint64_t at) {
    bool is = false;

    for (unsigned i = 0; i < frames.free.count; i++)
        is |= range_contains(frames.free.ranges[i], (struct range){at, 1});
    return is;
}

/* Places of any kind, at the borders that there are and anywhere. */
static void test_oracle(void **state) {
    static const struct memory_range ram = {{MIB(1), SPACE - MIB(1)}, MEMORY_RAM};

    (void)state;
    srandom(1);
    for (unsigned round = 0; round < 3000; round++) {
        random_machine();
        assert_int_equal(frames_init(&frames, &ram, 1), ERR_OK);
        assert_int_equal(mtrr_exclude(&caps, rdmsr, &frames), ERR_OK);
        for (unsigned i = 0; i < 60; i++) {
            uint64_t at = bits(39 - bits(4) % 10) & ~UINT64_C(0xfff);

            if (i < 8)
                at = (msrs[0x200 + 2 * (i / 2)] & ~UINT64_C(0xfff)) - (i % 2) * PAGE_SIZE;
            if (at >= MIB(1) && at < SPACE && (at < 0xfec00000 || at >= GIB(4)))
                assert_int_equal(is_free(at), oracle(at) == WB);
        }
        stub_log_clear();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_write_back),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_switched_off),
        cmocka_unit_test(test_default_uncached_and_smm),
        cmocka_unit_test(test_mask_too_short),
        cmocka_unit_test(test_what_is_said),
        cmocka_unit_test(test_oracle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
