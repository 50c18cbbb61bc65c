/* SPDX-License-Identifier: Apache-2.0 */
/* Where a guest sees its memory is one table; building and proving follow it. Touches page tables, never the
 * memory they map. */
#include "core/guest_layout.h"

#include "core/log.h"

#define MAX_PIECES   8
#define SEGMENTS     4
#define IDENTITY_LOW MIB(256)

_Static_assert(MAX_PIECES + SEGMENTS + 1 + CONFIG_MAX_WINDOWS <= MAX_GUEST_REGIONS, "all fit");
_Static_assert(GUEST_TABLES_BASE + GUEST_TABLES_BYTES == GUEST_RAM_BASE, "tables end at 1 MiB");

/* RAM that counts from 0: byte `offset` of it up to `end` is seen at `gpa`. 2 MiB and 1 GiB pages fit because
 * each gpa differs from its offset by whole GiB only. */
static const struct segment {
    uint64_t offset, end, gpa;
    enum region_kind kind;
} segments[SEGMENTS] = {
    {0, GUEST_LOW_RAM_BYTES, 0, REGION_RAM},
    {GUEST_TABLES_BASE, GUEST_RAM_BASE, GUEST_TABLES_BASE, REGION_TABLES},
    {GUEST_RAM_BASE, GUEST_HOLE_BASE, GUEST_RAM_BASE, REGION_RAM},
    {GUEST_HOLE_BASE, UINT64_MAX, GUEST_HIGH_RAM_BASE, REGION_RAM},
};

/* `piece` is what the RAM that counts from 0 has at `offset`. */
static enum err layout_add_piece(struct guest_map *map, struct range piece, uint64_t offset) {
    enum err e = ERR_OK;
    for (unsigned i = 0; i < SEGMENTS && e == ERR_OK; i++) {
        const struct segment *s = &segments[i];
        struct range part = range_clip((struct range){offset, piece.size}, s->offset, s->end);
        gpa_t seen_at = gpa(s->gpa + (part.base - s->offset));
        hpa_t lies_at = hpa(piece.base + (part.base - offset));
        if (part.size > 0)
            e = guest_map_add(map, (struct guest_region){seen_at, lies_at, part.size, s->kind});
    }
    return e;
}

static enum err layout_add_identity(struct guest_map *map, struct range at, enum region_kind kind) {
    return guest_map_add(map, (struct guest_region){gpa(at.base), hpa(at.base), at.size, kind});
}

/* Memory of its own for what the guest sees at `at`. */
static enum err layout_add_own(struct guest_map *map, struct frames *frames, struct range at,
                               enum region_kind kind) {
    struct range piece;
    unsigned count;
    enum err e = frames_alloc_pieces(frames, at.size, FRAMES_LIMIT, &piece, 1, &count);
    if (e != ERR_OK)
        return e;
    return guest_map_add(map, (struct guest_region){gpa(at.base), hpa(piece.base), at.size, kind});
}

/* Loaders and many devices reach no further than 4 GiB: where guest-physical is host-physical, some of it has
 * to lie below. */
static enum err layout_alloc(const struct partition_config *config, struct frames *frames,
                             struct range pieces[MAX_PIECES], unsigned *count) {
    uint64_t bytes = config->memory_bytes, low = bytes < IDENTITY_LOW ? bytes : IDENTITY_LOW;
    unsigned more = 0;
    if (!config->identity)
        return frames_alloc_pieces(frames, bytes, FRAMES_LIMIT, pieces, MAX_PIECES, count);
    enum err e = frames_alloc_pieces(frames, low, GIB(4), pieces, MAX_PIECES, count);
    if (e == ERR_OK && bytes > low)
        e = frames_alloc_pieces(frames, bytes - low, FRAMES_LIMIT, pieces + *count, MAX_PIECES - *count,
                                &more);
    *count += more;
    return e;
}

enum err guest_layout_build(struct guest_map *map, const struct partition_config *config,
                            struct frames *frames) {
    const struct range tables = {GUEST_TABLES_BASE, GUEST_TABLES_BYTES};
    const struct range rom = {GIB(4) - GUEST_TABLES_BYTES, GUEST_TABLES_BYTES};
    struct range pieces[MAX_PIECES];
    uint64_t offset = 0;
    unsigned count;
    enum err e = layout_alloc(config, frames, pieces, &count);
    map->count = 0;
    if (e == ERR_OK && config->identity) /* the real first megabyte is the firmware's */
        e = layout_add_own(map, frames, (struct range){0, GUEST_LOW_RAM_BYTES}, REGION_RAM);
    if (e == ERR_OK && config->identity)
        e = layout_add_own(map, frames, tables, REGION_TABLES);
    /* RESET fetches right below 4 GiB: there a PC has the ROM whose end it shows below 1 MiB as well. */
    if (e == ERR_OK && config->load_at_reset)
        e = layout_add_own(map, frames, rom, REGION_TABLES);
    for (unsigned i = 0; i < count && e == ERR_OK; i++) {
        e = config->identity ? layout_add_identity(map, pieces[i], REGION_RAM)
                             : layout_add_piece(map, pieces[i], offset);
        offset += pieces[i].size;
    }
    for (unsigned i = 0; i < config->mmio.count && e == ERR_OK; i++)
        e = layout_add_identity(map, config->mmio.at[i], REGION_DEVICE);
    return e;
}

static unsigned region_attributes(enum region_kind kind) {
    return kind == REGION_DEVICE ? PT_RW | PT_UC : PT_RWX;
}

enum err guest_layout_ept(struct pagetable *ept, const struct guest_map *map) {
    enum err e = ERR_OK;
    for (unsigned i = 0; i < map->count && e == ERR_OK; i++) {
        const struct guest_region *r = &map->regions[i];
        e = pt_map(ept, r->gpa.v, r->hpa, r->bytes, region_attributes(r->kind));
    }
    return e;
}

static enum err prove_refuse(const struct proof_partition *p, uint64_t from, uint64_t to, const char *what,
                             const char *whose) {
    log_line("proof: partition %s, guest address 0x%lx, machine address 0x%lx: %s%s", p->name, from, to, what,
             whose);
    return ERR_RANGE;
}

/* Every page is in a region and as the region says; all pages together are as much as all regions, so nothing
 * of a region is missing either. */
static enum err prove_ept(const struct proof_partition *p) {
    uint64_t mapped = 0, described = 0;
    struct pt_leaf leaf;
    for (uint64_t at = 0; at < PT_SPAN; at = leaf.from + leaf.bytes) {
        if (!pt_lookup(p->ept, at, &leaf))
            continue;
        const struct guest_region *r = guest_map_find(p->map, gpa(leaf.from));
        if (r == NULL || leaf.bytes > r->bytes - (leaf.from - r->gpa.v) ||
            leaf.to.v - r->hpa.v != leaf.from - r->gpa.v)
            return prove_refuse(p, leaf.from, leaf.to.v, "mapped, but not in its guest map", "");
        if (leaf.attributes != region_attributes(r->kind))
            return prove_refuse(p, leaf.from, leaf.to.v, "wrong attributes", "");
        mapped += leaf.bytes;
    }
    for (unsigned i = 0; i < p->map->count; i++)
        described += p->map->regions[i].bytes;
    if (mapped != described) {
        log_line("proof: partition %s: 0x%lx bytes mapped, 0x%lx in its guest map", p->name, mapped,
                 described);
        return ERR_RANGE;
    }
    if (pt_lookup(p->ept, GUEST_LAPIC_BASE, &leaf))
        return prove_refuse(p, leaf.from, leaf.to.v, "the local APIC must not be mapped", "");
    return ERR_OK;
}

/* No frame of the region is the hypervisor's, or in a later region of its own or any later partition. */
static enum err prove_region(const struct proof_partition *p, const struct proof_partition *end,
                             unsigned region, const struct frames_list *own) {
    const struct guest_region *r = &p->map->regions[region];
    for (unsigned i = 0; i < own->count; i++)
        if (range_overlaps(guest_region_frames(r), own->ranges[i]))
            return prove_refuse(p, r->gpa.v, r->hpa.v, "shared with the hypervisor", "");
    for (const struct proof_partition *q = p; q < end; q++)
        for (unsigned i = q == p ? region + 1 : 0; i < q->map->count; i++)
            if (range_overlaps(guest_region_frames(r), guest_region_frames(&q->map->regions[i])))
                return prove_refuse(p, r->gpa.v, r->hpa.v,
                                    q == p ? "mapped twice in " : "shared with partition ", q->name);
    return ERR_OK;
}

enum err guest_layout_prove(const struct proof_partition *partitions, unsigned count,
                            const struct frames_list *own) {
    const struct proof_partition *end = partitions + count;
    enum err e = ERR_OK;
    for (const struct proof_partition *p = partitions; p < end && e == ERR_OK; p++) {
        e = prove_ept(p);
        for (unsigned k = 0; k < p->map->count && e == ERR_OK; k++)
            e = prove_region(p, end, k, own);
    }
    return e;
}
