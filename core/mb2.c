/* SPDX-License-Identifier: Apache-2.0 */
/* Multiboot2 boot information -> struct boot_info. Reads only the bytes it is given and believes no
 * length, count or string end in them; tags it does not know are skipped. */
#include "core/mb2.h"

#include "core/log.h"
#include "core/str.h"

enum {
    TAG_END = 0,
    TAG_CMDLINE = 1,
    TAG_MODULE = 3,
    TAG_MEMORY_MAP = 6,
    TAG_FRAMEBUFFER = 8,
    TAG_EFI64_SYSTEM_TABLE = 12,
    TAG_ACPI_OLD = 14,
    TAG_ACPI_NEW = 15,
    TAG_EFI_MEMORY_MAP = 17,
    TAG_LOAD_BASE = 21,
};

#define TAG_ALIGN 8

/* Offsets count from the start of the structure, or behind the tag header. */
struct mb2_info {
    uint32_t total_size; /* 0 */
    uint32_t reserved;   /* 4 */
};
_Static_assert(sizeof(struct mb2_info) == 8, "multiboot2 information header");

struct mb2_tag {
    uint32_t type; /* 0 */
    uint32_t size; /* 4: with this header, without the padding to the next tag */
};
_Static_assert(sizeof(struct mb2_tag) == 8, "multiboot2 tag header");

struct mb2_module {
    uint32_t start; /* 0 */
    uint32_t end;   /* 4: first byte behind; the string follows */
};
_Static_assert(sizeof(struct mb2_module) == 8, "multiboot2 module tag");

struct mb2_memory_map {
    uint32_t entry_size;    /* 0: may grow in later versions */
    uint32_t entry_version; /* 4 */
};
_Static_assert(sizeof(struct mb2_memory_map) == 8, "multiboot2 memory map tag");

struct mb2_memory_entry {
    uint64_t base;     /* 0 */
    uint64_t size;     /* 8 */
    uint32_t kind;     /* 16 */
    uint32_t reserved; /* 20 */
};
_Static_assert(sizeof(struct mb2_memory_entry) == 24, "multiboot2 memory map entry");

struct __attribute__((packed)) mb2_framebuffer {
    uint64_t address;       /* 0 */
    uint32_t pitch;         /* 8 */
    uint32_t width;         /* 12 */
    uint32_t height;        /* 16 */
    uint8_t bits_per_pixel; /* 20 */
    uint8_t type;           /* 21 */
};
_Static_assert(sizeof(struct mb2_framebuffer) == 22, "multiboot2 framebuffer tag");

/* Length of the string at the end of a tag; it must be terminated inside the tag. */
static must_check enum err text_measure(const char *text, uint32_t bytes, const char *what, size_t *length) {
    for (*length = 0; *length < bytes; (*length)++)
        if (text[*length] == '\0')
            return ERR_OK;
    log_line("multiboot2: the string of the %s tag has no end within its %u bytes", what, bytes);
    return ERR_MALFORMED;
}

static must_check enum err text_copy(char *to, size_t size, const char *from, size_t length,
                                     const char *what) {
    if (!str_copy(to, size, from, length)) {
        log_line("multiboot2: %s '%.*s...' has %zu characters, at most %zu fit", what, 24, from, length,
                 size - 1);
        return ERR_FULL;
    }
    return ERR_OK;
}

static enum err take_cmdline(const uint8_t *body, uint32_t bytes, struct boot_info *out) {
    const char *text = (const char *)body;
    size_t length;
    enum err e = text_measure(text, bytes, "command line", &length);

    return e != ERR_OK ? e : text_copy(out->cmdline, MAX_CMDLINE, text, length, "command line");
}

static size_t blanks_skip(const char *text, size_t at, size_t length) {
    while (at < length && (text[at] == ' ' || text[at] == '\t'))
        at++;
    return at;
}

/* "  /boot/vmlinuz  quiet ro" -> name "vmlinuz", args "quiet ro" */
static must_check enum err module_name(struct module *m, const char *text, size_t length) {
    size_t name = blanks_skip(text, 0, length), end = name, args;
    enum err e;

    for (; end < length && text[end] != ' ' && text[end] != '\t'; end++)
        name = text[end] == '/' ? end + 1 : name;
    args = blanks_skip(text, end, length);
    e = text_copy(m->name, MAX_NAME, text + name, end - name, "module name");
    if (e == ERR_OK)
        e = text_copy(m->args, MAX_CMDLINE, text + args, length - args, "module command line");
    return e;
}

static enum err take_module(const uint8_t *body, uint32_t bytes, struct boot_info *out) {
    struct module *m = &out->modules[out->nr_modules];
    const char *text = (const char *)body + sizeof(struct mb2_module);
    struct mb2_module tag;
    size_t length;
    enum err e;

    if (out->nr_modules == MAX_MODULES) {
        log_line("multiboot2: more than %d modules", MAX_MODULES);
        return ERR_FULL;
    }
    memcpy(&tag, body, sizeof(tag));
    e = text_measure(text, bytes - (uint32_t)sizeof(tag), "module", &length);
    if (e == ERR_OK)
        e = module_name(m, text, length);
    if (e != ERR_OK)
        return e;
    if (tag.end < tag.start) {
        log_line("multiboot2: module '%s' ends at 0x%x, before its start at 0x%x", m->name, tag.end,
                 tag.start);
        return ERR_MALFORMED;
    }
    if (m->name[0] == '\0') { /* GRUB does not pass the file's own name */
        log_line("multiboot2: module %u has no name; in grub.cfg: module2 FILE NAME ARGUMENTS",
                 out->nr_modules);
    } else if (boot_info_module(out, m->name) != NULL) {
        log_line("multiboot2: two modules are named '%s'; names must differ", m->name);
        return ERR_MALFORMED;
    }
    m->at = hpa(tag.start);
    m->bytes = tag.end - tag.start;
    out->nr_modules++;
    return ERR_OK;
}

static must_check enum err memory_add(const struct mb2_memory_entry *entry, struct boot_info *out) {
    struct range r = {entry->base, entry->size};
    bool known = entry->kind >= MEMORY_RAM && entry->kind <= MEMORY_BAD;

    if (r.size == 0)
        return ERR_OK;
    if (!range_valid(r)) {
        log_line("multiboot2: memory at 0x%lx with 0x%lx bytes wraps round", r.base, r.size);
        return ERR_MALFORMED;
    }
    if (out->nr_memory == MAX_MEMORY_RANGES) {
        log_line("multiboot2: more than %d memory map entries", MAX_MEMORY_RANGES);
        return ERR_FULL;
    }
    out->memory[out->nr_memory++] = (struct memory_range){
        .range = r,
        .kind = known ? (enum memory_kind)entry->kind : MEMORY_RESERVED,
    };
    return ERR_OK;
}

static enum err take_memory_map(const uint8_t *body, uint32_t bytes, struct boot_info *out) {
    struct mb2_memory_map tag;
    struct mb2_memory_entry entry;
    uint32_t at = sizeof(tag);
    enum err e = ERR_OK;

    memcpy(&tag, body, sizeof(tag));
    if (tag.entry_size < sizeof(entry) || (bytes - at) % tag.entry_size != 0) {
        log_line("multiboot2: memory map of %u bytes has entries of %u", bytes - at, tag.entry_size);
        return ERR_MALFORMED;
    }
    for (; e == ERR_OK && at < bytes; at += tag.entry_size) {
        memcpy(&entry, body + at, sizeof(entry));
        e = memory_add(&entry, out);
    }
    return e;
}

static enum err take_framebuffer(const uint8_t *body, uint32_t bytes, struct boot_info *out) {
    struct mb2_framebuffer tag;

    (void)bytes;
    memcpy(&tag, body, sizeof(tag));
    out->framebuffer = (struct framebuffer){
        .at = hpa(tag.address),
        .pitch = tag.pitch,
        .width = tag.width,
        .height = tag.height,
        .bits_per_pixel = tag.bits_per_pixel,
        .type = tag.type,
    };
    return ERR_OK;
}

/* The body is a copy of the RSDP. A loader may pass both kinds, in any order: the longer wins. */
static enum err take_rsdp(const uint8_t *body, uint32_t bytes, struct boot_info *out) {
    unsigned copied = bytes < sizeof(out->rsdp) ? 20 : sizeof(out->rsdp);

    if (copied > out->rsdp_bytes) {
        memcpy(out->rsdp, body, copied);
        out->rsdp_bytes = copied;
    }
    return ERR_OK;
}

static enum err take_efi(const uint8_t *body, uint32_t bytes, struct boot_info *out) {
    (void)body;
    (void)bytes;
    out->efi = true;
    return ERR_OK;
}

static enum err take_load_base(const uint8_t *body, uint32_t bytes, struct boot_info *out) {
    uint32_t base;

    (void)bytes;
    memcpy(&base, body, sizeof(base));
    out->load_base = hpa(base);
    return ERR_OK;
}

/* `bytes_min` is the body, without the tag header, that `take` may rely on. */
static const struct tag_row {
    uint32_t type, bytes_min;
    enum err (*take)(const uint8_t *body, uint32_t bytes, struct boot_info *out);
} tag_rows[] = {
    {TAG_CMDLINE, 1, take_cmdline},
    {TAG_MODULE, sizeof(struct mb2_module) + 1, take_module},
    {TAG_MEMORY_MAP, sizeof(struct mb2_memory_map), take_memory_map},
    {TAG_FRAMEBUFFER, sizeof(struct mb2_framebuffer), take_framebuffer},
    {TAG_EFI64_SYSTEM_TABLE, 0, take_efi},
    {TAG_ACPI_OLD, 20, take_rsdp},
    {TAG_ACPI_NEW, 36, take_rsdp},
    {TAG_EFI_MEMORY_MAP, 0, take_efi},
    {TAG_LOAD_BASE, 4, take_load_base},
};

static must_check enum err tag_take(const struct mb2_tag *tag, const uint8_t *body, struct boot_info *out) {
    uint32_t bytes = tag->size - (uint32_t)sizeof(*tag);

    for (unsigned i = 0; i < ARRAY_SIZE(tag_rows); i++) {
        const struct tag_row *row = &tag_rows[i];

        if (row->type != tag->type)
            continue;
        if (bytes < row->bytes_min) {
            log_line("multiboot2: tag of type %u has %u bytes, needs %u", tag->type, bytes, row->bytes_min);
            return ERR_MALFORMED;
        }
        return row->take(body, bytes, out);
    }
    return ERR_OK;
}

uint64_t mb2_total_size(const void *info) {
    uint32_t total_size;

    memcpy(&total_size, info, sizeof(total_size));
    return total_size;
}

static must_check enum err tags_walk(const uint8_t *info, uint64_t total, struct boot_info *out) {
    struct mb2_tag tag;

    for (uint64_t at = sizeof(struct mb2_info); at + sizeof(tag) <= total;
         at = align_up(at + tag.size, TAG_ALIGN)) {
        enum err e;

        memcpy(&tag, info + at, sizeof(tag));
        if (tag.size < sizeof(tag) || tag.size > total - at) {
            log_line("multiboot2: tag of type %u at offset %lu has size %u, %zu to %lu is possible", tag.type,
                     at, tag.size, sizeof(tag), total - at);
            return ERR_MALFORMED;
        }
        if (tag.type == TAG_END)
            return ERR_OK;
        e = tag_take(&tag, info + at + sizeof(tag), out);
        if (e != ERR_OK)
            return e;
    }
    log_line("multiboot2: no end tag within %lu bytes", total);
    return ERR_MALFORMED;
}

enum err mb2_parse(const void *info, uint64_t bytes, struct boot_info *out) {
    enum err e;

    memset(out, 0, sizeof(*out));
    if (bytes < sizeof(struct mb2_info) || mb2_total_size(info) > bytes) {
        log_line("multiboot2: information structure does not fit in the %lu bytes there", bytes);
        return ERR_MALFORMED;
    }
    e = tags_walk(info, mb2_total_size(info), out);
    if (e == ERR_OK && out->nr_memory == 0) {
        log_line("multiboot2: the loader passed no memory map");
        e = ERR_NOT_FOUND;
    }
    return e;
}
