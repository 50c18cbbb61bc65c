/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses the loader by what the image says it is, and has what all loaders need. Flat binaries, which say
 * nothing, are loaded here. */
#include "core/load.h"

#include "core/loader.h"
#include "core/log.h"

/* What a loader places itself lies up to 640 KiB, clear of the vectors, the BIOS data area and the
 * addresses where guests like to put the code that starts their other CPUs. */
#define LOW_MIN KIB(64)
#define LOW_MAX KIB(640)

enum err loader_refuse(const struct loader *l, enum err err, const char *format, ...) {
    char text[LOG_LINE_MAX];
    va_list args;

    va_start(args, format);
    str_vformat(text, sizeof(text), format, args);
    va_end(args);
    log_line("partition %s: %s: %s", l->request->config->name, l->request->kernel.name, text);
    return err;
}

static void loader_add_runs(struct loader *l) {
    const struct guest_map *map = l->request->map;

    for (unsigned i = 0; i < map->count; i++) {
        const struct guest_region *r = &map->regions[i];
        struct loader_run *last = l->nr_runs > 0 ? &l->runs[l->nr_runs - 1] : NULL;
        uint32_t type = r->kind == REGION_RAM ? MEMORY_RAM : MEMORY_ACPI;

        if (r->kind == REGION_DEVICE)
            continue;
        if (last != NULL && last->type == type && last->base + last->bytes == r->gpa.v)
            last->bytes += r->bytes;
        else
            l->runs[l->nr_runs++] = (struct loader_run){r->gpa.v, r->bytes, type};
    }
}

static bool loader_is_free(const struct loader *l, struct range range) {
    bool ram = false;

    for (unsigned i = 0; i < l->nr_runs; i++)
        ram |= l->runs[i].type == MEMORY_RAM &&
               range_contains((struct range){l->runs[i].base, l->runs[i].bytes}, range);
    for (unsigned i = 0; i < l->nr_used; i++)
        ram &= !range_overlaps(l->used[i], range);
    return ram;
}

bool loader_take(struct loader *l, struct range range) {
    if (l->nr_used == LOADER_MAX_USED || !loader_is_free(l, range))
        return false;
    l->used[l->nr_used++] = range;
    return true;
}

/* The best place begins, or with `high` ends, at a border: of `want`, of RAM, or of what is in use. */
static uint64_t loader_border(const struct loader *l, const struct loader_want *want, unsigned i) {
    struct range used;

    if (i == 0)
        return want->high ? want->max : want->min;
    if (i <= l->nr_runs)
        return l->runs[i - 1].base + (want->high ? l->runs[i - 1].bytes : 0);
    used = l->used[i - 1 - l->nr_runs];
    return want->high ? used.base : range_end(used);
}

bool loader_find(struct loader *l, const struct loader_want *want, uint64_t *at) {
    struct range best = {0, 0};

    for (unsigned i = 0; i <= l->nr_runs + l->nr_used; i++) {
        uint64_t border = loader_border(l, want, i);
        struct range try = {border, want->bytes};

        try.base = want->high ? align_down(border - want->bytes, want->align) : align_up(border, want->align);
        if (try.base >= want->min && range_valid(try) && range_end(try) <= want->max &&
            (best.size == 0 || want->high == (try.base > best.base)) && loader_is_free(l, try))
            best = try;
    }
    *at = best.base;
    return loader_take(l, best);
}

enum err loader_copy(const struct loader *l, const struct load_image *image, uint64_t offset, uint64_t bytes,
                     uint64_t to) {
    if (guest_map_write(l->request->map, gpa(to), (const uint8_t *)image->data + offset, bytes) == ERR_OK)
        return ERR_OK;
    return loader_refuse(l, ERR_RANGE, "guest memory at 0x%lx cannot be written", to);
}

enum err loader_place_initrd(struct loader *l, struct loader_want want, uint64_t max, uint64_t *at) {
    const struct load_image *initrd = &l->request->initrd;

    *at = 0;
    if (initrd->bytes == 0)
        return ERR_OK;
    want.bytes = initrd->bytes;
    if (!loader_find(l, &want, at)) {
        want.max = max;
        if (!loader_find(l, &want, at))
            return loader_refuse(l, ERR_NO_MEMORY, "no room for %s, %lu KiB; give the partition more memory",
                                 initrd->name, initrd->bytes >> 10);
    }
    return loader_copy(l, initrd, 0, initrd->bytes, *at);
}

void *loader_low_block(struct loader *l, uint64_t bytes, uint64_t *at) {
    struct loader_want want = {bytes, PAGE_SIZE, LOW_MIN, LOW_MAX, false};
    void *block = loader_find(l, &want, at) ? guest_map_ptr(l->request->map, gpa(*at), bytes) : NULL;

    if (block != NULL)
        return memset(block, 0, bytes);
    loader_refuse(l, ERR_NO_MEMORY, "no room: %lu KiB of RAM between 64 and 640 KiB are needed", bytes >> 10);
    return NULL;
}

void *loader_start_protected(struct loader *l, uint64_t rip, struct guest_start *out) {
    static const uint64_t gdt[] = {
        0, 0x00CF9B000000FFFF, /* 08H: 32-bit code */
        0x00CF93000000FFFF,    /* 10H: data */
    };
    uint64_t at;
    uint8_t *page = loader_low_block(l, PAGE_SIZE, &at);

    if (page == NULL)
        return NULL;
    memcpy(page + LOADER_INFO_MAX, gdt, sizeof(gdt));
    *out = (struct guest_start){
        .mode = START_PROTECTED,
        .rip = rip,
        .gdt_base = at + LOADER_INFO_MAX,
        .gdt_limit = sizeof(gdt) - 1,
        .cs = 0x08,
        .ds = 0x10,
    };
    return page;
}

/* Below 1 MiB in real mode, with CS and the other segments at its start and SP 0, so that the stack is the
 * top of that 64 KiB; above in 32-bit protected mode, as a multiboot kernel without information. */
static enum err load_flat(struct loader *l, struct guest_start *out) {
    const struct load_image *image = &l->request->kernel;
    struct range target = {l->request->config->load, image->bytes};
    uint16_t segment = (uint16_t)(target.base >> 4);

    if (target.base >= GIB(4) || !loader_take(l, target))
        return loader_refuse(l, ERR_RANGE,
                             "load = 0x%lx: its %lu bytes are not all RAM of this partition below 4 GiB",
                             target.base, target.size);
    if (target.base >= MIB(1) && loader_start_protected(l, target.base, out) == NULL)
        return ERR_NO_MEMORY;
    if (target.base < MIB(1))
        *out =
            (struct guest_start){.mode = START_REAL, .rip = target.base % 16, .cs = segment, .ds = segment};
    return loader_copy(l, image, 0, target.size, target.base);
}

enum err load_guest(const struct load_request *request, struct guest_start *out) {
    struct loader l = {.request = request};
    bool is_linux = load_linux_is(&l), is_elf = load_elf_is(&l);

    *out = (struct guest_start){0};
    loader_add_runs(&l);
    if (request->config->has_load && (is_linux || is_elf))
        return loader_refuse(&l, ERR_UNSUPPORTED, "load = is for flat binaries; this is %s: leave it out",
                             is_elf ? "an ELF" : "a Linux kernel");
    if (request->config->has_load)
        return load_flat(&l, out);
    if (is_linux)
        return load_linux(&l, out);
    if (is_elf)
        return load_multiboot(&l, out);
    return loader_refuse(&l, ERR_UNSUPPORTED,
                         "neither a Linux bzImage nor an ELF; if it is a flat binary, give load = ADDRESS");
}
