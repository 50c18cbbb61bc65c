/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory for the tests of the image loaders: one window of host memory from which a test
 * carves the pieces of a guest map. */
#pragma once

#include <string.h>

#include "core/guest_map.h"
#include "core/load.h"
#include "core/str.h"
#include "tests/unit/host_stub.h"
#include "tests/unit/unit.h"

#define WINDOW_HPA UINT64_C(0x7000000000)
#define WINDOW     MIB(48)

static uint8_t window[WINDOW];
static uint64_t window_used;
static struct guest_map map;
static struct partition_config config;

static inline void config_reset(const char *cmdline) {
    config = (struct partition_config){.name = "tester"};
    assert_true(str_copy(config.cmdline, sizeof(config.cmdline), cmdline, strlen(cmdline)));
}

static inline void memory_add(uint64_t at, uint64_t bytes, enum region_kind kind) {
    assert_true(bytes <= WINDOW - window_used);
    assert_int_equal(
        guest_map_add(&map, (struct guest_region){gpa(at), hpa(WINDOW_HPA + window_used), bytes, kind}),
        ERR_OK);
    window_used += bytes;
}

/* All RAM is zeros, as a partition's is before each load. */
static inline void memory_scrub(void) {
    memset(window, 0, KIB(640));
    memset(window + KIB(640) + KIB(128), 0, sizeof(window) - KIB(640) - KIB(128));
}

/* The low megabyte that every partition has; what lies above is the test's choice. */
static inline void memory_reset(void) {
    memset(&map, 0, sizeof(map));
    window_used = 0;
    memset(window, 0xA5, sizeof(window));
    memory_scrub();
    stub_phys_set(WINDOW_HPA, window, sizeof(window));
    stub_log_clear();
    memory_add(0, KIB(640), REGION_RAM);
    memory_add(0xE0000, KIB(128), REGION_TABLES);
}

static inline uint8_t *memory_at(uint64_t at, uint64_t bytes) {
    uint8_t *p = guest_map_ptr(&map, gpa(at), bytes);

    assert_non_null(p);
    return p;
}

static inline uint64_t memory_value(uint64_t at, unsigned bytes) {
    uint64_t v = 0;

    memcpy(&v, memory_at(at, bytes), bytes);
    return v;
}

/* No loader has any business in the ACPI tables. */
static inline void memory_tables_untouched(void) {
    const uint8_t *tables = memory_at(0xE0000, KIB(128));

    for (uint64_t i = 0; i < KIB(128); i++)
        assert_int_equal(tables[i], 0xA5);
}

/* A refusal: the error, and a line that names partition, image and `words`. */
static inline void memory_refused(const struct load_request *request, enum err want, const char *words) {
    struct guest_start start;

    memory_scrub();
    stub_log_clear();
    assert_int_equal(load_guest(request, &start), want);
    if (strncmp(stub_log, "partition tester: ", 18) != 0 || strstr(stub_log, words) == NULL)
        fail_msg("log: %s", stub_log);
    memory_tables_untouched();
}
