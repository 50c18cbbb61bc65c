/* SPDX-License-Identifier: Apache-2.0 */
/* Where a partition's guest-physical memory lies in the machine: the list that EPT, e820, the image loaders
 * and every access of ours to guest memory are made from. */
#pragma once

#include "core/range.h"

enum region_kind {
    REGION_RAM,    /* write-back; e820 RAM */
    REGION_TABLES, /* write-back RAM that holds the guest's ACPI tables; e820 ACPI */
    REGION_DEVICE, /* identity-mapped device window, uncached; never touched by us */
};

struct guest_region {
    gpa_t gpa;
    hpa_t hpa;
    uint64_t bytes; /* multiple of 4 KiB */
    enum region_kind kind;
};

struct guest_map {
    struct guest_region regions[MAX_GUEST_REGIONS]; /* sorted by gpa, no two overlap */
    unsigned count;
};

static inline struct range guest_region_frames(const struct guest_region *r) {
    return (struct range){r->hpa.v, r->bytes};
}

/* Insert in order. ERR_RANGE: misaligned, empty, wraps or overlaps, or the table is full. */
must_check enum err guest_map_add(struct guest_map *map, struct guest_region region);

/* Region that holds gpa, or NULL. */
const struct guest_region *guest_map_find(const struct guest_map *map, gpa_t at);

/* Pointer to guest memory if [at, at + bytes) lies in ONE non-device region, else NULL. */
void *guest_map_ptr(const struct guest_map *map, gpa_t at, uint64_t bytes);

/* Copy across region borders. ERR_RANGE, nothing written, if any byte is not guest memory. */
must_check enum err guest_map_write(const struct guest_map *map, gpa_t to, const void *from, uint64_t bytes);
must_check enum err guest_map_read(const struct guest_map *map, void *to, gpa_t from, uint64_t bytes);
must_check enum err guest_map_zero(const struct guest_map *map, gpa_t to, uint64_t bytes);
