/* SPDX-License-Identifier: Apache-2.0 */
/* The one page-table builder. What differs between the host's long mode and EPT is const data. Tables come
 * from a frames allocator and are reached through host_phys; flushing any TLB is the caller's. One CPU at a
 * time. */
#pragma once

#include "core/frames.h"

#define PT_READ               1u
#define PT_WRITE              2u
#define PT_EXEC               4u
#define PT_UC                 8u  /* uncached; without it write-back */
#define PT_WC                 16u /* write-combining */
#define PT_RW                 (PT_READ | PT_WRITE)
#define PT_RX                 (PT_READ | PT_EXEC)
#define PT_RWX                (PT_RW | PT_EXEC)
#define PT_KINDS              32

#define PT_LEVELS             4
#define PT_SPAN               BIT(48)
#define PT_LEVEL_BYTES(level) (PAGE_SIZE << (9 * ((level)-1))) /* that one entry spans */

/* Bits of an entry; 0 = not in use. */
struct pt_format {
    const char *name;
    uint64_t table;          /* entry that points to a table */
    uint64_t large;          /* in a leaf above level 1 */
    uint64_t leaf[PT_KINDS]; /* by attributes; 0 = there are no such pages */
    bool sign_extended;      /* addresses are canonical */
};

extern const struct pt_format pt_host, pt_ept;

struct pagetable {
    const struct pt_format *format;
    struct frames *frames;
    hpa_t root;
    unsigned max_leaf; /* biggest page: 1 = 4 KiB, 2 = 2 MiB, 3 = 1 GiB */
};

struct pt_leaf {
    uint64_t from;
    hpa_t to;
    uint64_t bytes; /* size of the page */
    unsigned attributes;
};

must_check enum err pt_init(struct pagetable *pt, const struct pt_format *format, unsigned max_leaf,
                            struct frames *frames);

/* With the biggest pages that alignment allows. ERR_RANGE: misaligned, outside the address space, attributes
 * the format does not have, or something is mapped there already. After an error a part may be mapped. */
must_check enum err pt_map(struct pagetable *pt, uint64_t from, hpa_t to, uint64_t bytes,
                           unsigned attributes);

/* Change what is mapped, all of it, splitting big pages at the edges. ERR_RANGE as above, or if some of it is
 * not mapped. */
must_check enum err pt_protect(struct pagetable *pt, uint64_t from, uint64_t bytes, unsigned attributes);

/* The page that holds `from`. False: none does, and out->from and out->bytes are the hole's, as far as one
 * table reaches. */
bool pt_lookup(const struct pagetable *pt, uint64_t from, struct pt_leaf *out);
