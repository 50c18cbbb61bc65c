/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's page-table walk as the CPU does it: "4-Level Paging and 5-Level Paging" (no guest has
 * CR4.LA57), "PAE Paging", "32-Bit Paging", "Access Rights". Reads guest memory through its map, each entry
 * once. */
#include "core/guest_walk.h"

#include "core/cr_policy.h"

#define RFLAGS_AC     BIT(18)
#define ENTRY_PRESENT BIT(0)
#define ENTRY_WRITE   BIT(1)
#define ENTRY_USER    BIT(2)
#define ENTRY_LARGE   BIT(7)
#define ENTRY_NX      BIT(63)
#define ENTRY_ADDRESS UINT64_C(0x000ffffffffff000)
#define ADDRESS_32    UINT64_C(0xfffff000)

struct walk {
    const struct guest_paging *paging;
    unsigned access;
    bool wide;           /* 64-bit entries */
    unsigned level;      /* of the entry at hand; 1 is a PTE */
    unsigned large_most; /* highest level that may hold a large page */
    uint64_t reserved;   /* bits that are reserved at every level */
    uint64_t table;
};

static enum err page_fault(const struct walk *w, uint32_t code, struct walk_result *out) {
    const struct guest_paging *p = w->paging;
    bool tells_fetch = ((p->cr4 & CR4_PAE) != 0 && (p->efer & EFER_NXE) != 0) || (p->cr4 & CR4_SMEP) != 0;
    out->fault_code = code | (w->access & ~(tells_fetch ? 0u : WALK_FETCH));
    return ERR_NOT_FOUND;
}

static uint64_t bits_from(unsigned first, unsigned end) {
    return first < end ? (BIT(end) - 1) & ~(BIT(first) - 1) : 0;
}

/* Where the walk starts; false: at nothing, that is a page fault at once. */
static bool walk_start(struct walk *w, uint64_t linear) {
    const struct guest_paging *p = w->paging;
    bool wide = (p->cr4 & CR4_PAE) != 0, four = wide && (p->efer & EFER_LMA) != 0;
    uint64_t pdpte = p->pdptes[linear >> 30 & 3]; /* PAE paging: there are no rights in these */
    w->wide = wide;
    w->level = four ? 4 : 2;
    w->large_most = four ? 3 : wide || (p->cr4 & CR4_PSE) != 0 ? 2 : 1;
    w->table = wide && !four ? pdpte & ENTRY_ADDRESS : p->cr3 & (wide ? ENTRY_ADDRESS : ADDRESS_32);
    if (wide)
        w->reserved = bits_from(p->phys_bits, 52) | (four ? 0 : bits_from(52, 63)) |
                      ((p->efer & EFER_NXE) != 0 ? 0 : ENTRY_NX);
    return !wide || four || (pdpte & ENTRY_PRESENT) != 0;
}

static unsigned level_shift(const struct walk *w) {
    return 12 + (w->level - 1) * (w->wide ? 9 : 10);
}

static enum err entry_read(const struct guest_map *map, const struct walk *w, uint64_t linear,
                           uint64_t *entry) {
    unsigned bytes = w->wide ? 8 : 4;
    uint64_t index = linear >> level_shift(w) & (PAGE_SIZE / bytes - 1);
    const void *at = guest_map_ptr(map, gpa(w->table + index * bytes), bytes);
    if (at == NULL)
        return ERR_RANGE;
    /* Once, for another CPU of the guest may be changing it. */
    *entry = w->wide ? __atomic_load_n((const uint64_t *)at, __ATOMIC_RELAXED)
                     : __atomic_load_n((const uint32_t *)at, __ATOMIC_RELAXED);
    return ERR_OK;
}

static bool entry_is_large(const struct walk *w, uint64_t entry) {
    return w->level > 1 && w->level <= w->large_most && (entry & ENTRY_LARGE) != 0;
}

/* PSE-36 keeps address bits 39:32 in bits 20:13 of the entry, as many as the CPU has. */
static uint64_t entry_reserved(const struct walk *w, uint64_t entry) {
    unsigned high_bits = w->paging->phys_bits > 40 ? 8 : w->paging->phys_bits - 32;
    if (!entry_is_large(w, entry))
        return w->reserved | (w->level > 3 ? ENTRY_LARGE : 0);
    return w->wide ? w->reserved | bits_from(13, level_shift(w)) : bits_from(13 + high_bits, 22);
}

static gpa_t page_address(const struct walk *w, uint64_t entry, uint64_t linear) {
    uint64_t offset = BIT(level_shift(w)) - 1, base = entry & ENTRY_ADDRESS;
    if (!w->wide && w->level == 2)
        base = (entry & ADDRESS_32) | (entry >> 13 & 0xff) << 32;
    return gpa((base & ~offset) | (linear & offset));
}

/* rights: WRITE and USER if all levels grant them, NX if none does without. */
static bool access_allowed(const struct walk *w, uint64_t rights) {
    const struct guest_paging *p = w->paging;
    bool fetch = (w->access & WALK_FETCH) != 0, user = (w->access & WALK_USER) != 0;
    bool needs_write = (w->access & WALK_WRITE) != 0 && (user || (p->cr0 & CR0_WP) != 0);
    uint64_t needed = (needs_write ? ENTRY_WRITE : 0) | (user ? ENTRY_USER : 0) | (fetch ? ENTRY_NX : 0);
    if ((rights & needed) != needed)
        return false;
    if (user || (rights & ENTRY_USER) == 0)
        return true;
    return fetch ? (p->cr4 & CR4_SMEP) == 0 : (p->cr4 & CR4_SMAP) == 0 || (p->rflags & RFLAGS_AC) != 0;
}

enum err guest_walk(const struct guest_map *map, const struct guest_paging *paging, uint64_t linear,
                    unsigned access, struct walk_result *out) {
    struct walk w = {.paging = paging, .access = access};
    uint64_t entry, rights = ~UINT64_C(0);
    *out = (struct walk_result){.at = {0}};
    if ((paging->efer & EFER_LMA) == 0)
        linear = (uint32_t)linear;
    else if ((uint64_t)((int64_t)(linear << 16) >> 16) != linear)
        return ERR_MALFORMED;
    if ((paging->cr0 & CR0_PG) == 0) {
        out->at = gpa(linear);
        return ERR_OK;
    }
    if (!walk_start(&w, linear))
        return page_fault(&w, 0, out);
    for (;; w.level--, w.table = entry & ENTRY_ADDRESS) {
        if (entry_read(map, &w, linear, &entry) != ERR_OK)
            return ERR_RANGE;
        if ((entry & ENTRY_PRESENT) == 0)
            return page_fault(&w, 0, out);
        if ((entry & entry_reserved(&w, entry)) != 0)
            return page_fault(&w, WALK_PRESENT | WALK_RSVD, out);
        rights &= entry ^ ENTRY_NX;
        if (w.level == 1 || entry_is_large(&w, entry))
            break;
    }
    out->at = page_address(&w, entry, linear);
    return access_allowed(&w, rights) ? ERR_OK : page_fault(&w, WALK_PRESENT, out);
}

size_t guest_walk_read(const struct guest_map *map, const struct guest_paging *paging, uint64_t linear,
                       unsigned access, void *to, size_t bytes) {
    for (size_t done = 0, part; done < bytes; done += part) {
        struct walk_result r;
        if (guest_walk(map, paging, linear + done, access, &r) != ERR_OK)
            return done;
        /* By 4 KiB: so much is guest memory as a whole or not at all. */
        part = PAGE_SIZE - r.at.v % PAGE_SIZE;
        part = part < bytes - done ? part : bytes - done;
        if (guest_map_read(map, (uint8_t *)to + done, r.at, part) != ERR_OK)
            return done;
    }
    return bytes;
}
