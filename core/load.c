/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses the loader by what the image says it is, and has what all loaders need. Flat binaries, which say
 * nothing, are loaded here. */
#include "core/load.h"

#include "core/check.h"
#include "core/guest_layout.h"
#include "core/loader.h"
#include "core/log.h"

/* What a loader places itself lies up to 640 KiB, clear of the vectors, the BIOS data area and the
 * addresses where guests like to put the code that starts their other CPUs. */
#define LOW_MIN     KIB(64)
#define LOW_MAX     KIB(640)

#define RESET_BYTES 16u /* from the reset vector to its end */

#define CODE_32     0x00CF9B000000FFFF
#define CODE_64     0x00AF9B000000FFFF
#define DATA        0x00CF93000000FFFF

enum err loader_refuse(const struct loader *l, enum err err, const char *format, ...) {
    char text[LOG_LINE_MAX];
    va_list args;

    va_start(args, format);
    str_vformat(text, sizeof(text), format, args);
    va_end(args);
    log_line("partition %s: %s: %s", l->request->config->name, l->request->kernel.name, text);
    return err;
}

/* Neighbours are merged. */
static void loader_add_run(struct loader *l, uint64_t base, uint64_t bytes, uint32_t type) {
    struct loader_run *last = l->nr_runs > 0 ? &l->runs[l->nr_runs - 1] : NULL;

    if (last != NULL && last->type == type && last->base + last->bytes == base)
        last->bytes += bytes;
    else
        l->runs[l->nr_runs++] = (struct loader_run){base, bytes, type};
}

static void loader_add_runs(struct loader *l) {
    const struct guest_map *map = l->request->map;

    for (const struct guest_region *r = map->regions; r < map->regions + map->count; r++)
        if (r->kind != REGION_DEVICE)
            loader_add_run(l, r->gpa.v, r->bytes, r->kind == REGION_RAM ? MEMORY_RAM : MEMORY_ACPI);
    loader_add_run(l, 0xFEC00000, PAGE_SIZE, MEMORY_RESERVED); /* IOAPIC */
    loader_add_run(l, 0xFEE00000, PAGE_SIZE, MEMORY_RESERVED); /* local APIC */
}

static bool loader_is_free(const struct loader *l, struct range range) {
    bool ram = false;

    for (unsigned i = 0; i < l->nr_runs; i++)
        ram |= l->runs[i].type == MEMORY_RAM &&
               range_contains((struct range){l->runs[i].base, l->runs[i].bytes}, range);
    for (unsigned i = 0; i < l->nr_used; i++)
        ram &= !range_overlaps(l->used[i], range);
    return ram && range_end(range) <= l->max;
}

/* The best place begins, or with `high` ends, at a border: of `want`, of RAM, or of what is in use. */
static uint64_t loader_border(const struct loader *l, const struct loader_want *want, unsigned i) {
    if (i == 0)
        return want->high ? want->max : want->min;
    if (i <= l->nr_runs)
        return l->runs[i - 1].base + (want->high ? l->runs[i - 1].bytes : 0);
    struct range used = l->used[i - 1 - l->nr_runs];

    return want->high ? used.base : range_end(used);
}

bool loader_find(const struct loader *l, const struct loader_want *want, uint64_t *at) {
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
    return best.size != 0;
}

static bool loader_take(struct loader *l, struct range range) {
    if (l->nr_used == LOADER_MAX_USED || !loader_is_free(l, range))
        return false;
    l->used[l->nr_used++] = range;
    return true;
}

static enum err loader_write(const struct loader *l, uint64_t to, const void *from, uint64_t bytes) {
    if (guest_map_write(l->request->map, gpa(to), from, bytes) == ERR_OK)
        return ERR_OK;
    return loader_refuse(l, ERR_RANGE, "guest memory at 0x%lx cannot be written", to);
}

enum err loader_place(struct loader *l, struct loader_segment s) {
    const struct load_image *kernel = &l->request->kernel;

    if (s.file_bytes > s.bytes || s.offset > kernel->bytes || s.file_bytes > kernel->bytes - s.offset)
        return loader_refuse(l, ERR_MALFORMED,
                             "0x%lx bytes with 0x%lx from offset 0x%lx: not within the file's %lu bytes",
                             s.bytes, s.file_bytes, s.offset, kernel->bytes);
    if (!loader_take(l, (struct range){s.at, s.bytes}))
        return loader_refuse(l, ERR_RANGE,
                             "0x%lx bytes for 0x%lx: not free RAM below %lu GiB, or one of too many pieces",
                             s.bytes, s.at, l->max >> 30);
    return loader_write(l, s.at, (const uint8_t *)kernel->data + s.offset, s.file_bytes);
}

enum err loader_place_modules(struct loader *l, struct loader_want *want, uint64_t gap, uint64_t max) {
    const struct load_request *request = l->request;
    enum err err = ERR_OK;
    uint64_t at;

    for (unsigned i = 0; i < request->nr_modules; i++)
        want->bytes = align_up(want->bytes, gap) + request->modules[i].bytes;
    if (want->bytes == 0)
        return ERR_OK;
    bool found = loader_find(l, want, &at);

    want->max = max;
    if ((!found && !loader_find(l, want, &at)) || !loader_take(l, (struct range){at, want->bytes}))
        return loader_refuse(l, ERR_NO_MEMORY, "no room for %s%s, %lu KiB; give the partition more memory",
                             request->modules[0].name, request->nr_modules > 1 ? " and more modules" : "",
                             want->bytes >> 10);
    for (unsigned i = 0; i < request->nr_modules && err == ERR_OK; i++) {
        at = align_up(at, gap);
        l->modules_at[i] = at;
        err = loader_write(l, at, request->modules[i].data, request->modules[i].bytes);
        at += request->modules[i].bytes;
    }
    return err;
}

enum err loader_start(struct loader *l, enum start_mode mode, uint16_t cs, struct guest_start *out) {
    struct loader_want want = {LOADER_LOW_BYTES, PAGE_SIZE, LOW_MIN, LOW_MAX, false};

    if (loader_find(l, &want, &l->low_at) && loader_take(l, (struct range){l->low_at, LOADER_LOW_BYTES}))
        l->low = guest_map_ptr(l->request->map, gpa(l->low_at), LOADER_LOW_BYTES);
    if (l->low == NULL)
        return loader_refuse(l, ERR_NO_MEMORY, "no room: %lu KiB of RAM between 64 and 640 KiB are needed",
                             LOADER_LOW_BYTES >> 10);
    out->mode = mode;
    out->cs = cs;
    out->ds = (uint16_t)(cs + 8);
    out->gdt_limit = (uint16_t)(cs + 15);
    uint64_t *gdt = loader_put(l, out->gdt_limit + 1u, 8, &out->gdt_base);

    gdt[cs / 8] = mode == START_LONG ? CODE_64 : CODE_32;
    gdt[cs / 8 + 1] = DATA;
    return ERR_OK;
}

void *loader_put(struct loader *l, uint64_t bytes, uint64_t align, uint64_t *at) {
    uint64_t offset = align_up(l->low_used, align);

    ASSERT(offset + bytes <= LOADER_LOW_BYTES);
    l->low_used = offset + bytes;
    *at = l->low_at + offset;
    return l->low + offset;
}

uint32_t loader_put_text(struct loader *l, const char *first, const char *rest) {
    const char *space = rest[0] != '\0' ? " " : "";
    size_t bytes = str_length(first) + str_length(space) + str_length(rest) + 1;
    uint64_t at;

    str_format(loader_put(l, bytes, 1, &at), bytes, "%s%s%s", first, space, rest);
    return (uint32_t)at;
}

/* The image ends at 1 MiB, and once more at 4 GiB, where RESET fetches: a PC shows its ROM at both. */
static enum err load_at_reset(const struct loader *l, struct guest_start *out) {
    const struct load_image *image = &l->request->kernel;

    if (image->bytes < RESET_BYTES || image->bytes > GUEST_TABLES_BYTES)
        return loader_refuse(l, ERR_RANGE, "%lu bytes for load = reset; wanted: from %u to %lu", image->bytes,
                             RESET_BYTES, GUEST_TABLES_BYTES);
    out->mode = START_RESET;
    out->rip = 0xFFF0;
    enum err err = loader_write(l, GIB(4) - image->bytes, image->data, image->bytes);

    return err == ERR_OK ? loader_write(l, MIB(1) - image->bytes, image->data, image->bytes) : err;
}

/* Below 1 MiB in real mode, with CS and the other segments at its start and SP 0, so that the stack is the
 * top of that 64 KiB; above in 32-bit protected mode, as a multiboot kernel without information. */
static enum err load_flat(struct loader *l, struct guest_start *out) {
    uint64_t at = l->request->config->load, bytes = l->request->kernel.bytes;
    enum err err = loader_place(l, (struct loader_segment){0, bytes, at, bytes});

    if (err == ERR_OK && at >= MIB(1))
        err = loader_start(l, START_PROTECTED, 0x08, out);
    else
        *out = (struct guest_start){.mode = START_REAL, .cs = (uint16_t)(at >> 4), .ds = (uint16_t)(at >> 4)};
    out->rip = at >= MIB(1) ? at : at % 16;
    return err;
}

static const struct format {
    const char *name;
    bool (*is)(const struct loader *l, uint64_t *at);
    enum err (*load)(struct loader *l, uint64_t at, struct guest_start *out); /* NULL: no way to start it */
} formats[] = {
    {"a Linux kernel", load_linux_is, load_linux},
    {"a multiboot2 kernel", load_multiboot2_is, load_multiboot2},
    {"a multiboot kernel", load_multiboot1_is, load_multiboot1},
    {"a PVH kernel", load_pvh_is, load_pvh},
    {"an ELF", load_elf_is, NULL},
};

enum err load_guest(const struct load_request *request, struct guest_start *out) {
    const struct partition_config *config = request->config;
    struct loader l = {.request = request, .max = GIB(4)};
    const struct format *f = formats, *end = formats + ARRAY_SIZE(formats);
    uint64_t at = 0;

    *out = (struct guest_start){0};
    loader_add_runs(&l);
    while (f < end && !f->is(&l, &at))
        f++;
    if (config->has_load && f < end)
        return loader_refuse(&l, ERR_UNSUPPORTED, "load = is for flat binaries; this is %s: leave it out",
                             f->name);
    if (config->has_load)
        return config->load_at_reset ? load_at_reset(&l, out) : load_flat(&l, out);
    if (f == end || f->load == NULL)
        return loader_refuse(&l, ERR_UNSUPPORTED,
                             "no Linux bzImage, no multiboot header, no ELF with a PVH note; if it is a flat "
                             "binary, give load = ADDRESS");
    enum err err = f->load(&l, at, out);

    for (unsigned i = 0; i < l.nr_used && err == ERR_OK; i++)
        if (range_contains(l.used[i], (struct range){out->rip, 1}))
            return ERR_OK;
    return err != ERR_OK ? err
                         : loader_refuse(&l, ERR_MALFORMED,
                                         "entry point 0x%lx lies in nothing that was loaded", out->rip);
}
