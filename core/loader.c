/* SPDX-License-Identifier: Apache-2.0 */
/* Room in a guest's RAM, and the 32-bit start. Knows the guest map and nothing of image formats. */
#include "core/loader.h"

#include "core/log.h"
#include "core/str.h"

void loader_complain(const struct load_request *request, const struct load_image *image, const char *format,
                     ...) {
    char text[LOG_LINE_MAX];
    va_list args;

    va_start(args, format);
    str_vformat(text, sizeof(text), format, args);
    va_end(args);
    log_line("partition %s: %s: %s", request->partition, image->name, text);
}

bool loader_next_run(const struct guest_map *map, unsigned *index, struct range *run,
                     enum region_kind *kind) {
    const struct guest_region *region;

    while (*index < map->count && map->regions[*index].kind == REGION_DEVICE)
        (*index)++;
    if (*index >= map->count)
        return false;
    region = &map->regions[*index];
    *run = (struct range){region->gpa.v, 0};
    *kind = region->kind;
    for (; *index < map->count; (*index)++) {
        region = &map->regions[*index];
        if (region->kind != *kind || region->gpa.v != range_end(*run))
            break;
        run->size += region->bytes;
    }
    return true;
}

static const struct range *loader_in_use(const struct loader_room *room, struct range range) {
    for (unsigned i = 0; i < room->nr_used; i++)
        if (range_overlaps(room->used[i], range))
            return &room->used[i];
    return NULL;
}

enum err loader_use(struct loader_room *room, struct range range) {
    enum region_kind kind;
    struct range run;
    unsigned index = 0;

    if (room->nr_used == LOADER_MAX_USED)
        return ERR_FULL;
    while (loader_next_run(room->map, &index, &run, &kind)) {
        if (kind == REGION_RAM && range_contains(run, range) && loader_in_use(room, range) == NULL) {
            room->used[room->nr_used++] = range;
            return ERR_OK;
        }
    }
    return ERR_RANGE;
}

/* Slide over what is in use, one used range a step, until there is room in `run` or it ends. */
static bool loader_fit(const struct loader_room *room, const struct loader_want *want, struct range run,
                       uint64_t *at) {
    uint64_t low = align_up(run.base > want->min ? run.base : want->min, want->align);
    uint64_t end = range_end(run) < want->max ? range_end(run) : want->max;

    while (low < end && end - low >= want->bytes) {
        struct range try = {want->high ? align_down(end - want->bytes, want->align) : low, want->bytes};
        const struct range *used = loader_in_use(room, try);

        if (used == NULL) {
            *at = try.base;
            return true;
        }
        if (want->high)
            end = used->base;
        else
            low = align_up(range_end(*used), want->align);
    }
    return false;
}

enum err loader_find(struct loader_room *room, const struct loader_want *want, uint64_t *at) {
    enum region_kind kind;
    struct range run;
    unsigned index = 0;
    bool found = false;

    if (want->bytes == 0 || room->nr_used == LOADER_MAX_USED)
        return ERR_NO_MEMORY;
    while (loader_next_run(room->map, &index, &run, &kind)) {
        uint64_t here;

        if (kind == REGION_RAM && (!found || want->high) && loader_fit(room, want, run, &here)) {
            *at = here;
            found = true;
        }
    }
    if (!found)
        return ERR_NO_MEMORY;
    room->used[room->nr_used++] = (struct range){*at, want->bytes};
    return ERR_OK;
}

enum err loader_start_protected(const struct load_request *request, struct loader_room *room,
                                struct guest_start *out) {
    static const uint64_t gdt[] = {
        0, 0x00CF9B000000FFFF, /* 08H: 32-bit code */
        0x00CF93000000FFFF,    /* 10H: data */
    };
    struct loader_want want = {sizeof(gdt), 16, LOADER_LOW_MIN, LOADER_LOW_MAX, false};
    uint64_t at;
    enum err err = loader_find(room, &want, &at);

    if (err == ERR_OK)
        err = guest_map_write(room->map, gpa(at), gdt, sizeof(gdt));
    if (err != ERR_OK) {
        loader_complain(request, &request->kernel, "no room for a GDT between 64 and 640 KiB");
        return err;
    }
    *out = (struct guest_start){
        .mode = START_PROTECTED,
        .gdt_base = at,
        .gdt_limit = sizeof(gdt) - 1,
        .cs = 0x08,
        .ds = 0x10,
    };
    return ERR_OK;
}
