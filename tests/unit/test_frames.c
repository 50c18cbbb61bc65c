/* SPDX-License-Identifier: Apache-2.0 */
/* The allocator against a model that keeps one byte for every page of a small machine, and its
 * choices on machines as they are sold. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/frames.h"
#include "tests/unit/host_stub.h"
#include "tests/unit/unit.h"

#define MODEL_PAGES 4096u /* 16 MiB */
#define P           PAGE_SIZE

enum { GONE, FREE, OWN, GUEST };

static struct frames frames;
static uint8_t *machine; /* all of its memory, reserved but not there before it is touched */
#define MACHINE_BYTES GIB(10)
static uint8_t model[MODEL_PAGES];

static int setup(void **state) {
    (void)state;
    machine =
        mmap(NULL, MACHINE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(machine, MAP_FAILED);
    memset(machine, 0xa5, MODEL_PAGES * P);
    stub_phys_set(0, machine, MACHINE_BYTES);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    return munmap(machine, MACHINE_BYTES);
}

static bool zeroed(hpa_t at, uint64_t bytes) {
    for (uint64_t i = 0; i < bytes; i++)
        if (machine[at.v + i] != 0)
            return false;
    return true;
}

static uint64_t pick(uint64_t below) {
    return (uint64_t)random() % below;
}

static bool model_is(uint64_t page, uint64_t pages, uint8_t what) {
    for (uint64_t i = page; i < page + pages; i++)
        if (i >= MODEL_PAGES || model[i] != what)
            return false;
    return true;
}

static void model_set(struct range r, uint8_t from, uint8_t to) {
    assert_true(r.size > 0 && r.base % P == 0 && r.size % P == 0);
    assert_true(model_is(r.base / P, r.size / P, from));
    memset(&model[r.base / P], to, r.size / P);
}

static bool model_in(const struct frames_list *list, uint64_t page) {
    for (unsigned i = 0; i < list->count; i++)
        if (range_contains(list->ranges[i], (struct range){page * P, P}))
            return true;
    return false;
}

static void list_check(const struct frames_list *list) {
    for (unsigned i = 0; i < list->count; i++) {
        assert_true(list->ranges[i].size > 0);
        assert_true((list->ranges[i].base | list->ranges[i].size) % P == 0);
        if (i > 0)
            assert_true(range_end(list->ranges[i - 1]) < list->ranges[i].base);
    }
}

static void model_check(void) {
    uint64_t bytes = 0;

    list_check(&frames.free);
    list_check(&frames.own);
    for (uint64_t i = 0; i < MODEL_PAGES; i++) {
        assert_int_equal(model[i] == FREE, model_in(&frames.free, i));
        assert_int_equal(model[i] == OWN, model_in(&frames.own, i));
        bytes += model[i] == FREE && i >= MIB(1) / P ? P : 0;
    }
    assert_int_equal(bytes, frames_free_bytes(&frames));
}

/* What the map says of one page, asked byte range by byte range. */
static uint8_t model_of_map(const struct memory_range *map, unsigned count, uint64_t page) {
    bool ram[8] = {false}; /* every eighth of a page */

    if (page == 0 || (page >= 0xa0 && page < 0x100))
        return GONE;
    for (unsigned e = 0; e < 8; e++) {
        struct range part = {page * P + e * (P / 8), P / 8};

        for (unsigned i = 0; i < count; i++) {
            if (map[i].kind != MEMORY_RAM && range_overlaps(map[i].range, part))
                return GONE;
            ram[e] |= map[i].kind == MEMORY_RAM && range_overlaps(map[i].range, part);
        }
    }
    return memchr(ram, false, 8) == NULL ? FREE : GONE;
}

/* RAM entries keep to whole pages: rounding each inward is by design more careful than the model,
 * which would join two halves of a page. test_rounding has the rest. */
static unsigned random_map(struct memory_range *map) {
    unsigned count = 1 + (unsigned)pick(12);

    for (unsigned i = 0; i < count; i++) {
        bool ram = pick(3) != 0;
        uint64_t unit = ram ? P : P / 8;

        map[i].kind = ram ? MEMORY_RAM : (enum memory_kind)(2 + pick(4));
        map[i].range.base = pick(MODEL_PAGES * P / unit) * unit;
        map[i].range.size = pick(ram ? 1500 : 300) * unit;
        if (range_end(map[i].range) > MODEL_PAGES * P)
            map[i].range.size = MODEL_PAGES * P - map[i].range.base;
    }
    return count;
}

static bool model_has_room(uint64_t pages, uint64_t align) {
    for (uint64_t at = MIB(1) / P; at + pages <= MODEL_PAGES; at++)
        if (at * P % align == 0 && model_is(at, pages, FREE))
            return true;
    return false;
}

static void random_alloc(void) {
    uint64_t pages = 1 + pick(40);
    hpa_t at;

    if (frames_alloc(&frames, pages * P - pick(2), &at) == ERR_OK) {
        assert_true(at.v >= MIB(1) && zeroed(at, pages * P));
        memset(machine + at.v, 0xa5, pages * P);
        model_set((struct range){at.v, pages * P}, FREE, OWN);
    } else {
        assert_false(model_has_room(pages, P));
    }
}

static void random_pieces(void) {
    struct range pieces[3];
    uint64_t bytes = P * (1 + pick(1200)), total = 0, align = bytes < PAGE_2M ? P : PAGE_2M;
    unsigned count;
    bool one = model_has_room(bytes / P, align);

    if (frames_alloc_pieces(&frames, bytes, FRAMES_LIMIT, pieces, 3, &count) != ERR_OK) {
        assert_false(one);
        assert_int_equal(count, 0);
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(pieces[i].base % (pieces[i].size < PAGE_2M ? P : PAGE_2M), 0);
        assert_true(i + 1 == count || pieces[i].size % PAGE_2M == 0);
        assert_true(pieces[i].base >= MIB(1));
        model_set(pieces[i], FREE, GUEST);
        total += pieces[i].size;
    }
    assert_int_equal(total, bytes);
    assert_int_equal(one, count == 1);
}

static void random_reserve(void) {
    struct range r = {pick(MODEL_PAGES * P), pick(20 * P)};

    if (range_end(r) > MODEL_PAGES * P)
        return;
    assert_int_equal(frames_reserve(&frames, r), ERR_OK);
    for (uint64_t i = 0; i < MODEL_PAGES; i++) {
        if (range_overlaps(r, (struct range){i * P, P})) {
            assert_int_not_equal(model[i], GUEST);
            model[i] = OWN;
        }
    }
}

static void test_model(void **state) {
    struct memory_range map[16];

    (void)state;
    srandom(1);
    for (unsigned round = 0; round < 400; round++) {
        unsigned count = random_map(map);

        stub_log_clear();
        assert_int_equal(frames_init(&frames, map, count), ERR_OK);
        for (uint64_t i = 0; i < MODEL_PAGES; i++)
            model[i] = model_of_map(map, count, i);
        model_check();
        for (unsigned i = 0; i < 6; i++)
            random_reserve();
        model_check();
        for (unsigned i = 0; i < 30; i++)
            pick(2) == 0 ? random_alloc() : random_pieces();
        model_check();
    }
}

/* ---- Machines as they are sold ------------------------------------------------------------- */

static const struct memory_range pc[] = {
    {{0x100000000, GIB(5)}, MEMORY_RAM},
    {{0xfeffc000, 0x4000}, MEMORY_RESERVED},
    {{0, 0x9fc00}, MEMORY_RAM},
    {{0x9fc00, 0x400}, MEMORY_RESERVED},
    {{0xf0000, 0x10000}, MEMORY_RESERVED},
    {{0x100000, 0xbfee0000}, MEMORY_RAM},
    {{0xbffe0000, 0x20000}, MEMORY_RESERVED},
};

static void pc_init(void) {
    assert_int_equal(frames_init(&frames, pc, ARRAY_SIZE(pc)), ERR_OK);
}

static void test_own_frames_from_the_top_below_4g(void **state) {
    hpa_t at;

    (void)state;
    pc_init();
    assert_int_equal(frames_reserve(&frames, (struct range){GIB(2), 1}), ERR_OK);
    assert_int_equal(frames_alloc(&frames, 1, &at), ERR_OK);
    assert_int_equal(at.v, 0xbffdf000);
    assert_int_equal(frames_alloc(&frames, P + 1, &at), ERR_OK);
    assert_int_equal(at.v, 0xbffdd000);
    assert_int_equal(frames.own.count, 2); /* the last two touch */
    assert_int_equal(frames_reserve(&frames, (struct range){MIB(1), GIB(3)}), ERR_OK);
    assert_int_equal(frames_alloc(&frames, MIB(1), &at), ERR_OK);
    assert_int_equal(at.v, GIB(9) - MIB(1));
    stub_phys_set(0, machine, GIB(8));
    stub_log_clear();
    assert_int_equal(frames_alloc(&frames, MIB(1), &at), ERR_NO_MEMORY);
    assert_non_null(strstr(stub_log, "out of reach"));
    assert_int_equal(frames.own.count, 2);
}

static void test_pieces_are_few_and_aligned(void **state) {
    struct range p[4];
    unsigned n;

    (void)state;
    pc_init();
    assert_int_equal(frames_alloc_pieces(&frames, MIB(512), FRAMES_LIMIT, p, 4, &n), ERR_OK);
    assert_true(n == 1 && p[0].base == MIB(2) && p[0].size == MIB(512)); /* the smaller block */
    assert_int_equal(frames_alloc_pieces(&frames, GIB(1), FRAMES_LIMIT, p, 4, &n), ERR_OK);
    assert_true(n == 1 && p[0].base == GIB(1));
    /* 4 GiB + 3 pages fit only above 4 GiB; then 2 GiB only in three pieces, biggest first */
    assert_int_equal(frames_alloc_pieces(&frames, GIB(4) + 3 * P, FRAMES_LIMIT, p, 4, &n), ERR_OK);
    assert_true(n == 1 && p[0].base == GIB(4));
    assert_int_equal(frames_alloc_pieces(&frames, GIB(2) + P, FRAMES_LIMIT, p, 2, &n), ERR_NO_MEMORY);
    assert_int_equal(frames_alloc_pieces(&frames, GIB(2) + P, FRAMES_LIMIT, p, 4, &n), ERR_OK);
    assert_int_equal(n, 3);
    assert_true(p[1].base == GIB(8) + PAGE_2M && p[1].size == GIB(1) - PAGE_2M);
    assert_true(p[0].base == GIB(2) && p[0].size == GIB(1) - PAGE_2M);
    assert_true(p[2].base == MIB(514) && p[2].size == MIB(4) + P);
}

/* At a multiple of 1 GiB only if that costs no further piece. */
static void test_whole_before_aligned(void **state) {
    const struct memory_range map = {{GIB(1) + PAGE_2M, GIB(2)}, MEMORY_RAM};
    struct range p[2];
    unsigned n;

    (void)state;
    assert_int_equal(frames_init(&frames, &map, 1), ERR_OK);
    assert_int_equal(frames_alloc_pieces(&frames, GIB(1) + MIB(512), FRAMES_LIMIT, p, 2, &n), ERR_OK);
    assert_true(n == 1 && p[0].base == GIB(1) + PAGE_2M);
}

static void test_refused_pieces_take_nothing(void **state) {
    struct frames before;
    struct range p[4];
    unsigned n;

    (void)state;
    pc_init();
    before = frames;
    assert_int_equal(frames_alloc_pieces(&frames, GIB(9), FRAMES_LIMIT, p, 4, &n), ERR_NO_MEMORY);
    assert_int_equal(frames_alloc_pieces(&frames, GIB(6), FRAMES_LIMIT, p, 1, &n), ERR_NO_MEMORY);
    assert_int_equal(frames_alloc_pieces(&frames, 0, FRAMES_LIMIT, p, 4, &n), ERR_NO_MEMORY);
    assert_int_equal(frames_alloc_pieces(&frames, UINT64_MAX, FRAMES_LIMIT, p, 4, &n), ERR_NO_MEMORY);
    assert_int_equal(before.free.count, frames.free.count);
    assert_memory_equal(before.free.ranges, frames.free.ranges, frames.free.count * sizeof(struct range));
}

static void test_low_page(void **state) {
    hpa_t page;

    (void)state;
    pc_init();
    assert_int_equal(frames_reserve(&frames, (struct range){0x7800, 0x1801}), ERR_OK);
    assert_int_equal(frames_alloc_low(&frames, &page), ERR_OK);
    assert_int_equal(page.v, 0xa000);
    assert_int_equal(frames_reserve(&frames, (struct range){0x8000, 0x98000}), ERR_OK);
    assert_int_equal(frames_alloc_low(&frames, &page), ERR_OK);
    assert_int_equal(page.v, 0x1000);
    assert_int_equal(frames_reserve(&frames, (struct range){0x1000, 0x6fff}), ERR_OK);
    assert_int_equal(frames_alloc_low(&frames, &page), ERR_NO_MEMORY);
    assert_int_equal(frames.own.count, 1);
}

static void test_rounding(void **state) {
    const struct memory_range map[] = {
        {{MIB(1) + 1, 3 * P}, MEMORY_RAM}, /* two whole pages */
        {{MIB(2), P / 2}, MEMORY_RAM},         {{MIB(2) + P / 2, P / 2}, MEMORY_RAM},
        {{MIB(4), 8 * P}, MEMORY_RAM},         {{MIB(4) + 2 * P - 1, 2}, MEMORY_NVS},
        {{MIB(4) + 6 * P + 1, 0}, MEMORY_BAD},
    };

    (void)state;
    assert_int_equal(frames_init(&frames, map, ARRAY_SIZE(map)), ERR_OK);
    assert_int_equal(frames.free.count, 3);
    assert_true(frames.free.ranges[0].base == MIB(1) + P && frames.free.ranges[0].size == 2 * P);
    assert_true(frames.free.ranges[1].base == MIB(4) && frames.free.ranges[1].size == P);
    assert_true(frames.free.ranges[2].base == MIB(4) + 3 * P);
    assert_int_equal(frames.free.ranges[2].size, 5 * P);
}

static void test_hostile_map(void **state) {
    const struct memory_range map[] = {
        {{MIB(1), MIB(7)}, MEMORY_RAM},
        {{MIB(8), UINT64_MAX}, MEMORY_RAM},           /* wraps: no RAM */
        {{UINT64_MAX - 8, 8}, MEMORY_RAM},            /* beyond, and rounds up to 0 */
        {{FRAMES_LIMIT - P, GIB(4)}, MEMORY_RAM},     /* cut to one page */
        {{0xfee00000, MIB(2)}, MEMORY_RAM},           /* never */
        {{MIB(7), UINT64_MAX - MIB(6)}, MEMORY_ACPI}, /* wraps: to the end */
        {{MIB(6), MIB(1)}, (enum memory_kind)77},
    };

    (void)state;
    assert_int_equal(frames_init(&frames, map, 5), ERR_OK);
    assert_int_equal(frames_free_bytes(&frames), MIB(7) + P);
    assert_int_equal(frames_init(&frames, map, ARRAY_SIZE(map)), ERR_OK);
    assert_int_equal(frames_free_bytes(&frames), MIB(5));
    assert_int_equal(frames_reserve(&frames, (struct range){MIB(5), UINT64_MAX}), ERR_OK);
    assert_int_equal(frames_free_bytes(&frames), MIB(4));
    assert_int_equal(range_end(frames.own.ranges[0]), FRAMES_LIMIT);
}

static void test_full_table_is_said(void **state) {
    const struct memory_range map = {{MIB(1), MIB(16)}, MEMORY_RAM};
    unsigned holes = 0;

    (void)state;
    assert_int_equal(frames_init(&frames, &map, 1), ERR_OK);
    stub_log_clear();
    while (frames_reserve(&frames, (struct range){MIB(1) + (2 * holes + 1) * P, 1}) == ERR_OK)
        holes++;
    assert_int_equal(holes, FRAMES_MAX_RANGES - 1);
    assert_non_null(strstr(stub_log, "256 pieces"));
}

static void test_sealed(void **state) {
    struct range p[1];
    unsigned n;
    hpa_t at;

    (void)state;
    pc_init();
    frames.sealed = true;
    stub_log_clear();
    assert_int_equal(frames_alloc(&frames, P, &at), ERR_NO_MEMORY);
    assert_non_null(strstr(stub_log, "sealed"));
    assert_int_equal(frames_alloc_low(&frames, &at), ERR_NO_MEMORY);
    assert_int_equal(frames_alloc_pieces(&frames, P, FRAMES_LIMIT, p, 1, &n), ERR_NO_MEMORY);
    assert_int_equal(frames.own.count, 0);
}

static void test_bad_requests(void **state) {
    hpa_t at;

    (void)state;
    pc_init();
    assert_int_equal(frames_alloc(&frames, 0, &at), ERR_NO_MEMORY);
    assert_int_equal(frames_alloc(&frames, UINT64_MAX - P + 1, &at), ERR_NO_MEMORY);
    assert_int_equal(frames_alloc(&frames, UINT64_MAX, &at), ERR_NO_MEMORY);
    assert_int_equal(frames.own.count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_model, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_frames_from_the_top_below_4g, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pieces_are_few_and_aligned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whole_before_aligned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_pieces_take_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_low_page, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rounding, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_map, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_table_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sealed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_requests, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
