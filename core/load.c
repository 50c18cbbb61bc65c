/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses the loader by what the image says it is, and has what all loaders need. Flat binaries, which say
 * nothing, are loaded here. */
#include "core/load.h"

#include "core/guest_layout.h"
#include "core/host.h"
#include "core/loader.h"
#include "core/log.h"

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
    if (last != NULL && last->type == type && range_end(last->range) == base)
        last->range.size += bytes;
    else
        l->runs[l->nr_runs++] = (struct loader_run){{base, bytes}, type};
}

static void loader_add_runs(struct loader *l) {
    const struct guest_map *map = l->request->map;
    for (const struct guest_region *r = map->regions; r < map->regions + map->count; r++)
        if (r->kind != REGION_DEVICE)
            loader_add_run(l, r->gpa.v, r->bytes, r->kind == REGION_RAM ? MEMORY_RAM : MEMORY_ACPI);
    loader_add_run(l, 0xFEC00000, PAGE_SIZE, MEMORY_RESERVED); /* IOAPIC */
    loader_add_run(l, 0xFEE00000, PAGE_SIZE, MEMORY_RESERVED); /* local APIC */
}

static bool loader_is_used(const struct loader *l, struct range range) {
    bool used = false;
    for (unsigned i = 0; i < l->nr_used; i++)
        used |= range_overlaps(l->used[i], range);
    return used;
}

static bool loader_is_free(const struct loader *l, struct range range) {
    bool ram = false;
    for (unsigned i = 0; i < l->nr_runs; i++)
        ram |= l->runs[i].type == MEMORY_RAM && range_contains(l->runs[i].range, range);
    return ram && range_end(range) <= GIB(4) && !loader_is_used(l, range);
}

/* The best place begins, or with `high` ends, at a border: of `want`, of RAM, or of what is in use. */
bool loader_find(const struct loader *l, const struct loader_want *want, uint64_t *at) {
    struct range best = {0, 0}, limits = {want->min, want->max - want->min};
    for (unsigned i = 0; i <= l->nr_runs + l->nr_used; i++) {
        bool outer = i <= l->nr_runs; /* room is within it, not before or behind it */
        struct range r = i == 0 ? limits : outer ? l->runs[i - 1].range : l->used[i - 1 - l->nr_runs];
        uint64_t border = want->high == outer ? range_end(r) : r.base;
        struct range try = {align_up(border, want->align), want->bytes};
        if (want->high)
            try.base = align_down(border - want->bytes, want->align);
        if (range_contains(limits, try) && loader_is_free(l, try) &&
            (best.size == 0 || want->high == (try.base > best.base)))
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

static bool loader_reserve(struct loader *l, const struct loader_want *want, uint64_t *at) {
    return loader_find(l, want, at) && loader_take(l, (struct range){*at, want->bytes});
}

static enum err loader_write(const struct loader *l, uint64_t to, const void *from, uint64_t bytes) {
    if (guest_map_write(l->request->map, gpa(to), from, bytes) == ERR_OK)
        return ERR_OK;
    return loader_refuse(l, ERR_RANGE, "guest memory at 0x%lx cannot be written", to);
}

enum err loader_place(struct loader *l, uint64_t offset, uint64_t file_bytes, uint64_t at, uint64_t bytes) {
    const struct load_image *kernel = &l->request->kernel;
    if (file_bytes > bytes || offset > kernel->bytes || file_bytes > kernel->bytes - offset)
        return loader_refuse(l, ERR_MALFORMED,
                             "0x%lx bytes with 0x%lx from offset 0x%lx: not within the file's %lu bytes",
                             bytes, file_bytes, offset, kernel->bytes);
    if (!loader_take(l, (struct range){at, bytes}))
        return loader_refuse(l, ERR_RANGE,
                             "0x%lx bytes for 0x%lx: not free RAM below 4 GiB, or one of too many pieces",
                             bytes, at);
    return loader_write(l, at, (const uint8_t *)kernel->data + offset, file_bytes);
}

/* All in one piece, each at a page. */
static enum err loader_place_modules(struct loader *l) {
    const struct load_request *request = l->request;
    struct loader_want *want = &l->modules;
    enum err e = ERR_OK;
    for (unsigned i = 0; i < request->nr_modules; i++)
        want->bytes = align_up(want->bytes, PAGE_SIZE) + request->modules[i].bytes;
    if (want->bytes == 0)
        return ERR_OK;
    if (!loader_reserve(l, want, &l->modules_at))
        return loader_refuse(l, ERR_NO_MEMORY, "no room for %s%s, %lu KiB; give the partition more memory",
                             request->modules[0].name, request->nr_modules > 1 ? " and more modules" : "",
                             want->bytes >> 10);
    uint64_t at = l->modules_at;
    for (unsigned i = 0; i < request->nr_modules && e == ERR_OK; i++) {
        e = loader_write(l, at, request->modules[i].data, request->modules[i].bytes);
        at = align_up(at + request->modules[i].bytes, PAGE_SIZE);
    }
    return e;
}

void *loader_put(struct loader *l, uint64_t bytes, uint64_t align, uint64_t *at) {
    uint64_t offset = align_up(l->low_used, align);
    ASSERT(offset + bytes <= LOADER_LOW_BYTES);
    l->low_used = offset + bytes;
    *at = l->low_at + offset;
    return l->low + offset;
}

uint32_t loader_put_text(struct loader *l, const char *first, const char *rest) {
    size_t length = str_format((char *)l->low + l->low_used, LOADER_LOW_BYTES - l->low_used, "%s%s%s", first,
                               rest[0] != '\0' ? " " : "", rest);
    uint64_t at;
    loader_put(l, length + 1, 1, &at);
    return (uint32_t)at;
}

/* The low block, clear of the vectors, the BIOS data area and the addresses where guests like to put the code
 * that starts their other CPUs. First in it a GDT: flat code at out->cs, data behind it for the other
 * segments. */
static enum err loader_put_gdt(struct loader *l, struct guest_start *out) {
    struct loader_want want = {LOADER_LOW_BYTES, PAGE_SIZE, KIB(64), KIB(640), false};
    if (loader_reserve(l, &want, &l->low_at))
        l->low = guest_map_ptr(l->request->map, gpa(l->low_at), want.bytes);
    if (l->low == NULL)
        return loader_refuse(l, ERR_NO_MEMORY, "no room: %lu KiB of RAM between 64 and 640 KiB are needed",
                             want.bytes >> 10);
    out->ds = (uint16_t)(out->cs + 8);
    out->gdt_limit = (uint16_t)(out->ds + 7);
    uint64_t *gdt = loader_put(l, out->gdt_limit + 1u, 8, &out->gdt_base);
    gdt[out->cs / 8] = 0x00CF9B000000FFFF;
    gdt[out->ds / 8] = 0x00CF93000000FFFF;
    return ERR_OK;
}

/* At the reset vector the image ends at 1 MiB, and once more at 4 GiB, where RESET fetches: a PC shows its
 * ROM at both. Elsewhere below 1 MiB it starts in real mode, with CS and the other segments at its start and
 * SP 0, so that the stack is the top of that 64 KiB; above in protected mode. */
static enum err load_flat(struct loader *l, uint64_t at, struct guest_start *out) {
    const struct load_image *image = &l->request->kernel;
    uint64_t bytes = image->bytes;
    if (!l->request->config->load_at_reset) {
        at = l->request->config->load;
        out->rip = at;
        if (at < MIB(1))
            *out = (struct guest_start){
                .mode = START_REAL, .rip = at % 16, .cs = (uint16_t)(at >> 4), .ds = (uint16_t)(at >> 4)};
        return loader_place(l, 0, bytes, at, bytes);
    }
    if (bytes < 16 || bytes > GUEST_TABLES_BYTES)
        return loader_refuse(l, ERR_RANGE, "%lu bytes for load = reset; wanted: from 16 to %lu", bytes,
                             GUEST_TABLES_BYTES);
    *out = (struct guest_start){.mode = START_RESET, .rip = 0xFFF0};
    enum err e = loader_write(l, GIB(4) - bytes, image->data, bytes);
    return e == ERR_OK ? loader_write(l, MIB(1) - bytes, image->data, bytes) : e;
}

static const struct format {
    const char *name;
    load_is *is;
    load_kernel *load; /* NULL: no way to start it */
    load_tell *tell;
} formats[] =
    {
        {"a Linux kernel", load_linux_is, load_linux, load_linux_tell},
        {"a multiboot2 kernel", load_multiboot2_is, load_multiboot2, load_multiboot2_tell},
        {"a multiboot kernel", load_multiboot1_is, load_multiboot1, load_multiboot1_tell},
        {"a PVH kernel", load_pvh_is, load_pvh, load_pvh_tell},
        {"an ELF", load_elf_is, NULL, NULL},
},
  flat = {"a flat binary", NULL, load_flat, NULL};

enum err load_guest(const struct load_request *request, struct guest_start *out) {
    struct loader l = {.request = request};
    const struct format *f = formats, *end = formats + ARRAY_SIZE(formats);
    uint64_t at = 0;
    l.modules = (struct loader_want){0, PAGE_SIZE, MIB(1), GIB(4), false};
    *out = (struct guest_start){.mode = START_PROTECTED, .cs = 0x08};
    loader_add_runs(&l);
    while (f < end && !f->is(&l, &at))
        f++;
    if (request->config->has_load && f < end)
        return loader_refuse(&l, ERR_UNSUPPORTED, "load = is for flat binaries; this is %s: leave it out",
                             f->name);
    if (request->config->has_load)
        f = &flat;
    else if (f == end || f->load == NULL)
        return loader_refuse(&l, ERR_UNSUPPORTED,
                             "no Linux bzImage, no multiboot header, no ELF with a PVH note; if it is a flat "
                             "binary, give load = ADDRESS");
    enum err e = f->load(&l, at, out);
    if (e != ERR_OK || out->mode == START_REAL || out->mode == START_RESET)
        return e;
    if (!loader_is_used(&l, (struct range){out->rip, 1}))
        e = loader_refuse(&l, ERR_MALFORMED, "entry point 0x%lx lies in nothing that was loaded", out->rip);
    if (e == ERR_OK && f->tell != NULL)
        e = loader_place_modules(&l);
    if (e == ERR_OK)
        e = loader_put_gdt(&l, out);
    if (e == ERR_OK && f->tell != NULL)
        f->tell(&l, out);
    return e;
}
