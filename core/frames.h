/* SPDX-License-Identifier: Apache-2.0 */
/* The boot-time allocator over the firmware's memory map: who owns which frame of the machine's RAM. Boot CPU
 * only; closed for good when sealed. Memory for guests it never touches: zeroing that is the caller's. */
#pragma once

#include "core/boot_info.h"
#include "core/range.h"

#define FRAMES_MAX_RANGES 256
#define FRAMES_LIMIT      BIT(52) /* no physical address has more bits */

struct frames_list { /* whole pages, sorted, no two overlap or touch */
    struct range ranges[FRAMES_MAX_RANGES];
    unsigned count;
};

struct frames {
    struct frames_list free;
    struct frames_list own; /* reserved, or given to the hypervisor: must be in no partition */
    bool sealed;            /* from here on every request is refused */
};

/* The whole pages of r, clipped to FRAMES_LIMIT; `touched`: and those it has a part of. */
struct range frames_pages(struct range r, bool touched);

/* Put whole pages into a list, joined with what they touch, or take them out, whatever of them is there. */
must_check enum err frames_list_set(struct frames_list *list, struct range r, bool in);

/* The map may be unsorted and overlap: of a page touched by anything that is not RAM, nothing is used. RAM
 * below 1 MiB is kept for frames_alloc_low alone. */
must_check enum err frames_init(struct frames *frames, const struct memory_range *map, unsigned count);

/* Rounded outward to pages; need not be RAM: device registers no guest may have go here as well. */
must_check enum err frames_reserve(struct frames *frames, struct range range);

/* Not free after all, though the map says RAM: for nobody. */
must_check enum err frames_exclude(struct frames *frames, struct range range);

/* For the hypervisor, zeroed: `bytes` (rounded up to pages) in one piece, from the top of the RAM below 4
 * GiB, where firmware has broken up the big blocks already (above 4 GiB only if nothing fits), so that the
 * rest stays whole for guests. */
must_check enum err frames_alloc(struct frames *frames, uint64_t bytes, hpa_t *out);

/* For the application processors' start-up code: one page in [0x1000, 0xA0000), above 0x8000 if possible. */
must_check enum err frames_alloc_low(struct frames *frames, hpa_t *page);

/* For a partition: `bytes` (rounded up to pages) below `limit` in as few pieces as possible, at most max. One
 * piece starts at a multiple of 1 GiB if it is that big and such a place is free, else of 2 MiB; of several,
 * all but the last are multiples of 2 MiB. A piece of less than 2 MiB may start at any page. On error nothing
 * is taken. */
must_check enum err frames_alloc_pieces(struct frames *frames, uint64_t bytes, uint64_t limit,
                                        struct range *pieces, unsigned max, unsigned *count);

/* What frames_alloc and frames_alloc_pieces could still give. */
uint64_t frames_free_bytes(const struct frames *frames);
