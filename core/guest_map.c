/* SPDX-License-Identifier: Apache-2.0 */
/* The list itself and every access through it. Reads and writes are asked for by guests as well, so a refused
 * one is silent here: the caller knows whose mistake it is. */
#include "core/guest_map.h"

#include "core/host.h"
#include "core/log.h"
#include "core/str.h"

static struct range guest_side(const struct guest_region *r) {
    return (struct range){r->gpa.v, r->bytes};
}

enum err guest_map_add(struct guest_map *map, struct guest_region region) {
    unsigned at = 0;
    const char *wrong = NULL;
    while (at < map->count && range_end(guest_side(&map->regions[at])) <= region.gpa.v)
        at++;
    if (region.bytes == 0 || (region.gpa.v | region.hpa.v | region.bytes) % PAGE_SIZE != 0 ||
        !range_valid(guest_side(&region)) || !range_valid(guest_region_frames(&region)))
        wrong = "not whole pages of the address space";
    else if (at < map->count && range_overlaps(guest_side(&map->regions[at]), guest_side(&region)))
        wrong = "overlaps another region";
    else if (map->count == MAX_GUEST_REGIONS)
        wrong = "one region too many";
    if (wrong != NULL) {
        log_line("guest map: 0x%lx bytes at guest address 0x%lx, machine address 0x%lx: %s", region.bytes,
                 region.gpa.v, region.hpa.v, wrong);
        return ERR_RANGE;
    }
    memmove(&map->regions[at + 1], &map->regions[at], (map->count - at) * sizeof(map->regions[0]));
    map->regions[at] = region;
    map->count++;
    return ERR_OK;
}

const struct guest_region *guest_map_find(const struct guest_map *map, gpa_t at) {
    for (unsigned i = 0; i < map->count; i++)
        if (range_contains(guest_side(&map->regions[i]), (struct range){at.v, 1}))
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

/* Copy to or from guest memory; neither given: zero it. The first pass only sees whether all is there. */
static enum err guest_map_access(const struct guest_map *map, gpa_t at, uint8_t *to, const uint8_t *from,
                                 uint64_t bytes) {
    for (unsigned pass = 0; pass < 2; pass++) {
        for (uint64_t done = 0, part; done < bytes; done += part) {
            part = bytes - done;
            void *p = guest_map_span(map, gpa(at.v + done), &part);
            if (p == NULL)
                return ERR_RANGE;
            if (pass == 0)
                continue;
            if (to != NULL)
                memcpy(to + done, p, part);
            else if (from != NULL)
                memcpy(p, from + done, part);
            else
                memset(p, 0, part);
        }
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
