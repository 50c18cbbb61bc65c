/* SPDX-License-Identifier: Apache-2.0 */
/* Builds and reads page tables of any format pt_format can describe. Knows no CPU: flushing TLBs and loading
 * the root is the caller's. */
#include "core/pagetable.h"

#include "core/check.h"
#include "core/log.h"

#define ENTRIES 512u
#define ADDRESS (FRAMES_LIMIT - PAGE_SIZE) /* bits 51:12 of an entry */

_Static_assert(ENTRIES * sizeof(uint64_t) == PAGE_SIZE, "a table is one page");
_Static_assert(PT_LEVEL_BYTES(1) == PAGE_SIZE, "level 1");
_Static_assert(PT_LEVEL_BYTES(2) == PAGE_2M, "level 2");
_Static_assert(PT_LEVEL_BYTES(3) == PAGE_1G, "level 3");
_Static_assert(PT_LEVEL_BYTES(PT_LEVELS) * ENTRIES == PT_SPAN, "four levels translate 48 bits");

/* SDM "4-Level Paging and 5-Level Paging". Accessed (bit 5) and dirty (bit 6) are set beforehand, so that the
 * CPU never writes to a table. The PAT bit stays clear: entry 0 of the PAT is write-back, entry 3 (PCD and
 * PWT) uncached. */
const struct pt_format pt_host = {
    .name = "host",
    .table = BIT(0) | BIT(1) | BIT(5),
    .leaf = BIT(0) | BIT(5),
    .large = BIT(7),
    .write = BIT(1) | BIT(6),
    .no_exec = BIT(63),
    .type_uc = BIT(3) | BIT(4),
    .sign_extended = true,
};

/* SDM "The Extended Page Table Mechanism (EPT)". "Ignore PAT" stays clear: a guest may make its own RAM less
 * cacheable, never a device window more. */
const struct pt_format pt_ept = {
    .name = "EPT",
    .table = BIT(0) | BIT(1) | BIT(2),
    .large = BIT(7),
    .read = BIT(0),
    .write = BIT(1),
    .exec = BIT(2),
    .type_wb = 6 << 3,
    .write_exec = true,
};

static uint64_t *pt_table(hpa_t at) {
    uint64_t *table = host_phys(at, PAGE_SIZE);
    ASSERT(table != NULL);
    return table;
}

/* Walk towards `from` until a leaf, an unused entry or level 1. */
static uint64_t *pt_walk(const struct pagetable *pt, uint64_t from, unsigned *level) {
    hpa_t table = pt->root;
    for (*level = PT_LEVELS;; (*level)--) {
        uint64_t *entry = &pt_table(table)[from / PT_LEVEL_BYTES(*level) % ENTRIES];
        if (*entry == 0 || *level == 1 || (*entry & pt->format->large) != 0)
            return entry;
        table = hpa(*entry & ADDRESS);
    }
}

static uint64_t pt_encode(const struct pt_format *f, unsigned attributes) {
    return f->leaf | (attributes & PT_READ ? f->read : 0) | (attributes & PT_WRITE ? f->write : 0) |
           (attributes & PT_EXEC ? f->exec : f->no_exec) | (attributes & PT_UC ? f->type_uc : f->type_wb);
}

/* Those that give this very entry; ~0 if none do. From the top, for a host page always has PT_READ. */
static unsigned pt_decode(const struct pt_format *f, uint64_t entry) {
    unsigned attributes = PT_RWX | PT_UC;
    while (attributes != ~0u && (entry & ~(ADDRESS | f->large)) != pt_encode(f, attributes))
        attributes--;
    return attributes;
}

static bool pt_attributes_ok(const struct pt_format *f, unsigned attributes) {
    return (attributes & ~(PT_RWX | PT_UC)) == 0 && (attributes & PT_READ) != 0 &&
           (f->write_exec || (attributes & (PT_WRITE | PT_EXEC)) != (PT_WRITE | PT_EXEC));
}

/* Whole pages inside one half of the address space. */
static bool pt_span_ok(const struct pagetable *pt, uint64_t from, uint64_t bytes) {
    unsigned top = pt->format->sign_extended ? 47 : 48;
    uint64_t last = from + bytes - 1, half = from >> top;
    return bytes > 0 && (from | bytes) % PAGE_SIZE == 0 && last >= from && half == last >> top &&
           (half == 0 || (pt->format->sign_extended && half == UINT64_MAX >> top));
}

static enum err pt_refuse(const struct pagetable *pt, const char *what, uint64_t from, uint64_t bytes,
                          unsigned attributes) {
    log_line("%s page table: 0x%lx bytes at 0x%lx with attributes 0x%x: %s", pt->format->name, bytes, from,
             attributes, what);
    return ERR_RANGE;
}

enum err pt_init(struct pagetable *pt, const struct pt_format *format, unsigned max_leaf,
                 struct frames *frames) {
    *pt = (struct pagetable){.format = format, .frames = frames, .max_leaf = max_leaf};
    return frames_alloc(frames, PAGE_SIZE, &pt->root);
}

/* Replace an entry by a table of smaller ones that translates the same, or as little. */
static enum err pt_split(struct pagetable *pt, uint64_t *entry, unsigned level) {
    uint64_t first = level > 2 ? *entry : *entry & ~pt->format->large;
    hpa_t at;
    enum err e = frames_alloc(pt->frames, PAGE_SIZE, &at);
    if (e != ERR_OK)
        return e;
    for (unsigned i = 0; i < ENTRIES && *entry != 0; i++)
        pt_table(at)[i] = first + i * PT_LEVEL_BYTES(level - 1);
    *entry = at.v | pt->format->table;
    return ERR_OK;
}

/* With `to`, all of the span must be unused; without, all of it mapped, and it stays where it is. */
static enum err pt_set(struct pagetable *pt, uint64_t from, const hpa_t *to, uint64_t bytes,
                       unsigned attributes) {
    if (!pt_attributes_ok(pt->format, attributes))
        return pt_refuse(pt, "no such page in this format", from, bytes, attributes);
    if (!pt_span_ok(pt, from, bytes) ||
        (to != NULL && (to->v % PAGE_SIZE != 0 || to->v >= FRAMES_LIMIT || bytes > FRAMES_LIMIT - to->v)))
        return pt_refuse(pt, "misaligned or outside the address space", from, bytes, attributes);
    for (uint64_t done = 0; done < bytes;) {
        unsigned level;
        uint64_t *entry = pt_walk(pt, from + done, &level);
        uint64_t size = PT_LEVEL_BYTES(level), target = to != NULL ? to->v + done : *entry & ADDRESS;
        if ((*entry != 0) == (to != NULL))
            return pt_refuse(pt, to != NULL ? "something is mapped there already" : "not mapped", from + done,
                             bytes - done, attributes);
        if (level > pt->max_leaf || ((from + done) | target) % size != 0 || bytes - done < size) {
            enum err e = pt_split(pt, entry, level);
            if (e != ERR_OK)
                return e;
            continue;
        }
        *entry = target | pt_encode(pt->format, attributes) | (level > 1 ? pt->format->large : 0);
        done += size;
    }
    return ERR_OK;
}

enum err pt_map(struct pagetable *pt, uint64_t from, hpa_t to, uint64_t bytes, unsigned attributes) {
    return pt_set(pt, from, &to, bytes, attributes);
}

enum err pt_protect(struct pagetable *pt, uint64_t from, uint64_t bytes, unsigned attributes) {
    return pt_set(pt, from, NULL, bytes, attributes);
}

bool pt_lookup(const struct pagetable *pt, uint64_t from, struct pt_leaf *out) {
    unsigned level;

    *out = (struct pt_leaf){.from = align_down(from, PAGE_SIZE), .bytes = PAGE_SIZE};
    if (!pt_span_ok(pt, out->from, PAGE_SIZE))
        return false;
    uint64_t entry = *pt_walk(pt, from, &level), size = PT_LEVEL_BYTES(level);
    *out = (struct pt_leaf){align_down(from, size), hpa(entry & ADDRESS), size, pt_decode(pt->format, entry)};
    return entry != 0;
}
