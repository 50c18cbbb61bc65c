/* SPDX-License-Identifier: Apache-2.0 */
/* Rows X37, K03: faults seeded into EPTs that are good without them, bit by bit. */
#include "tests/audit/ept_check.h"

#include <string.h>

#include "core/guest_layout.h"
#include "tests/unit/host_stub.h"
#include "tests/unit/unit.h"

#define TABLES_BASE  UINT64_C(0xd0000000)
#define TABLES_BYTES KIB(256)

static _Alignas(4096) uint8_t memory[TABLES_BYTES];
static struct frames frames, table_frames;
static struct guest_map map;
static struct pagetable ept;
static struct proof_partition proof = {"p", &map, &ept};
static struct vmx_caps caps;
static uint64_t pointer;

/* 5 GiB and a window, so that there are pages of each size. */
static int setup(void **state) {
    static const struct memory_range tables = {{TABLES_BASE, TABLES_BYTES}, MEMORY_RAM};
    static const struct memory_range ram = {{GIB(4), GIB(8)}, MEMORY_RAM};
    const struct partition_config config = {.memory_bytes = GIB(5), .mmio = {{{0xfe000000, MIB(4)}}, 1}};

    (void)state;
    memset(memory, 0, sizeof(memory));
    stub_phys_set(TABLES_BASE, memory, sizeof(memory));
    assert_int_equal(frames_init(&table_frames, &tables, 1), ERR_OK);
    assert_int_equal(frames_init(&frames, &ram, 1), ERR_OK);
    assert_int_equal(guest_layout_build(&map, &config, &frames), ERR_OK);
    assert_int_equal(pt_init(&ept, &pt_ept, 3, &table_frames), ERR_OK);
    assert_int_equal(guest_layout_ept(&ept, &map), ERR_OK);
    pointer = ept.root.v | 0x1e;
    caps = (struct vmx_caps){.raw = {[CAP_EPT_VPID] = BIT(16) | BIT(17), [CAP_CPUID_EXT8_EAX] = 0x3027}};
    stub_log_clear();
    return 0;
}

static enum err check(void) {
    return ept_check(&caps, pointer, &table_frames.own);
}

static void expect(const char *words) {
    stub_log_clear();
    assert_int_equal(check(), ERR_RANGE);
    if (strstr(stub_log, words) == NULL)
        fail_msg("%s: expected: %s", stub_log, words);
}

/* The entry of that level on the way to a guest address. */
static uint64_t *entry(uint64_t at, unsigned level) {
    uint64_t table = ept.root.v;

    for (unsigned l = 4;; l--) {
        uint64_t *e = (uint64_t *)(memory + (table - TABLES_BASE)) + (at >> (9 * l + 3) & 511);

        if (l == level)
            return e;
        table = *e & UINT64_C(0xffffffffff000);
    }
}

static void test_good(void **state) {
    (void)state;
    assert_int_equal(check(), ERR_OK);
    assert_string_equal(stub_log, "");
    assert_int_equal(guest_layout_prove(&proof, 1, &table_frames.own), ERR_OK);
}

#define PAGE_4K_AT 0x5000     /* RAM */
#define PAGE_2M_AT MIB(2)     /* RAM */
#define PAGE_1G_AT GIB(1)     /* RAM */
#define WINDOW_AT  0xfe000000 /* 2 MiB */

static void test_faults(void **state) {
    static const struct {
        uint64_t at;
        unsigned level;
        uint64_t clear, set;
        const char *words;
    } rows[] = {
        {PAGE_4K_AT, 1, 7, 0, "0x1000 of level 1, guest address 0x5000: no access, and yet not 0"},
        {PAGE_4K_AT, 1, 5, 0, "writable, not readable"},
        {PAGE_4K_AT, 1, 1, 0, "writable, not readable"},
        {PAGE_4K_AT, 1, 3, 0, "execute-only"},
        {PAGE_2M_AT, 2, 3, 0, "execute-only"},
        {PAGE_4K_AT, 1, 0, BIT(39), "MAXPHYADDR"},
        {PAGE_2M_AT, 2, 0, BIT(51), "MAXPHYADDR"},
        {PAGE_1G_AT, 3, 0, BIT(45), "MAXPHYADDR"},
        {PAGE_4K_AT, 2, 0, BIT(40), "MAXPHYADDR"},
        {PAGE_4K_AT, 4, 0, BIT(39), "MAXPHYADDR"},
        {PAGE_4K_AT, 4, 0, BIT(7), "of level 4, guest address 0x0: reserved bits"},
        {PAGE_4K_AT, 4, 0, BIT(3), "reserved bits"},
        {PAGE_4K_AT, 3, 0, BIT(6), "reserved bits"},
        {PAGE_4K_AT, 2, 0, BIT(4), "reserved bits"},
        {PAGE_4K_AT, 1, 0x38, 2 << 3, "memory type"},
        {PAGE_2M_AT, 2, 0x38, 3 << 3, "memory type"},
        {PAGE_1G_AT, 3, 0x38, 7 << 3, "memory type"},
        {WINDOW_AT, 2, 0x38, 2 << 3, "guest address 0xfe000000: a reserved memory type"},
        {PAGE_2M_AT, 2, 0, BIT(12), "not aligned"},
        {PAGE_2M_AT, 2, 0, BIT(20), "not aligned"},
        {PAGE_1G_AT, 3, 0, BIT(12), "not aligned"},
        {PAGE_1G_AT, 3, 0, BIT(29), "not aligned"},
        {PAGE_4K_AT, 1, 0, BIT(8), "nothing here uses"},  /* accessed */
        {PAGE_4K_AT, 1, 0, BIT(9), "nothing here uses"},  /* dirty */
        {PAGE_4K_AT, 3, 0, BIT(8), "nothing here uses"},  /* accessed */
        {PAGE_2M_AT, 2, 0, BIT(10), "nothing here uses"}, /* execute in user mode */
        {PAGE_2M_AT, 2, 0, BIT(11), "nothing here uses"},
        {PAGE_4K_AT, 1, 0, BIT(57), "nothing here uses"}, /* verify guest paging */
        {PAGE_4K_AT, 1, 0, BIT(58), "nothing here uses"}, /* paging-write access */
        {PAGE_4K_AT, 1, 0, BIT(60), "nothing here uses"}, /* supervisor shadow stack */
        {PAGE_4K_AT, 1, 0, BIT(61), "nothing here uses"}, /* sub-page write permissions */
        {PAGE_1G_AT, 3, 0, BIT(63), "nothing here uses"}, /* suppress #VE */
        {PAGE_4K_AT, 4, 0, BIT(52), "nothing here uses"},
        {PAGE_4K_AT, 1, 0, BIT(6), "PAT is ignored"},
        {WINDOW_AT, 2, 0, BIT(6), "PAT is ignored"},
        {PAGE_4K_AT, 1, 0, BIT(7), "4 KiB marked"},
        {PAGE_4K_AT, 4, 2, 0, "without all rights"},
        {PAGE_4K_AT, 2, 4, 0, "without all rights"},
        {PAGE_4K_AT, 2, 0, BIT(38), "a table that is not the hypervisor's"},
        {PAGE_4K_AT, 3, 0, TABLES_BYTES, "a table that is not the hypervisor's"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t *e = entry(rows[i].at, rows[i].level), good = *e;

        *e = (good & ~rows[i].clear) | rows[i].set;
        if (rows[i].clear == 7) /* a frame of its own in the message */
            *e = 0x1000;
        expect(rows[i].words);
        *e = good;
    }
    assert_int_equal(check(), ERR_OK);
}

static void test_pointers(void **state) {
    static const uint64_t flips[] = {1,   2,     4,     8,       16,      32,      64,
                                     128, 0x100, 0x800, BIT(39), BIT(52), BIT(63), BIT(31)};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(flips); i++) {
        pointer ^= flips[i];
        expect("no pointer to a table of ours");
        pointer ^= flips[i];
    }
}

static void test_what_the_cpu_lacks(void **state) {
    (void)state;
    caps.raw[CAP_EPT_VPID] = BIT(16);
    expect("guest address 0x40000000: a page size");
    caps.raw[CAP_EPT_VPID] = BIT(17);
    expect("guest address 0x200000: a page size");
    caps.raw[CAP_EPT_VPID] = BIT(0) | BIT(16) | BIT(17);
    *entry(PAGE_4K_AT, 1) ^=
        3; /* execute-only: this CPU has it, the proof says it is not what was asked for */
    assert_int_equal(check(), ERR_OK);
    assert_int_equal(guest_layout_prove(&proof, 1, &table_frames.own), ERR_RANGE);
}

static void test_table_out_of_reach(void **state) {
    (void)state;
    stub_phys_set(TABLES_BASE, memory,
                  (uint64_t)((uint8_t *)entry(PAGE_4K_AT, 1) - memory) & ~UINT64_C(0xfff));
    expect("out of reach");
}

/* Each bit of many an entry of every table, in use or not: no flip goes unnoticed by both the check of
 * form and the proof of contents. */
static void test_every_flip_is_noticed(void **state) {
    const struct range tables = table_frames.own.ranges[0];
    uint64_t *first = (uint64_t *)(memory + (tables.base - TABLES_BASE)), *end = first + tables.size / 8;
    unsigned flips = 0, by_form = 0;

    (void)state;
    for (uint64_t *e = first; e < end; e += 23) {
        for (unsigned bit = 0; bit < 64; bit++, flips++) {
            *e ^= BIT(bit);
            if (check() != ERR_OK)
                by_form++;
            else if (guest_layout_prove(&proof, 1, &table_frames.own) == ERR_OK)
                fail_msg("bit %u at offset 0x%lx", bit, (uint64_t)(e - first) * 8);
            *e ^= BIT(bit);
        }
    }
    assert_true(flips > 5000 && by_form > flips / 2);
    assert_int_equal(check(), ERR_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_good, setup),
        cmocka_unit_test_setup(test_faults, setup),
        cmocka_unit_test_setup(test_pointers, setup),
        cmocka_unit_test_setup(test_what_the_cpu_lacks, setup),
        cmocka_unit_test_setup(test_table_out_of_reach, setup),
        cmocka_unit_test_setup(test_every_flip_is_noticed, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
