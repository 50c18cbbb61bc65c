/* SPDX-License-Identifier: Apache-2.0 */
/* A small guest for the fuzzers of the image loaders: what may be written, and the proof that nothing
 * else was. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "core/load.h"
#include "tests/unit/host_stub.h"

#define FUZZ_HPA    UINT64_C(0x7000000000)
#define FUZZ_LOW    KIB(640)
#define FUZZ_TABLES KIB(128)
#define FUZZ_HIGH   MIB(2)
#define FUZZ_GUARD  KIB(64)

/* low RAM, guard, tables, guard, high RAM, guard */
static uint8_t fuzz_memory[FUZZ_LOW + FUZZ_TABLES + FUZZ_HIGH + 3 * FUZZ_GUARD];
static struct guest_map fuzz_map;
static struct partition_config fuzz_config = {.name = "fuzz", .cmdline = "quiet"};

static inline void require(bool held) {
    if (!held)
        abort();
}

static inline uint64_t fuzz_place(uint64_t gpa_at, uint64_t bytes, enum region_kind kind, uint64_t offset) {
    require(guest_map_add(&fuzz_map,
                          (struct guest_region){gpa(gpa_at), hpa(FUZZ_HPA + offset), bytes, kind}) == ERR_OK);
    return offset + bytes + FUZZ_GUARD;
}

static inline void fuzz_guest(uint64_t high_gpa) {
    uint64_t offset = 0;

    memset(&fuzz_map, 0, sizeof(fuzz_map));
    stub_phys_set(FUZZ_HPA, fuzz_memory, sizeof(fuzz_memory));
    offset = fuzz_place(0, FUZZ_LOW, REGION_RAM, offset);
    offset = fuzz_place(0xE0000, FUZZ_TABLES, REGION_TABLES, offset);
    fuzz_place(high_gpa, FUZZ_HIGH, REGION_RAM, offset);
    stub_log_clear();
}

static inline void fuzz_untouched(uint64_t from, uint64_t bytes) {
    static const uint8_t zeros[FUZZ_TABLES + 2 * FUZZ_GUARD];

    require(memcmp(fuzz_memory + from, zeros, bytes) == 0);
}

static inline void fuzz_check_guards(void) {
    fuzz_untouched(FUZZ_LOW, FUZZ_GUARD + FUZZ_TABLES + FUZZ_GUARD);
    fuzz_untouched(sizeof(fuzz_memory) - FUZZ_GUARD, FUZZ_GUARD);
}

static inline bool fuzz_is_ram(uint64_t at) {
    const struct guest_region *region = guest_map_find(&fuzz_map, gpa(at));

    return region != NULL && region->kind == REGION_RAM;
}

/* Load; a refusal says why. */
static inline bool fuzz_load(const struct load_request *request, struct guest_start *start) {
    enum err err = load_guest(request, start);

    fuzz_check_guards();
    require(err == ERR_OK || strncmp(stub_log, "partition fuzz: ", 16) == 0);
    return err == ERR_OK;
}
