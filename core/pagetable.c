/* SPDX-License-Identifier: Apache-2.0 */
/* Builds and reads page tables of any format pt_format can describe. Knows no CPU: flushing TLBs and loading
 * the root is the caller's. */
#include "core/pagetable.h"

#include "core/host.h"
#include "core/log.h"

#define ENTRIES 512u
#define ADDRESS (FRAMES_LIMIT - PAGE_SIZE) /* bits 51:12 of an entry */

_Static_assert(ENTRIES * sizeof(uint64_t) == PAGE_SIZE, "a table is one page");
_Static_assert(PT_LEVEL_BYTES(2) == PAGE_2M && PT_LEVEL_BYTES(3) == PAGE_1G, "big pages");
_Static_assert(PT_LEVEL_BYTES(PT_LEVELS) * ENTRIES == PT_SPAN, "four levels translate 48 bits");

/* SDM "4-Level Paging and 5-Level Paging": supervisor pages, W^X. Accessed and dirty are set beforehand, so
 * that the CPU never writes to a table. The PAT bit stays clear: entry 0 of the PAT is write-back, entry 1
 * (PWT) write-combining, entry 3 (PCD and PWT) uncached. */
enum { HOST_P = 0x01, HOST_W = 0x02, HOST_WC = 0x08, HOST_UC = 0x18, HOST_A = 0x20, HOST_D = 0x40 };
#define HOST_XD BIT(63)
const struct pt_format pt_host = {
    .name = "host",
    .table = HOST_P | HOST_W | HOST_A,
    .large = BIT(7),
    .leaf[PT_READ] = HOST_P | HOST_A | HOST_XD,
    .leaf[PT_RX] = HOST_P | HOST_A,
    .leaf[PT_RW] = HOST_P | HOST_W | HOST_A | HOST_D | HOST_XD,
    .leaf[PT_RW | PT_UC] = HOST_P | HOST_W | HOST_UC | HOST_A | HOST_D | HOST_XD,
    .leaf[PT_RW | PT_WC] = HOST_P | HOST_W | HOST_WC | HOST_A | HOST_D | HOST_XD,
    .sign_extended = true,
};

/* SDM "The Extended Page Table Mechanism (EPT)". "Ignore PAT" stays clear: a guest may make its own RAM less
 * cacheable, never a device window more. */
enum { EPT_R = 0x01, EPT_W = 0x02, EPT_X = 0x04, EPT_UC = 0 << 3, EPT_WB = 6 << 3 };
const struct pt_format pt_ept = {
    .name = "EPT",
    .table = EPT_R | EPT_W | EPT_X,
    .large = BIT(7),
    .leaf[PT_RWX] = EPT_R | EPT_W | EPT_X | EPT_WB,
    .leaf[PT_RW | PT_UC] = EPT_R | EPT_W | EPT_UC,
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

/* The attributes of exactly such a leaf, PT_KINDS if there are none. */
static unsigned pt_decode(const struct pt_format *f, uint64_t entry) {
    unsigned attributes = 0;
    while (attributes < PT_KINDS &&
           (f->leaf[attributes] == 0 || (entry & ~(ADDRESS | f->large)) != f->leaf[attributes]))
        attributes++;
    return attributes;
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
    if (attributes >= PT_KINDS || pt->format->leaf[attributes] == 0)
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
        *entry = target | pt->format->leaf[attributes] | (level > 1 ? pt->format->large : 0);
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
    const uint64_t *entry = pt_walk(pt, from, &level), *next = entry;
    uint64_t size = PT_LEVEL_BYTES(level);
    *out =
        (struct pt_leaf){align_down(from, size), hpa(*entry & ADDRESS), size, pt_decode(pt->format, *entry)};
    while (*entry == 0 && (uintptr_t)++next % PAGE_SIZE != 0 && *next == 0)
        out->bytes += size;
    return *entry != 0;
}
