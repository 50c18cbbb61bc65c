/* SPDX-License-Identifier: Apache-2.0 */
/* Layouts of every kind on a PC with 11 GiB, page by page against the rules of the address map; and
 * the proof, which must find each way of breaking it. */
#include <stdio.h>
#include <string.h>

#include "core/guest_layout.h"
#include "tests/unit/host_stub.h"
#include "tests/unit/pages.h"
#include "tests/unit/unit.h"

#define TABLES_BYTES MIB(16)
#define TABLES_BASE  UINT64_C(0xd0000000) /* apart, so that guests may have all of the RAM */

static const struct memory_range pc[] = {
    {{0, 0x9fc00}, MEMORY_RAM},
    {{MIB(1), GIB(3) - MIB(1)}, MEMORY_RAM},
    {{GIB(4), GIB(8)}, MEMORY_RAM},
};

static _Alignas(4096) uint8_t memory[TABLES_BYTES];
static struct frames frames, table_frames;
static struct guest_map maps[MAX_PARTITIONS];
static struct pagetable epts[MAX_PARTITIONS];
static char names[MAX_PARTITIONS][MAX_NAME];
static struct proof_partition proof[MAX_PARTITIONS];
static unsigned nr_partitions;
static struct partition_config config;

static int setup(void **state) {
    const struct memory_range tables = {{TABLES_BASE, TABLES_BYTES}, MEMORY_RAM};

    (void)state;
    stub_phys_set(TABLES_BASE, memory, sizeof(memory));
    assert_int_equal(frames_init(&table_frames, &tables, 1), ERR_OK);
    assert_int_equal(frames_init(&frames, pc, ARRAY_SIZE(pc)), ERR_OK);
    assert_int_equal(frames_reserve(&frames, tables.range), ERR_OK);
    assert_int_equal(frames_reserve(&frames, (struct range){MIB(1), MIB(3)}), ERR_OK);
    assert_int_equal(frames_reserve(&frames, (struct range){GUEST_LAPIC_BASE, 1}), ERR_OK);
    nr_partitions = 0;
    config = (struct partition_config){.name = "p"};
    stub_log_clear();
    return 0;
}

static struct partition_config *wants(uint64_t bytes, bool identity) {
    config.memory_bytes = bytes;
    config.identity = identity;
    return &config;
}

static void wants_window(uint64_t base, uint64_t size) {
    config.mmio.at[config.mmio.count++] = (struct range){base, size};
}

/* Build the partition `config` asks for and add it to what is proved. */
static struct guest_map *build(void) {
    unsigned i = nr_partitions++;

    snprintf(names[i], MAX_NAME, "p%u", i);
    assert_int_equal(guest_layout_build(&maps[i], &config, &frames), ERR_OK);
    assert_int_equal(pt_init(&epts[i], &pt_ept, 3, &table_frames), ERR_OK);
    assert_int_equal(guest_layout_ept(&epts[i], &maps[i]), ERR_OK);
    proof[i] = (struct proof_partition){names[i], &maps[i], &epts[i]};
    config.mmio.count = 0;
    return &maps[i];
}

/* What a guest with `bytes` of RAM from 0 has at `at`; -1 = nothing. */
static int kind_at(uint64_t at, uint64_t bytes) {
    if (at >= GIB(4))
        return at - GIB(1) < bytes ? REGION_RAM : -1;
    if (at >= GIB(3) || at >= bytes || (at >= 0xa0000 && at < 0xc0000))
        return -1;
    return at >= 0xc0000 && at < 0x100000 ? REGION_TABLES : REGION_RAM;
}

static void check_page(const struct pagetable *ept, uint64_t at, int kind, unsigned attributes) {
    struct pt_leaf leaf;
    bool found = pt_lookup(ept, at, &leaf);

    assert_int_equal(found, kind >= 0);
    if (found)
        assert_int_equal(leaf.attributes, attributes);
}

static void check_from_zero(uint64_t bytes) {
    const struct guest_map *map;
    uint64_t step = bytes > MIB(64) ? MIB(1) - PAGE_SIZE : PAGE_SIZE, ram = 0;

    setup(NULL);
    wants(bytes, false);
    map = build();
    for (uint64_t at = 0; at < bytes + GIB(1) + MIB(8); at += at < MIB(4) ? PAGE_SIZE : step) {
        const struct guest_region *r = guest_map_find(map, gpa(at));
        int kind = kind_at(at, bytes);

        assert_int_equal(r == NULL ? -1 : (int)r->kind, kind);
        check_page(&epts[0], at, kind, PT_RWX);
    }
    for (unsigned i = 0; i < map->count; i++) { /* big pages fit everywhere */
        assert_int_equal((map->regions[i].gpa.v - map->regions[i].hpa.v) % PAGE_2M, 0);
        ram += map->regions[i].kind == REGION_RAM ? map->regions[i].bytes : 0;
    }
    assert_int_equal(ram, bytes - KIB(384));
    assert_int_equal(guest_layout_prove(proof, nr_partitions, &frames.own), ERR_OK);
}

static void test_from_zero(void **state) {
    static const uint64_t sizes[] = {
        MIB(2), MIB(2) + PAGE_SIZE, MIB(16), MIB(512), MIB(513), GIB(1), GIB(3) - PAGE_SIZE,
        GIB(3), GIB(3) + PAGE_SIZE, GIB(4),  GIB(8),   GIB(10),
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
        check_from_zero(sizes[i]);
}

static void test_big_pages(void **state) {
    uint64_t cursor = 0;
    unsigned small = 0, middle = 0, big = 0;
    struct pt_leaf leaf;

    (void)state;
    wants(GIB(4), false);
    assert_int_equal(build()->count, 4);
    while (next_page(&epts[0], &cursor, &leaf)) {
        small += leaf.bytes == PAGE_SIZE;
        middle += leaf.bytes == PAGE_2M;
        big += leaf.bytes == PAGE_1G;
    }
    assert_int_equal(small, 512 - 32); /* the first 2 MiB without the hole */
    assert_int_equal(middle, 511);
    assert_int_equal(big, 3); /* 1 and 2 GiB, and the one above the hole */
}

/* A PC's ROM, for `load = reset`: what RESET fetches from, frames of its own. */
static void test_rom_below_4_gib(void **state) {
    (void)state;
    for (unsigned identity = 0; identity < 2; identity++) {
        wants(MIB(16), identity)->load_at_reset = true;
        const struct guest_region *rom = guest_map_find(build(), gpa(GIB(4) - 16));

        assert_non_null(rom);
        assert_int_equal(rom->gpa.v, GIB(4) - KIB(256));
        assert_int_equal(rom->bytes, KIB(256));
        assert_int_equal(rom->kind, REGION_TABLES);
    }
    assert_int_equal(guest_layout_prove(proof, nr_partitions, &frames.own), ERR_OK);
}

static void test_identity(void **state) {
    const struct guest_map *map;
    uint64_t ram = 0, low = 0;

    (void)state;
    wants_window(0xfd000000, MIB(1));
    wants(GIB(9), true);
    map = build();
    for (unsigned i = 0; i < map->count; i++) {
        const struct guest_region *r = &map->regions[i];

        if (r->gpa.v >= MIB(1)) {
            assert_int_equal(r->gpa.v, r->hpa.v);
            ram += r->kind == REGION_RAM ? r->bytes : 0;
            low += r->kind == REGION_RAM && r->gpa.v < GIB(4) ? r->bytes : 0;
        } else {
            assert_true(r->hpa.v >= MIB(4)); /* private, and not what is reserved */
        }
    }
    assert_int_equal(ram, GIB(9));
    assert_true(low >= MIB(256)); /* of it within reach of loaders and of devices with 32 address bits */
    for (uint64_t at = 0; at < MIB(1); at += PAGE_SIZE)
        check_page(&epts[0], at, kind_at(at, MIB(1)), PT_RWX);
    check_page(&epts[0], 0xfd000000, REGION_DEVICE, PT_RW | PT_UC);
    check_page(&epts[0], 0xfd0fffff, REGION_DEVICE, PT_RW | PT_UC);
    check_page(&epts[0], 0xfd100000, -1, 0);
    assert_int_equal(guest_layout_prove(proof, nr_partitions, &frames.own), ERR_OK);
}

static void test_build_refuses(void **state) {
    struct guest_map *map = &maps[0];

    (void)state;
    assert_int_equal(guest_layout_build(map, wants(GIB(11), false), &frames), ERR_NO_MEMORY);
    assert_int_equal(guest_layout_build(map, wants(0 - PAGE_SIZE, true), &frames), ERR_NO_MEMORY);
    wants_window(MIB(7), PAGE_SIZE); /* over its own RAM */
    assert_int_equal(guest_layout_build(map, wants(MIB(8), false), &frames), ERR_RANGE);
    config.mmio.count = 0;
    wants_window(GIB(3), PAGE_SIZE - 1);
    assert_int_equal(guest_layout_build(map, wants(MIB(8), false), &frames), ERR_RANGE);
}

/* ---- The proof ------------------------------------------------------------------------------ */

static void test_proof_of_many(void **state) {
    (void)state;
    for (unsigned i = 0; i < MAX_PARTITIONS; i++) {
        wants(MIB(512) + i * MIB(1), i < 5);
        wants_window(0xe0000000 + i * MIB(1), MIB(1));
        build();
    }
    assert_int_equal(guest_layout_prove(proof, nr_partitions, &frames.own), ERR_OK);
    assert_string_equal(stub_log, "");
}

static void expect_offence(const char *words) {
    stub_log_clear();
    assert_int_equal(guest_layout_prove(proof, nr_partitions, &frames.own), ERR_RANGE);
    assert_non_null(strstr(stub_log, words));
}

static int setup_two(void **state) {
    setup(state);
    wants(MIB(16), false);
    build();
    wants_window(GIB(3), MIB(2));
    build();
    assert_int_equal(guest_layout_prove(proof, nr_partitions, &frames.own), ERR_OK);
    return 0;
}

/* Change bits of the entry that has this value. */
static void spoil(uint64_t entry, uint64_t bits) {
    for (uint64_t *at = (uint64_t *)memory; at < (uint64_t *)(memory + TABLES_BYTES); at++)
        *at ^= *at == entry ? bits : 0;
}

static void test_proof_finds_extra_page(void **state) {
    (void)state;
    assert_int_equal(pt_map(&epts[1], MIB(16), hpa(GIB(5)), PAGE_SIZE, PT_RWX), ERR_OK);
    expect_offence("partition p1, guest address 0x1000000, machine address 0x140000000: mapped, but");
}

static void test_proof_finds_wrong_frame(void **state) {
    struct pt_leaf leaf;

    (void)state;
    assert_int_equal(pt_protect(&epts[0], MIB(8), PAGE_SIZE, PT_RW | PT_UC),
                     ERR_OK); /* by itself, to be found */
    assert_true(pt_lookup(&epts[0], MIB(8), &leaf));
    spoil(leaf.to.v | 0x03, leaf.to.v | 0x03); /* not mapped */
    expect_offence("partition p0: 0xfdf000 bytes mapped, 0xfe0000");
    assert_int_equal(pt_map(&epts[0], MIB(8), hpa(TABLES_BASE), PAGE_SIZE, PT_RWX), ERR_OK);
    expect_offence("guest address 0x800000, machine address 0xd0000000: mapped, but");
}

static void test_proof_finds_page_beyond_region(void **state) {
    struct guest_region *last = &maps[0].regions[maps[0].count - 1];

    (void)state;
    last->bytes -= PAGE_SIZE; /* the map ends in the middle of a 2 MiB page */
    expect_offence("mapped, but");
}

static void test_proof_finds_attributes(void **state) {
    struct pt_leaf leaf;

    (void)state;
    spoil(GIB(3) | 0x83, 6 << 3); /* a window that is cached */
    expect_offence("partition p1, guest address 0xc0000000, machine address 0xc0000000: wrong");
    setup_two(NULL);
    assert_true(pt_lookup(&epts[0], 0xe0000, &leaf));
    spoil(leaf.to.v | 0x37, BIT(2)); /* not for executing */
    expect_offence("partition p0, guest address 0xe0000");
    setup_two(NULL);
    spoil((GIB(3) | 0x83), BIT(6)); /* "ignore PAT": a bit we never set */
    expect_offence("partition p1, guest address 0xc0000000, machine address 0xc0000000: wrong");
}

/* One more region, in the map and in the EPT alike. */
static void add(unsigned i, uint64_t from, uint64_t to) {
    assert_int_equal(
        guest_map_add(&maps[i], (struct guest_region){gpa(from), hpa(to), PAGE_SIZE, REGION_RAM}), ERR_OK);
    assert_int_equal(pt_map(&epts[i], from, hpa(to), PAGE_SIZE, PT_RWX), ERR_OK);
}

static void test_proof_finds_shared_frames(void **state) {
    (void)state;
    add(1, MIB(32), maps[0].regions[2].hpa.v + MIB(3));
    expect_offence("shared with partition p1");
    setup_two(NULL);
    add(0, MIB(32), maps[1].regions[0].hpa.v);
    expect_offence("shared with partition p1");
    setup_two(NULL);
    add(1, MIB(32), maps[1].regions[2].hpa.v);
    expect_offence("mapped twice");
}

static void test_proof_finds_hypervisor(void **state) {
    static uint8_t spare[PAGE_SIZE];
    hpa_t mine;

    (void)state;
    add(0, MIB(32), epts[1].root.v);
    expect_offence("shared with the hypervisor");
    setup_two(NULL);
    add(1, MIB(32), MIB(3));
    expect_offence("shared with the hypervisor");
    setup_two(NULL);
    add(1, MIB(32), GUEST_LAPIC_BASE); /* reserved, though not RAM */
    expect_offence("shared with the hypervisor");
    setup_two(NULL);
    stub_phys_set(GIB(3) - PAGE_SIZE, spare, PAGE_SIZE); /* where it is to be */
    assert_int_equal(frames_alloc(&frames, PAGE_SIZE, &mine), ERR_OK);
    stub_phys_set(TABLES_BASE, memory, sizeof(memory));
    assert_int_equal(guest_layout_prove(proof, nr_partitions, &frames.own), ERR_OK);
    add(0, MIB(32), mine.v);
    expect_offence("shared with the hypervisor");
}

static void test_proof_finds_local_apic(void **state) {
    (void)state;
    add(0, GUEST_LAPIC_BASE, GIB(6));
    expect_offence("local APIC");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_from_zero, setup),
        cmocka_unit_test_setup(test_big_pages, setup),
        cmocka_unit_test_setup(test_rom_below_4_gib, setup),
        cmocka_unit_test_setup(test_identity, setup),
        cmocka_unit_test_setup(test_build_refuses, setup),
        cmocka_unit_test_setup(test_proof_of_many, setup),
        cmocka_unit_test_setup(test_proof_finds_extra_page, setup_two),
        cmocka_unit_test_setup(test_proof_finds_wrong_frame, setup_two),
        cmocka_unit_test_setup(test_proof_finds_page_beyond_region, setup_two),
        cmocka_unit_test_setup(test_proof_finds_attributes, setup_two),
        cmocka_unit_test_setup(test_proof_finds_shared_frames, setup_two),
        cmocka_unit_test_setup(test_proof_finds_hypervisor, setup_two),
        cmocka_unit_test_setup(test_proof_finds_local_apic, setup_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
