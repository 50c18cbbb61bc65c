/* SPDX-License-Identifier: Apache-2.0 */
/* The list itself and every access through it. Reads and writes are asked for by guests as well, so
 * a refused one is silent here: the caller knows whose mistake it is. */
#include "core/guest_map.h"

#include "core/host.h"
#include "core/log.h"
#include "core/range.h"
#include "core/str.h"

static struct range region_range(const struct guest_region *r) {
    return (struct range){r->gpa.v, r->bytes};
}

static bool region_ok(const struct guest_region *r) {
    return r->bytes > 0 && (r->gpa.v | r->hpa.v | r->bytes) % PAGE_SIZE == 0 &&
           range_valid(region_range(r)) && range_valid((struct range){r->hpa.v, r->bytes});
}

enum err guest_map_add(struct guest_map *map, struct guest_region region) {
    unsigned at = 0;

    while (at < map->count && map->regions[at].gpa.v < region.gpa.v)
        at++;
    bool clash = (at > 0 && range_overlaps(region_range(&map->regions[at - 1]), region_range(&region))) ||
                 (at < map->count && range_overlaps(region_range(&map->regions[at]), region_range(&region)));

    if (!region_ok(&region) || clash) {
        log_line("guest map: 0x%lx bytes at guest address 0x%lx, machine address 0x%lx: %s", region.bytes,
                 region.gpa.v, region.hpa.v,
                 clash ? "overlaps another region" : "not whole pages of the address space");
        return ERR_RANGE;
    }
    if (map->count == MAX_GUEST_REGIONS) {
        log_line("guest map: more than %d regions", MAX_GUEST_REGIONS);
        return ERR_FULL;
    }
    memmove(&map->regions[at + 1], &map->regions[at], (map->count - at) * sizeof(map->regions[0]));
    map->regions[at] = region;
    map->count++;
    return ERR_OK;
}

const struct guest_region *guest_map_find(const struct guest_map *map, gpa_t at) {
    for (unsigned i = 0; i < map->count; i++)
        if (range_contains(region_range(&map->regions[i]), (struct range){at.v, 1}))
            return &map->regions[i];
    return NULL;
}

/* As guest_map_ptr, for as much of *bytes as the region has; that much to *bytes. */
static void *guest_map_span(const struct guest_map *map, gpa_t at, uint64_t *bytes) {
    const struct guest_region *r = guest_map_find(map, at);

    if (r == NULL || r->kind == REGION_DEVICE)
        return NULL;
    uint64_t offset = at.v - r->gpa.v;

    *bytes = *bytes < r->bytes - offset ? *bytes : r->bytes - offset;
    return host_phys(hpa(r->hpa.v + offset), *bytes);
}

void *guest_map_ptr(const struct guest_map *map, gpa_t at, uint64_t bytes) {
    uint64_t there = bytes;
    void *p = guest_map_span(map, at, &there);

    return there == bytes ? p : NULL;
}

static bool guest_map_holds(const struct guest_map *map, gpa_t at, uint64_t bytes) {
    for (uint64_t done = 0, part; done < bytes; done += part) {
        part = bytes - done;
        if (guest_map_span(map, gpa(at.v + done), &part) == NULL)
            return false;
    }
    return true;
}

/* Copy to or from guest memory; neither given: zero it. */
static enum err guest_map_access(const struct guest_map *map, gpa_t at, uint8_t *to, const uint8_t *from,
                                 uint64_t bytes) {
    if (!guest_map_holds(map, at, bytes))
        return ERR_RANGE;
    for (uint64_t done = 0, part; done < bytes; done += part) {
        part = bytes - done;
        void *p = guest_map_span(map, gpa(at.v + done), &part);

        if (to != NULL)
            memcpy(to + done, p, part);
        else if (from != NULL)
            memcpy(p, from + done, part);
        else
            memset(p, 0, part);
    }
    return ERR_OK;
}

enum err guest_map_write(const struct guest_map *map, gpa_t to, const void *from, uint64_t bytes) {
    return guest_map_access(map, to, NULL, from, bytes);
}

enum err guest_map_read(const struct guest_map *map, void *to, gpa_t from, uint64_t bytes) {
    return guest_map_access(map, from, to, NULL, bytes);
}

enum err guest_map_zero(const struct guest_map *map, gpa_t to, uint64_t bytes) {
    return guest_map_access(map, to, NULL, NULL, bytes);
}

uint64_t guest_map_ram_bytes(const struct guest_map *map) {
    uint64_t bytes = 0;

    for (unsigned i = 0; i < map->count; i++)
        bytes += map->regions[i].kind == REGION_RAM ? map->regions[i].bytes : 0;
    return bytes;
}
