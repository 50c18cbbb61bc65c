/* SPDX-License-Identifier: Apache-2.0 */
/* The builder against a list of what was asked for, and against a walker written from the manual's
 * figures that knows nothing of struct pt_format. */
#include <stdlib.h>
#include <string.h>

#include "core/pagetable.h"
#include "tests/unit/host_stub.h"
#include "tests/unit/pages.h"
#include "tests/unit/unit.h"

#define TABLES_BASE  MIB(64)
#define TABLES_BYTES MIB(8)
#define KERNEL       UINT64_C(0xffffffff80000000)

static uint8_t memory[TABLES_BYTES] __attribute__((aligned(4096)));
static struct frames frames;
static struct pagetable pt;

static void start(const struct pt_format *format, unsigned max_leaf) {
    const struct memory_range map = {{TABLES_BASE, TABLES_BYTES}, MEMORY_RAM};

    memset(memory, 0xa5, sizeof(memory));
    stub_phys_set(TABLES_BASE, memory, sizeof(memory));
    assert_int_equal(frames_init(&frames, &map, 1), ERR_OK);
    assert_int_equal(pt_init(&pt, format, max_leaf, &frames), ERR_OK);
    stub_log_clear();
}

/* How many there are, the root included. */
static uint64_t tables(void) {
    return (TABLES_BYTES - frames_free_bytes(&frames)) / PAGE_SIZE;
}

/* A walk as the processor does it, down to the entry that translates; 0 = not present. */
static uint64_t walk(uint64_t present, uint64_t from, unsigned *shift) {
    uint64_t table = pt.root.v, entry = 0;

    for (*shift = 39;; *shift -= 9) {
        memcpy(&entry, memory + (table - TABLES_BASE) + ((from >> *shift) & 511) * 8, 8);
        if ((entry & present) == 0)
            return 0;
        if (*shift == 12 || (entry & 0x80) != 0)
            return entry;
        table = entry & 0x000ffffffffff000;
    }
}

static void expect_entry(uint64_t from, unsigned shift, uint64_t entry) {
    unsigned found;
    uint64_t got = walk(pt.format == &pt_host ? 1 : 7, from, &found);

    assert_int_equal(found, shift);
    assert_int_equal(got, entry);
}

static void expect_leaf(uint64_t at, uint64_t from, uint64_t to, uint64_t bytes, unsigned attributes) {
    struct pt_leaf leaf;

    assert_true(pt_lookup(&pt, at, &leaf));
    assert_int_equal(leaf.from, from);
    assert_int_equal(leaf.to.v, to);
    assert_int_equal(leaf.bytes, bytes);
    assert_int_equal(leaf.attributes, attributes);
}

static void V074_C20_ept_bits(void **state) {
    uint64_t first;

    (void)state;
    start(&pt_ept, 3);
    assert_int_equal(pt_map(&pt, GIB(1), hpa(GIB(5)), GIB(1), PT_RWX), ERR_OK);
    assert_int_equal(pt_map(&pt, MIB(2), hpa(MIB(6)), MIB(2), PT_RW | PT_UC), ERR_OK);
    assert_int_equal(pt_map(&pt, 0xfed00000, hpa(0xfed00000), PAGE_SIZE, PT_RW | PT_UC), ERR_OK);
    assert_int_equal(pt_map(&pt, 0x1000, hpa(0xffffffffff000), PAGE_SIZE, PT_RWX), ERR_OK);
    expect_entry(GIB(1), 30, GIB(5) | 0xb7);
    expect_entry(MIB(2), 21, MIB(6) | 0x83);
    expect_entry(0xfed00000, 12, 0xfed00003);
    expect_entry(0x1000, 12, 0xffffffffff037);
    memcpy(&first, memory + (pt.root.v - TABLES_BASE), 8);
    assert_int_equal(first & 0xfff, 7);
}

static void test_host_bits(void **state) {
    uint64_t first;

    (void)state;
    start(&pt_host, 3);
    assert_int_equal(pt_map(&pt, KERNEL, hpa(MIB(2)), MIB(2), PT_RX), ERR_OK);
    assert_int_equal(pt_map(&pt, KERNEL + MIB(2), hpa(MIB(4)), PAGE_SIZE, PT_READ), ERR_OK);
    assert_int_equal(pt_map(&pt, GIB(4), hpa(GIB(4)), GIB(1), PT_RW), ERR_OK);
    assert_int_equal(pt_map(&pt, 0xfee00000, hpa(0xfee00000), PAGE_SIZE, PT_RW | PT_UC), ERR_OK);
    expect_entry(KERNEL, 21, MIB(2) | 0xa1);
    expect_entry(KERNEL + MIB(2), 12, MIB(4) | 0x21 | BIT(63));
    expect_entry(GIB(4), 30, GIB(4) | 0xe3 | BIT(63));
    expect_entry(0xfee00000, 12, 0xfee00000 | 0x7b | BIT(63));
    memcpy(&first, memory + (pt.root.v - TABLES_BASE), 8);
    assert_int_equal(first & 0xfff, 0x23);
}

static void test_attributes_come_back(void **state) {
    static const struct pt_format *const formats[] = {&pt_host, &pt_ept};

    (void)state;
    for (unsigned f = 0; f < 2; f++) {
        start(formats[f], 3);
        for (unsigned a = 0; a < 2 * PT_KINDS; a++) {
            bool uncached = a == (PT_RW | PT_UC), combining = f == 0 && a == (PT_RW | PT_WC);
            bool ok =
                uncached || combining || (f == 1 ? a == PT_RWX : a == PT_READ || a == PT_RW || a == PT_RX);
            uint64_t from = (a + 1) * MIB(4);

            assert_int_equal(pt_map(&pt, from, hpa(MIB(2)), MIB(2) + PAGE_SIZE, a), ok ? ERR_OK : ERR_RANGE);
            if (ok) {
                expect_leaf(from + 5, from, MIB(2), MIB(2), a);
                expect_leaf(from + MIB(2), from + MIB(2), MIB(4), PAGE_SIZE, a);
            } else {
                struct pt_leaf leaf;

                assert_false(pt_lookup(&pt, from, &leaf));
            }
        }
    }
}

static void test_biggest_pages(void **state) {
    static const struct {
        unsigned max_leaf;
        uint64_t from, to, bytes;
        unsigned small, middle, big; /* pages wanted of 4 KiB, 2 MiB, 1 GiB */
    } rows[] = {
        {3, PAGE_1G - PAGE_2M - PAGE_SIZE, GIB(9) - PAGE_2M - PAGE_SIZE,
         PAGE_1G + 2 * PAGE_2M + 2 * PAGE_SIZE, 2, 2, 1},
        {2, PAGE_1G, GIB(9), PAGE_1G, 0, 512, 0},
        {1, PAGE_2M, PAGE_2M, PAGE_2M, 512, 0, 0},
        {3, PAGE_1G, GIB(9) + PAGE_2M, PAGE_1G, 0, 512, 0},    /* off by 2 MiB */
        {3, PAGE_2M, PAGE_2M + PAGE_SIZE, PAGE_2M, 512, 0, 0}, /* off by a page */
        {3, PAGE_2M + PAGE_SIZE, PAGE_2M, PAGE_2M, 512, 0, 0},
        {3, PAGE_1G, 0, PAGE_1G - PAGE_SIZE, 511, 511, 0}, /* one page short */
        {3, BIT(39) - PAGE_1G, 0, 2 * PAGE_1G, 0, 0, 2},   /* two level-4 entries */
        {3, BIT(48) - PAGE_1G, FRAMES_LIMIT - PAGE_1G, PAGE_1G, 0, 0, 1},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t cursor = 0, next = rows[i].from;
        unsigned small = 0, middle = 0, big = 0;
        struct pt_leaf leaf;

        start(&pt_ept, rows[i].max_leaf);
        assert_int_equal(pt_map(&pt, next, hpa(rows[i].to), rows[i].bytes, PT_RWX), ERR_OK);
        while (next_page(&pt, &cursor, &leaf)) {
            assert_int_equal(leaf.from, next);
            assert_int_equal(leaf.to.v, rows[i].to + (next - rows[i].from));
            next += leaf.bytes;
            small += leaf.bytes == PAGE_SIZE;
            middle += leaf.bytes == PAGE_2M;
            big += leaf.bytes == PAGE_1G;
        }
        assert_int_equal(next, rows[i].from + rows[i].bytes);
        assert_int_equal(small, rows[i].small);
        assert_int_equal(middle, rows[i].middle);
        assert_int_equal(big, rows[i].big);
    }
}

static void test_map_refuses(void **state) {
    static const struct {
        const struct pt_format *format;
        uint64_t from, to, bytes;
    } rows[] = {
        {&pt_ept, 0x1000, 0, 0},
        {&pt_ept, 0x1001, 0, PAGE_SIZE},
        {&pt_ept, 0x1000, 1, PAGE_SIZE},
        {&pt_ept, 0x1000, 0, PAGE_SIZE + 1},
        {&pt_ept, BIT(48), 0, PAGE_SIZE},
        {&pt_ept, BIT(48) - PAGE_SIZE, 0, 2 * PAGE_SIZE},
        {&pt_ept, KERNEL, 0, PAGE_SIZE},
        {&pt_ept, 0, FRAMES_LIMIT, PAGE_SIZE},
        {&pt_ept, 0, FRAMES_LIMIT - PAGE_SIZE, 2 * PAGE_SIZE},
        {&pt_ept, 0, 0 - PAGE_SIZE, PAGE_SIZE},
        {&pt_host, BIT(47), 0, PAGE_SIZE},
        {&pt_host, BIT(47) - PAGE_SIZE, 0, 2 * PAGE_SIZE},
        {&pt_host, 0 - BIT(47) - PAGE_SIZE, 0, 2 * PAGE_SIZE},
        {&pt_host, 0 - PAGE_SIZE, 0, 2 * PAGE_SIZE},
        {&pt_host, BIT(47) - PAGE_SIZE, 0, 0 - BIT(48) + 2 * PAGE_SIZE},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t cursor = 0;
        struct pt_leaf leaf;

        start(rows[i].format, 3);
        assert_int_equal(pt_map(&pt, rows[i].from, hpa(rows[i].to), rows[i].bytes, PT_RW | PT_UC), ERR_RANGE);
        assert_true(strlen(stub_log) > 0);
        assert_false(next_page(&pt, &cursor, &leaf));
        assert_int_equal(tables(), 1);
    }
}

static void test_overlap_refused(void **state) {
    (void)state;
    start(&pt_ept, 3);
    assert_int_equal(pt_map(&pt, GIB(1), hpa(GIB(1)), GIB(1), PT_RWX), ERR_OK);
    assert_int_equal(pt_map(&pt, GIB(2), hpa(0), PAGE_SIZE, PT_RWX), ERR_OK);
    assert_int_equal(pt_map(&pt, GIB(1) + MIB(6), hpa(0), PAGE_SIZE, PT_RWX), ERR_RANGE);
    assert_int_equal(pt_map(&pt, GIB(1), hpa(GIB(1)), GIB(1), PT_RWX), ERR_RANGE);
    assert_int_equal(pt_map(&pt, GIB(2), hpa(GIB(2)), GIB(1), PT_RWX), ERR_RANGE);
    assert_non_null(strstr(stub_log, "already"));
    expect_leaf(GIB(1) + 1, GIB(1), GIB(1), GIB(1), PT_RWX);
    expect_leaf(GIB(2), GIB(2), 0, PAGE_SIZE, PT_RWX);
}

static void test_split_keeps_translation(void **state) {
    (void)state;
    start(&pt_host, 3);
    assert_int_equal(pt_map(&pt, GIB(1), hpa(GIB(7)), GIB(1), PT_RW), ERR_OK);
    assert_int_equal(pt_protect(&pt, GIB(1) + MIB(4) + PAGE_SIZE, PAGE_SIZE, PT_READ), ERR_OK);
    assert_int_equal(tables(), 4);
    expect_leaf(GIB(1), GIB(1), GIB(7), PAGE_2M, PT_RW);
    expect_leaf(GIB(1) + MIB(4), GIB(1) + MIB(4), GIB(7) + MIB(4), PAGE_SIZE, PT_RW);
    expect_entry(GIB(1) + MIB(4) + PAGE_SIZE, 12, (GIB(7) + MIB(4) + PAGE_SIZE) | 0x21 | BIT(63));
    expect_entry(GIB(1) + MIB(4) + 2 * PAGE_SIZE, 12, (GIB(7) + MIB(4) + 2 * PAGE_SIZE) | 0x63 | BIT(63));
    expect_leaf(GIB(2) - 1, GIB(2) - PAGE_2M, GIB(8) - PAGE_2M, PAGE_2M, PT_RW);

    assert_int_equal(pt_protect(&pt, GIB(1), MIB(4), PT_RW | PT_UC), ERR_OK); /* no split */
    assert_int_equal(tables(), 4);
    expect_entry(GIB(1) + MIB(2), 21, (GIB(7) + MIB(2)) | 0xfb | BIT(63));
    assert_int_equal(pt_protect(&pt, GIB(1), PAGE_SIZE, PT_RWX), ERR_RANGE);
    assert_int_equal(pt_protect(&pt, GIB(1), 0 - PAGE_SIZE, PT_READ), ERR_RANGE); /* wraps */
    expect_leaf(GIB(1), GIB(1), GIB(7), PAGE_2M, PT_RW | PT_UC);
    assert_int_equal(pt_protect(&pt, GIB(2) - PAGE_SIZE, 2 * PAGE_SIZE, PT_READ), ERR_RANGE);
    assert_non_null(strstr(stub_log, "not mapped"));
}

static void test_lookup_outside(void **state) {
    struct pt_leaf leaf;

    (void)state;
    start(&pt_host, 3);
    assert_int_equal(pt_map(&pt, 0, hpa(0), PAGE_1G, PT_RW), ERR_OK);
    assert_int_equal(pt_map(&pt, KERNEL, hpa(0), PAGE_2M, PT_RX), ERR_OK);
    assert_false(pt_lookup(&pt, BIT(48), &leaf));
    assert_false(pt_lookup(&pt, KERNEL & (BIT(48) - 1), &leaf));
    assert_true(pt_lookup(&pt, KERNEL, &leaf));
    start(&pt_ept, 3);
    assert_int_equal(pt_map(&pt, 0, hpa(0), PAGE_1G, PT_RWX), ERR_OK);
    assert_false(pt_lookup(&pt, BIT(48), &leaf));
    assert_false(pt_lookup(&pt, UINT64_MAX, &leaf));
}

static void test_no_memory_is_passed_on(void **state) {
    struct frames_list *free = &frames.free;

    (void)state;
    start(&pt_ept, 3);
    free->ranges[0].size = 2 * PAGE_SIZE; /* two more tables */
    assert_int_equal(pt_map(&pt, 0, hpa(0), PAGE_SIZE, PT_RWX), ERR_NO_MEMORY);
    assert_int_equal(pt_map(&pt, PAGE_1G, hpa(0), PAGE_1G, PT_RWX), ERR_OK);
    assert_int_equal(pt_protect(&pt, PAGE_1G, PAGE_2M, PT_RW | PT_UC), ERR_NO_MEMORY);
    expect_leaf(PAGE_1G, PAGE_1G, 0, PAGE_1G, PT_RWX);
    stub_phys_set(TABLES_BASE + PAGE_SIZE, memory, PAGE_SIZE);
    free->ranges[0] = (struct range){TABLES_BASE, PAGE_SIZE};
    free->count = 1;
    assert_int_equal(pt_init(&pt, &pt_ept, 3, &frames), ERR_NO_MEMORY);
    assert_non_null(strstr(stub_log, "out of reach"));
    assert_int_equal(pt_init(&pt, &pt_ept, 3, &frames), ERR_NO_MEMORY);
}

/* ---- Random changes against one row per page ------------------------------------------------ */

#define MODEL_PAGES 2048u /* 8 MiB around a border of the tables */

static struct {
    uint64_t to;
    unsigned attributes; /* 0 = not mapped */
} model[MODEL_PAGES];
static uint64_t model_base;

/* Map or change as many pages as are alike from a random one on. */
static void model_change(void) {
    static const unsigned kinds[] = {PT_READ, PT_RW, PT_RX, PT_RW | PT_UC};
    uint64_t first = (uint64_t)random() % MODEL_PAGES, pages = 0, most = 1 + (uint64_t)random() % 1200;
    uint64_t from = model_base + first * PAGE_SIZE;
    uint64_t to = GIB(3) + first * PAGE_SIZE + (random() % 4 == 0 ? PAGE_SIZE : 0);
    unsigned attributes = kinds[random() % 4];
    bool map = model[first].attributes == 0;

    for (uint64_t i = first; i < MODEL_PAGES && pages < most; i++, pages++) {
        if ((model[i].attributes == 0) != map)
            break;
        model[i].attributes = attributes;
        model[i].to = map ? to + (i - first) * PAGE_SIZE : model[i].to;
    }
    assert_int_equal(map ? pt_map(&pt, from, hpa(to), pages * PAGE_SIZE, attributes)
                         : pt_protect(&pt, from, pages * PAGE_SIZE, attributes),
                     ERR_OK);
}

static void model_check(void) {
    uint64_t cursor = 0, mapped = 0, seen = 0, last = 0;
    struct pt_leaf leaf;

    for (uint64_t i = 0; i < MODEL_PAGES; i++) {
        uint64_t at = model_base + i * PAGE_SIZE;
        bool found = pt_lookup(&pt, at + 0xabc, &leaf);

        assert_int_equal(found, model[i].attributes != 0);
        if (found) {
            assert_int_equal(leaf.to.v + (at - leaf.from), model[i].to);
            assert_int_equal(leaf.attributes, model[i].attributes);
            mapped += PAGE_SIZE;
        }
    }
    while (next_page(&pt, &cursor, &leaf)) {
        assert_true(leaf.from >= model_base && leaf.from - model_base < MODEL_PAGES * PAGE_SIZE);
        assert_true(seen == 0 || leaf.from > last);
        last = leaf.from;
        seen += leaf.bytes;
    }
    assert_int_equal(seen, mapped);
}

static void test_model(void **state) {
    static const uint64_t bases[] = {0, GIB(1) - MIB(4), BIT(39) - MIB(2), KERNEL,
                                     0 - MODEL_PAGES * PAGE_SIZE};

    (void)state;
    srandom(2);
    for (unsigned round = 0; round < 40; round++) {
        start(&pt_host, 1 + round % 3);
        memset(model, 0, sizeof(model));
        model_base = bases[round % ARRAY_SIZE(bases)];
        for (unsigned i = 0; i < 60; i++) {
            model_change();
            if (i % 6 == 5)
                model_check();
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(V074_C20_ept_bits),
        cmocka_unit_test(test_host_bits),
        cmocka_unit_test(test_attributes_come_back),
        cmocka_unit_test(test_biggest_pages),
        cmocka_unit_test(test_map_refuses),
        cmocka_unit_test(test_overlap_refused),
        cmocka_unit_test(test_split_keeps_translation),
        cmocka_unit_test(test_lookup_outside),
        cmocka_unit_test(test_no_memory_is_passed_on),
        cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
