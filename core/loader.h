/* SPDX-License-Identifier: Apache-2.0 */
/* What the image loaders share: their complaints, the search for room in a guest's RAM, and the
 * 32-bit start. Knows no image format. */
#pragma once

#include "core/load.h"
#include "core/range.h"

/* What a loader places itself lies up to 640 KiB, clear of the vectors, the BIOS data area and the
 * addresses where guests like to put the code that starts their other CPUs. */
#define LOADER_LOW_MIN  KIB(64)
#define LOADER_LOW_MAX  KIB(640)

#define LOADER_ADDR_MAX GIB(511) /* one PML4 entry reaches 512; the last GiB is left out */
#define LOADER_MAX_USED 40

/* Guest RAM already spoken for. */
struct loader_room {
    const struct guest_map *map;
    struct range used[LOADER_MAX_USED];
    unsigned nr_used;
};

struct loader_want {
    uint64_t bytes, align; /* align: a power of two */
    uint64_t min, max;     /* within [min, max) */
    bool high;             /* as high as possible; else as low */
};

/* One line: partition, image, what is wrong. */
void loader_complain(const struct load_request *request, const struct load_image *image, const char *format,
                     ...) printf_like(3, 4);

/* Next stretch of guest memory of one kind, neighbours merged, device windows left out; *index
 * starts at 0. False at the end. */
bool loader_next_run(const struct guest_map *map, unsigned *index, struct range *run, enum region_kind *kind);

/* Mark `range` as used. ERR_RANGE: not all RAM, or in use. ERR_FULL: too many pieces. */
must_check enum err loader_use(struct loader_room *room, struct range range);

/* Find room and mark it as used. ERR_NO_MEMORY if there is none. */
must_check enum err loader_find(struct loader_room *room, const struct loader_want *want, uint64_t *at);

/* Fill *out but for rip, rax and rbx: 32-bit protected mode, CS 08H and the rest 10H, as multiboot
 * kernels expect though no one promises it, with a GDT to match in guest memory. */
must_check enum err loader_start_protected(const struct load_request *request, struct loader_room *room,
                                           struct guest_start *out);
