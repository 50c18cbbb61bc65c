/* SPDX-License-Identifier: Apache-2.0 */
/* MTRRs as firmware sets them, by hand after "MTRR Precedences"; and thousands of random ones against an
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

static struct mtrrs m;
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

static void expect(uint64_t from, uint64_t to, enum memory_type type) {
    uint64_t end;

    assert_int_equal(mtrr_type(&m, from, SPACE, &end), type);
    assert_int_equal(end, to);
    assert_int_equal(mtrr_type(&m, to - 1, SPACE, &end), type);
    assert_int_equal(end, to);
    assert_int_equal(mtrr_type(&m, from, from + 1, &end), type);
    assert_int_equal(end, from + 1);
}

/* 8 GiB as firmware with the default write-back sets it: 2 to 4 GiB, where devices are, and a frame buffer.
 */
static void test_default_write_back(void **state) {
    (void)state;
    machine(0x50a, ON | FIXED | TYPE_WB);
    for (unsigned i = 0x250; i <= 0x26f; i++)
        msrs[i] = UINT64_C(0x0606060606060606);
    msrs[0x259] = 0;                            /* A0000H to BFFFFH */
    msrs[0x268] = UINT64_C(0x0505050505050505); /* C0000H to C7FFFH, and of the next only its third 4 KiB */
    msrs[0x269] = UINT64_C(0x0606060606040606);
    variable(0, GIB(2), GIB(2), TYPE_UC, 39);
    variable(9, 0xc0000000, MIB(256), TYPE_WC, 39); /* UC and WC: UC */
    mtrr_read(&m, &caps, rdmsr);
    assert_int_equal(m.nr_variable, 10);
    expect(0, 0xa0000, TYPE_WB);
    expect(0xa0000, 0xc0000, TYPE_UC);
    expect(0xc0000, 0xc8000, TYPE_WP);
    expect(0xc8000, 0xca000, TYPE_WB);
    expect(0xca000, 0xcb000, TYPE_WT);
    expect(0xcb000, GIB(2), TYPE_WB);
    expect(GIB(2), GIB(4), TYPE_UC);
    expect(GIB(4), SPACE, TYPE_WB);
}

static unsigned type_at(uint64_t at) {
    return mtrr_type(&m, at, at + 1, &(uint64_t){0});
}

/* Every pair of types: identical, UC wins, WT over WB; what is undefined counts as UC, and so do reserved
 * types. */
static void test_precedence(void **state) {
    static const unsigned types[] = {0, 1, 4, 5, 6, 2, 3, 7, 255};

    (void)state;
    for (size_t a = 0; a < ARRAY_SIZE(types); a++) {
        for (size_t b = 0; b < ARRAY_SIZE(types); b++) {
            unsigned x = types[a], y = types[b];
            bool through = (x == TYPE_WT && y == TYPE_WB) || (x == TYPE_WB && y == TYPE_WT);
            bool known = x == 0 || x == 1 || (x >= 4 && x <= 6);

            machine(2, ON | TYPE_WC);
            variable(0, GIB(1), GIB(1), x, 39);
            variable(1, GIB(1), MIB(512), y, 39);
            mtrr_read(&m, &caps, rdmsr);
            assert_int_equal(type_at(GIB(1) - 1), TYPE_WC);
            assert_int_equal(type_at(GIB(2) - 1), known ? x : TYPE_UC);
            assert_int_equal(type_at(GIB(1)), through ? TYPE_WT : x == y && known ? x : TYPE_UC);
        }
    }
}

static void test_switched_off(void **state) {
    (void)state;
    machine(0x508, TYPE_WB); /* all of it: uncached */
    mtrr_read(&m, &caps, rdmsr);
    expect(0, SPACE, TYPE_UC);
    machine(0x508, ON | TYPE_WB); /* only the fixed ones, which then do not count */
    msrs[0x250] = 0;
    mtrr_read(&m, &caps, rdmsr);
    expect(0, SPACE, TYPE_WB);
    machine(0x408, ON | FIXED | TYPE_WB); /* no fixed ones to read */
    variable(1, GIB(1), GIB(1), TYPE_UC, 39);
    msrs[0x203] &= ~(uint64_t)VALID;
    mtrr_read(&m, &caps, rdmsr);
    expect(MIB(1), SPACE, TYPE_WB);
    mtrr_read(&m, &(struct vmx_caps){.raw = {[CAP_CPUID_EXT8_EAX] = 39}}, NULL); /* a CPU without MTRRs */
    expect(0, SPACE, TYPE_WB);
}

/* As OVMF sets it, uncached by default; SMM has the top 8 MiB of the RAM below 2 GiB, the type in its MSR is
 * SMM's. */
static void test_default_uncached_and_smm(void **state) {
    (void)state;
    machine(0xd08, ON | TYPE_UC);
    variable(0, 0, GIB(2), TYPE_WB, 39);
    variable(1, GIB(4), GIB(4), TYPE_WB, 39);
    msrs[0x1f2] = 0x7f800000 | TYPE_WB;
    msrs[0x1f3] = 0xff800000 | VALID;
    mtrr_read(&m, &caps, rdmsr);
    expect(0, 0x7f800000, TYPE_WB);
    expect(0x7f800000, GIB(4), TYPE_UC);
    expect(GIB(4), GIB(8), TYPE_WB); /* SMM's range does not come again above 4 GiB */
    expect(GIB(8), SPACE, TYPE_UC);
    msrs[0x1f3] &= ~(uint64_t)VALID;
    mtrr_read(&m, &caps, rdmsr);
    expect(0, GIB(2), TYPE_WB);
}

/* Seen on PCs: a BIOS that writes masks of 36 bits on a CPU that has 39. The range comes again every 64 GiB.
 */
static void test_mask_too_short(void **state) {
    (void)state;
    machine(8, ON | TYPE_WB);
    variable(0, GIB(3), GIB(1), TYPE_UC, 36);
    mtrr_read(&m, &caps, rdmsr);
    expect(0, GIB(3), TYPE_WB);
    expect(GIB(3), GIB(4), TYPE_UC);
    expect(GIB(4), GIB(67), TYPE_WB);
    expect(GIB(67), GIB(68), TYPE_UC);
    variable(0, 0, GIB(1), TYPE_UC, 36);
    msrs[0x201] = VALID; /* no address bit compared at all */
    mtrr_read(&m, &caps, rdmsr);
    expect(0, SPACE, TYPE_UC);
}

static void test_more_than_there_is_room_for(void **state) {
    (void)state;
    machine(0x8ff, ON | TYPE_WB);
    variable(MTRR_MAX_VARIABLE - 1, GIB(1), GIB(1), TYPE_WT, 39);
    mtrr_read(&m, &caps, rdmsr);
    assert_int_equal(m.nr_variable, MTRR_MAX_VARIABLE + 1);
    expect(GIB(1), GIB(2), TYPE_WT);
}

static void test_exclude(void **state) {
    static struct boot_info info = {.memory = {{{0, 0x9fc00}, MEMORY_RAM},
                                               {{MIB(1), GIB(3) - MIB(1)}, MEMORY_RAM},
                                               {{GIB(3), GIB(1)}, MEMORY_RESERVED},
                                               {{GIB(4), GIB(4)}, MEMORY_RAM},
                                               {{GIB(4) + MIB(1), GIB(4)}, MEMORY_RAM}},
                                    .nr_memory = 5};
    static struct frames frames;
    hpa_t low;

    (void)state;
    machine(8, ON | FIXED |
                   TYPE_UC); /* the first MiB, too: there only a start-up page is taken, for real mode */
    variable(0, 0, GIB(4), TYPE_WB, 39);
    variable(1, GIB(3) - MIB(64), MIB(64), TYPE_WT, 39); /* as for a frame buffer in RAM */
    variable(2, GIB(4), GIB(2), TYPE_WB, 39);            /* as if two sticks had been added since */
    mtrr_read(&m, &caps, rdmsr);
    stub_log_clear();
    assert_int_equal(frames_init(&frames, info.memory, info.nr_memory), ERR_OK);
    assert_int_equal(mtrr_exclude(&m, &info, &frames), ERR_OK);
    assert_int_equal(frames_free_bytes(&frames), GIB(5) - MIB(1) - MIB(64));
    assert_string_equal(
        stub_log, "memory: 0x4000000 bytes at 0xbc000000 are WT by the firmware's MTRRs, not write-back\n"
                  "memory: 0x80000000 bytes at 0x180000000 are UC by the firmware's MTRRs, not write-back\n"
                  "memory: 0x80100000 bytes at 0x180000000 are UC by the firmware's MTRRs, not write-back\n"
                  "memory: 2163712 KiB of RAM are left out for that\n");
    stub_phys_set(0, &m, 0); /* in no reach, but found */
    assert_int_equal(frames_alloc_low(&frames, &low), ERR_NO_MEMORY);
    assert_non_null(strstr(stub_log, "out of reach"));

    machine(8, ON | TYPE_WB);
    mtrr_read(&m, &caps, rdmsr);
    stub_log_clear();
    assert_int_equal(frames_init(&frames, info.memory, info.nr_memory), ERR_OK);
    assert_int_equal(mtrr_exclude(&m, &info, &frames), ERR_OK);
    assert_string_equal(stub_log, "");
}

/* ---- The oracle: one address, by the words of the SDM --------------------------------------- */

static unsigned oracle(uint64_t at) {
    bool seen[256] = {false};
    unsigned kinds = 0, last = 0;

    if ((msrs[0x2ff] & ON) == 0)
        return TYPE_UC;
    if ((msrs[0x2ff] & FIXED) != 0 && at < MIB(1)) {
        static const struct {
            uint64_t from, each;
            uint32_t msr;
        } f[] = {{0, KIB(64), 0x250},      {0x80000, KIB(16), 0x258}, {0xa0000, KIB(16), 0x259},
                 {0xc0000, KIB(4), 0x268}, {0xc8000, KIB(4), 0x269},  {0xd0000, KIB(4), 0x26a},
                 {0xd8000, KIB(4), 0x26b}, {0xe0000, KIB(4), 0x26c},  {0xe8000, KIB(4), 0x26d},
                 {0xf0000, KIB(4), 0x26e}, {0xf8000, KIB(4), 0x26f}};
        size_t i = 0;

        while (at >= f[i].from + 8 * f[i].each)
            i++;
        last = msrs[f[i].msr] >> 8 * ((at - f[i].from) / f[i].each) & 0xff;
        return last == 1 || last == 4 || last == 5 || last == 6 ? last : TYPE_UC;
    }
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
    if (kinds == 2 && seen[TYPE_WT] && seen[TYPE_WB])
        last = TYPE_WT;
    else if (kinds > 1)
        last = TYPE_UC;
    return last == 1 || last == 4 || last == 5 || last == 6 ? last : TYPE_UC;
}

static uint64_t bits(uint64_t n) {
    uint64_t v = 0;

    for (unsigned i = 0; i < 4; i++)
        v = v << 16 ^ (uint64_t)random();
    return n >= 64 ? v : v & (BIT(n) - 1);
}

static void random_machine(void) {
    static const unsigned types[] = {0, 1, 4, 5, 6, 6, 6, 4, 0, 2};

    machine(0x500 | bits(2), ON | (bits(1) != 0 ? FIXED : 0) | types[bits(16) % 10]);
    if (bits(5) == 0)
        msrs[0x2ff] &= ~(uint64_t)ON;
    for (unsigned i = 0x250; i <= 0x26f; i++)
        for (unsigned k = 0; k < 64; k += 8)
            msrs[i] |= (uint64_t)types[bits(16) % 10] << k;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t size = 12 + bits(16) % 27;
        unsigned wide = bits(2) == 0 ? (unsigned)(size + bits(16) % (40 - size)) : 39;

        variable(i, bits(39 - size) << size, BIT(size), types[bits(16) % 10], wide);
        if (bits(3) == 0)
            msrs[0x201 + 2 * i] = bits(39) & ~(uint64_t)0x7ff; /* a mask with holes */
    }
}

/* Over pieces of the space: pieces end where the type changes, and nowhere else. */
static void test_oracle(void **state) {
    (void)state;
    srandom(1);
    for (unsigned round = 0; round < 3000; round++) {
        uint64_t at, end, limit;

        random_machine();
        mtrr_read(&m, &caps, rdmsr);
        at = bits(2) == 0 ? 0 : bits(39 - bits(4)) & ~UINT64_C(0xfff);
        limit = at + (BIT(12) << bits(16) % 10);
        for (; at < limit; at = end) {
            unsigned type = oracle(at);

            assert_int_equal(mtrr_type(&m, at, limit, &end), type);
            assert_true(end > at && end <= limit);
            for (uint64_t page = at & ~UINT64_C(0xfff); page < end; page += PAGE_SIZE)
                assert_int_equal(oracle(page < at ? at : page), type);
            assert_true(end == limit || oracle(end) != type);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_write_back),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_switched_off),
        cmocka_unit_test(test_default_uncached_and_smm),
        cmocka_unit_test(test_mask_too_short),
        cmocka_unit_test(test_more_than_there_is_room_for),
        cmocka_unit_test(test_exclude),
        cmocka_unit_test(test_oracle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
