/* SPDX-License-Identifier: Apache-2.0 */
/* Two regions that touch for the guest but lie the other way round in the machine, a gap, a device:
 * every access of every length around their borders, against a flat copy. */
#include <string.h>

#include "core/guest_map.h"
#include "tests/unit/host_stub.h"
#include "tests/unit/unit.h"

#define P       PAGE_SIZE
#define MACHINE UINT64_C(0x40000000)

static uint8_t memory[8 * PAGE_SIZE];
static struct guest_map map;

static struct guest_region region(uint64_t from, uint64_t to, uint64_t bytes, enum region_kind kind) {
    return (struct guest_region){gpa(from), hpa(to), bytes, kind};
}

static int setup(void **state) {
    (void)state;
    map.count = 0;
    memset(memory, 0xee, sizeof(memory));
    stub_phys_set(MACHINE, memory, sizeof(memory));
    /* added out of order; the guest sees 1 | 2 | gap | 0 | device */
    assert_int_equal(guest_map_add(&map, region(4 * P, MACHINE + 5 * P, P, REGION_RAM)), ERR_OK);
    assert_int_equal(guest_map_add(&map, region(5 * P, MACHINE + 7 * P, P, REGION_DEVICE)), ERR_OK);
    assert_int_equal(guest_map_add(&map, region(0, MACHINE + 2 * P, P, REGION_RAM)), ERR_OK);
    assert_int_equal(guest_map_add(&map, region(P, MACHINE, 2 * P, REGION_TABLES)), ERR_OK);
    return 0;
}

/* Where byte `at` of the guest is in memory[], or -1. */
static int64_t place(uint64_t at) {
    static const int page[] = {2, 0, 1, -1, 5, -1};

    return at / P < ARRAY_SIZE(page) && page[at / P] >= 0 ? page[at / P] * (int64_t)P + (int64_t)(at % P)
                                                          : -1;
}

static bool all_there(uint64_t at, uint64_t bytes) {
    for (uint64_t i = at; i < at + bytes; i++)
        if (place(i) < 0)
            return false;
    return true;
}

static void test_sorted_and_counted(void **state) {
    (void)state;
    assert_int_equal(map.count, 4);
    for (unsigned i = 1; i < map.count; i++)
        assert_true(map.regions[i - 1].gpa.v < map.regions[i].gpa.v);
}

static void test_add_refuses(void **state) {
    const struct guest_map before = map;
    const struct guest_region bad[] = {
        region(8 * P, 0, 0, REGION_RAM),     region(8 * P + 1, 0, P, REGION_RAM),
        region(8 * P, 1, P, REGION_RAM),     region(8 * P, 0, P + 1, REGION_RAM),
        region(0 - P, 0, 2 * P, REGION_RAM), region(8 * P, 0 - P, 2 * P, REGION_RAM),
        region(2 * P, 0, P, REGION_RAM),     region(0, 0, P, REGION_DEVICE),
        region(3 * P, 0, 2 * P, REGION_RAM), region(0, 0, 16 * P, REGION_RAM),
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        stub_log_clear();
        assert_int_equal(guest_map_add(&map, bad[i]), ERR_RANGE);
        assert_true(strlen(stub_log) > 0);
        assert_memory_equal(&before, &map, sizeof(map));
    }
    for (uint64_t i = 10; map.count < MAX_GUEST_REGIONS; i += 2)
        assert_int_equal(guest_map_add(&map, region(i * P, 0, P, REGION_RAM)), ERR_OK);
    assert_int_equal(guest_map_add(&map, region(0x1000 * P, 0, P, REGION_RAM)), ERR_RANGE);
    assert_non_null(strstr(stub_log, "too many"));
}

static void test_find_and_ptr(void **state) {
    (void)state;
    assert_ptr_equal(guest_map_find(&map, gpa(0)), &map.regions[0]);
    assert_ptr_equal(guest_map_find(&map, gpa(3 * P - 1)), &map.regions[1]);
    assert_null(guest_map_find(&map, gpa(3 * P)));
    assert_ptr_equal(guest_map_find(&map, gpa(5 * P)), &map.regions[3]);
    assert_null(guest_map_find(&map, gpa(UINT64_MAX)));

    assert_ptr_equal(guest_map_ptr(&map, gpa(P + 3), 2 * P - 3), memory + 3);
    assert_null(guest_map_ptr(&map, gpa(P + 3), 2 * P - 2));
    assert_null(guest_map_ptr(&map, gpa(P - 1), 2)); /* two regions */
    assert_null(guest_map_ptr(&map, gpa(5 * P), 4)); /* device */
    assert_null(guest_map_ptr(&map, gpa(P), UINT64_MAX));
    stub_phys_set(MACHINE, memory, P + 16); /* the rest is not mapped on this CPU */
    assert_ptr_equal(guest_map_ptr(&map, gpa(2 * P), 16), memory + P);
    assert_null(guest_map_ptr(&map, gpa(2 * P), 17));
}

static void test_access(void **state) {
    static const uint64_t starts[] = {0, 1, P - 3, P, 2 * P - 1, 3 * P - 2, 3 * P, 4 * P, 5 * P - 1, 5 * P};
    static const uint64_t sizes[] = {0, 1, 2, 3, 5, P, P + 2, 2 * P + 3, 3 * P, 4 * P};
    static uint8_t data[4 * PAGE_SIZE], got[4 * PAGE_SIZE], expect[sizeof(memory)];

    (void)state;
    for (unsigned k = 0; k < ARRAY_SIZE(starts) * ARRAY_SIZE(sizes); k++) {
        uint64_t at = starts[k / ARRAY_SIZE(sizes)], bytes = sizes[k % ARRAY_SIZE(sizes)];
        enum err wanted = all_there(at, bytes) ? ERR_OK : ERR_RANGE;

        for (uint64_t i = 0; i < sizeof(data); i++)
            data[i] = (uint8_t)(i * 7 + k + 1);
        memcpy(expect, memory, sizeof(memory));
        for (uint64_t i = 0; i < bytes && wanted == ERR_OK; i++)
            expect[place(at + i)] = data[i];
        assert_int_equal(guest_map_write(&map, gpa(at), data, bytes), wanted);
        assert_memory_equal(memory, expect, sizeof(memory));
        memset(got, 0, sizeof(got));
        assert_int_equal(guest_map_read(&map, got, gpa(at), bytes), wanted);
        for (uint64_t i = 0; i < sizeof(got); i++)
            assert_int_equal(got[i], i < bytes && wanted == ERR_OK ? data[i] : 0);
        for (uint64_t i = 0; i < bytes && wanted == ERR_OK; i++)
            expect[place(at + i)] = 0;
        assert_int_equal(guest_map_zero(&map, gpa(at), bytes), wanted);
        assert_memory_equal(memory, expect, sizeof(memory));
    }
}

static void test_access_at_the_end_of_the_world(void **state) {
    uint8_t data[64] = {0};

    (void)state;
    map.count = 0;
    assert_int_equal(guest_map_add(&map, region(0, MACHINE, P, REGION_RAM)), ERR_OK);
    assert_int_equal(guest_map_add(&map, region(0 - 2 * P, MACHINE + P, P, REGION_RAM)), ERR_OK);
    assert_int_equal(guest_map_write(&map, gpa(0 - P - 8), data, 8), ERR_OK);
    assert_int_equal(guest_map_write(&map, gpa(0 - P - 8), data, 9), ERR_RANGE);
    assert_int_equal(guest_map_read(&map, data, gpa(UINT64_MAX), 2), ERR_RANGE);
    assert_int_equal(guest_map_read(&map, data, gpa(0), UINT64_MAX), ERR_RANGE);
    assert_int_equal(guest_map_zero(&map, gpa(8), UINT64_MAX), ERR_RANGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_sorted_and_counted, setup),
        cmocka_unit_test_setup(test_add_refuses, setup),
        cmocka_unit_test_setup(test_find_and_ptr, setup),
        cmocka_unit_test_setup(test_access, setup),
        cmocka_unit_test_setup(test_access_at_the_end_of_the_world, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
