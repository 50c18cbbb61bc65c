/* SPDX-License-Identifier: Apache-2.0 */
/* Builds and reads page tables of any format pt_format can describe. Knows no CPU: flushing TLBs
 * and loading the root is the caller's. */
#include "core/pagetable.h"

#include "core/check.h"
#include "core/log.h"
#include "core/str.h"

#define ENTRIES 512u
#define ADDRESS (FRAMES_LIMIT - PAGE_SIZE) /* bits 51:12 of an entry */

_Static_assert(ENTRIES * sizeof(uint64_t) == PAGE_SIZE, "a table is one page");
_Static_assert(PT_LEVEL_BYTES(1) == PAGE_SIZE, "level 1");
_Static_assert(PT_LEVEL_BYTES(2) == PAGE_2M, "level 2");
_Static_assert(PT_LEVEL_BYTES(3) == PAGE_1G, "level 3");
_Static_assert(PT_LEVEL_BYTES(4) * ENTRIES == BIT(48), "four levels translate 48 bits");

/* SDM "4-Level Paging and 5-Level Paging". Accessed (bit 5) and dirty (bit 6) are set beforehand,
 * so that the CPU never writes to a table. The PAT bit stays clear: entry 0 of the PAT is
 * write-back, entry 3 (PCD and PWT) uncached. */
const struct pt_format pt_host = {
    .name = "host",
    .used = BIT(0),
    .table = BIT(0) | BIT(1) | BIT(5),
    .leaf = BIT(0) | BIT(5),
    .large = BIT(7),
    .write = BIT(1) | BIT(6),
    .no_exec = BIT(63),
    .type_mask = BIT(3) | BIT(4),
    .type_uc = BIT(3) | BIT(4),
    .sign_extended = true,
};

/* SDM "The Extended Page Table Mechanism (EPT)". "Ignore PAT" stays clear: a guest may make its own
 * RAM less cacheable, never a device window more. */
const struct pt_format pt_ept = {
    .name = "EPT",
    .used = BIT(0) | BIT(1) | BIT(2),
    .table = BIT(0) | BIT(1) | BIT(2),
    .large = BIT(7),
    .read = BIT(0),
    .write = BIT(1),
    .exec = BIT(2),
    .type_mask = BIT(3) | BIT(4) | BIT(5),
    .type_wb = 6 << 3,
    .write_exec = true,
};

static uint64_t *pt_table(hpa_t at) {
    uint64_t *table = host_phys(at, PAGE_SIZE);

    ASSERT(table != NULL);
    return table;
}

static uint64_t *pt_entry(hpa_t table, uint64_t from, unsigned level) {
    return &pt_table(table)[from / PT_LEVEL_BYTES(level) % ENTRIES];
}

static bool pt_is_leaf(const struct pagetable *pt, uint64_t entry, unsigned level) {
    return level == 1 || (entry & pt->format->large) != 0;
}

/* Walk towards `from` until a leaf, an unused entry or level 1. */
static uint64_t *pt_walk(const struct pagetable *pt, uint64_t from, unsigned *level) {
    hpa_t table = pt->root;

    for (*level = pt->levels;; (*level)--) {
        uint64_t *entry = pt_entry(table, from, *level);

        if ((*entry & pt->format->used) == 0 || pt_is_leaf(pt, *entry, *level))
            return entry;
        table = hpa(*entry & ADDRESS);
    }
}

static uint64_t pt_encode(const struct pt_format *f, unsigned attributes) {
    return f->leaf | (attributes & PT_READ ? f->read : 0) | (attributes & PT_WRITE ? f->write : 0) |
           (attributes & PT_EXEC ? f->exec : f->no_exec) | (attributes & PT_UC ? f->type_uc : f->type_wb);
}

static unsigned pt_decode(const struct pt_format *f, uint64_t entry) {
    unsigned attributes = 0;

    attributes |= (entry & f->read) == f->read ? PT_READ : 0;
    attributes |= (entry & f->write) == f->write ? PT_WRITE : 0;
    attributes |= (entry & (f->exec | f->no_exec)) == f->exec ? PT_EXEC : 0;
    attributes |= (entry & f->type_mask) == f->type_wb ? 0 : PT_UC;
    return attributes;
}

static bool pt_attributes_ok(const struct pt_format *f, unsigned attributes) {
    return (attributes & ~(PT_RWX | PT_UC)) == 0 && (attributes & PT_READ) != 0 &&
           (f->write_exec || (attributes & (PT_WRITE | PT_EXEC)) != (PT_WRITE | PT_EXEC));
}

/* Whole pages inside one half of the address space. */
static bool pt_span_ok(const struct pagetable *pt, uint64_t from, uint64_t bytes) {
    unsigned top = 12 + 9 * pt->levels - (pt->format->sign_extended ? 1 : 0);
    uint64_t last = from + bytes - 1;

    return bytes > 0 && (from | bytes) % PAGE_SIZE == 0 && last >= from && from >> top == last >> top &&
           (from >> top == 0 || (pt->format->sign_extended && from >> top == UINT64_MAX >> top));
}

static enum err pt_refuse(const struct pagetable *pt, const char *what, uint64_t from, uint64_t bytes,
                          unsigned attributes) {
    log_line("%s page table: 0x%lx bytes at 0x%lx with attributes 0x%x: %s", pt->format->name, bytes, from,
             attributes, what);
    return ERR_RANGE;
}

static enum err pt_new_table(struct pagetable *pt, hpa_t *at) {
    enum err err = frames_alloc(pt->frames, PAGE_SIZE, at);

    if (err != ERR_OK)
        return err;
    if (host_phys(*at, PAGE_SIZE) == NULL) {
        log_line("%s page table: a table at 0x%lx is out of reach", pt->format->name, at->v);
        return ERR_NO_MEMORY;
    }
    memset(pt_table(*at), 0, PAGE_SIZE);
    return ERR_OK;
}

enum err pt_init(struct pagetable *pt, const struct pt_format *format, unsigned levels, unsigned max_leaf,
                 struct frames *frames) {
    *pt = (struct pagetable){.format = format, .frames = frames, .levels = levels, .max_leaf = max_leaf};
    return pt_new_table(pt, &pt->root);
}

/* One page, as big as fits; its size to *bytes, which says how much is wanted. */
static enum err pt_map_page(struct pagetable *pt, uint64_t from, uint64_t to, unsigned attributes,
                            uint64_t *bytes) {
    unsigned level;
    uint64_t *entry = pt_walk(pt, from, &level);

    while ((*entry & pt->format->used) == 0) {
        uint64_t size = PT_LEVEL_BYTES(level);
        hpa_t table;

        if (level <= pt->max_leaf && (from | to) % size == 0 && *bytes >= size) {
            *entry = to | pt_encode(pt->format, attributes) | (level > 1 ? pt->format->large : 0);
            *bytes = size;
            return ERR_OK;
        }
        enum err err = pt_new_table(pt, &table);

        if (err != ERR_OK)
            return err;
        *entry = table.v | pt->format->table;
        entry = pt_entry(table, from, --level);
    }
    return pt_refuse(pt, "something is mapped there already", from, *bytes, attributes);
}

enum err pt_map(struct pagetable *pt, uint64_t from, hpa_t to, uint64_t bytes, unsigned attributes) {
    if (!pt_attributes_ok(pt->format, attributes))
        return pt_refuse(pt, "no such page in this format", from, bytes, attributes);
    if (!pt_span_ok(pt, from, bytes) || to.v % PAGE_SIZE != 0 || to.v >= FRAMES_LIMIT ||
        bytes > FRAMES_LIMIT - to.v)
        return pt_refuse(pt, "misaligned or outside the address space", from, bytes, attributes);
    for (uint64_t done = 0; done < bytes;) {
        uint64_t size = bytes - done;
        enum err err = pt_map_page(pt, from + done, to.v + done, attributes, &size);

        if (err != ERR_OK)
            return err;
        done += size;
    }
    return ERR_OK;
}

/* Replace a big page by a table of the next smaller ones that translates the same. */
static enum err pt_split(struct pagetable *pt, uint64_t *entry, unsigned level) {
    uint64_t first = level > 2 ? *entry : *entry & ~pt->format->large;
    hpa_t at;
    enum err err = pt_new_table(pt, &at);

    if (err != ERR_OK)
        return err;
    for (unsigned i = 0; i < ENTRIES; i++)
        pt_table(at)[i] = first + i * PT_LEVEL_BYTES(level - 1);
    *entry = at.v | pt->format->table;
    return ERR_OK;
}

enum err pt_protect(struct pagetable *pt, uint64_t from, uint64_t bytes, unsigned attributes) {
    if ((attributes != 0 && !pt_attributes_ok(pt->format, attributes)) || !pt_span_ok(pt, from, bytes))
        return pt_refuse(pt, "cannot be changed to that", from, bytes, attributes);
    for (uint64_t done = 0; done < bytes;) {
        unsigned level;
        uint64_t *entry = pt_walk(pt, from + done, &level);
        uint64_t size = PT_LEVEL_BYTES(level);

        if ((*entry & pt->format->used) == 0)
            return pt_refuse(pt, "not mapped", from + done, bytes - done, attributes);
        if ((from + done) % size != 0 || bytes - done < size) {
            enum err err = pt_split(pt, entry, level);

            if (err != ERR_OK)
                return err;
            continue;
        }
        *entry = attributes == 0 ? 0
                                 : (*entry & ADDRESS) | pt_encode(pt->format, attributes) |
                                       (level > 1 ? pt->format->large : 0);
        done += size;
    }
    return ERR_OK;
}

static uint64_t pt_extend(const struct pagetable *pt, uint64_t linear) {
    uint64_t sign = PT_LEVEL_BYTES(pt->levels + 1) / 2;

    return pt->format->sign_extended ? (linear ^ sign) - sign : linear;
}

bool pt_lookup(const struct pagetable *pt, uint64_t from, struct pt_leaf *out) {
    uint64_t entry, size;
    unsigned level;

    if (!pt_span_ok(pt, align_down(from, PAGE_SIZE), PAGE_SIZE))
        return false;
    entry = *pt_walk(pt, from, &level);
    size = PT_LEVEL_BYTES(level);
    *out = (struct pt_leaf){align_down(from, size), hpa(entry & ADDRESS), size, pt_decode(pt->format, entry)};
    return (entry & pt->format->used) != 0;
}

bool pt_next(const struct pagetable *pt, uint64_t *cursor, struct pt_leaf *out) {
    while (*cursor < PT_LEVEL_BYTES(pt->levels + 1)) {
        bool found = pt_lookup(pt, pt_extend(pt, *cursor), out);

        *cursor += out->bytes; /* always at the start of an entry, whatever its level */
        if (found)
            return true;
    }
    return false;
}
