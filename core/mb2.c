/* SPDX-License-Identifier: Apache-2.0 */
/* Multiboot2 boot information -> struct boot_info. Reads only the bytes it is given and believes no
 * length, count or string end in them; tags it does not know are skipped. */
#include "core/mb2.h"

#include "core/log.h"
#include "core/str.h"
#include "core/text.h"

enum { TAG_END = 0, TAG_MODULE = 3, TAG_MEMORY_MAP = 6, TAG_ACPI_OLD = 14, TAG_ACPI_NEW = 15 };

#define TAG_ALIGN      8
#define RSDP_OLD_BYTES 20

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

/* "/boot/vmlinuz  quiet ro" -> name "vmlinuz", args "quiet ro" */
static must_check bool module_name(struct module *m, struct text args) {
    struct text path, name;
    bool more;

    args = text_trim(args);
    path = text_cut(&args, ' ', &more);
    do
        name = text_cut(&path, '/', &more);
    while (more);
    if (!str_copy(m->name, MAX_NAME, name.at, name.length) ||
        !str_copy(m->args, MAX_CMDLINE, args.at, args.length)) {
        log_line("multiboot2: module '%s': a name has at most %u characters, its arguments %u", m->name,
                 MAX_NAME - 1, MAX_CMDLINE - 1);
        return false;
    }
    return true;
}

static must_check bool take_module(const uint8_t *body, uint32_t bytes, struct boot_info *out) {
    struct module *m = &out->modules[out->nr_modules];
    struct text args = {(const char *)body + sizeof(struct mb2_module), 0};
    struct mb2_module tag;

    if (out->nr_modules == MAX_MODULES) {
        log_line("multiboot2: more than %u modules", MAX_MODULES);
        return false;
    }
    memcpy(&tag, body, sizeof(tag));
    while (args.length < bytes - sizeof(tag) && args.at[args.length] != '\0')
        args.length++;
    if (tag.end < tag.start || !module_name(m, args))
        return false;
    if (m->name[0] == '\0') { /* GRUB does not pass the file's own name */
        log_line("multiboot2: module %u has no name; in grub.cfg: module2 FILE NAME ARGUMENTS",
                 out->nr_modules);
    } else if (boot_info_module(out, m->name) != NULL) {
        log_line("multiboot2: two modules are named '%s'; names must differ", m->name);
        return false;
    }
    m->at = hpa(tag.start);
    m->bytes = tag.end - tag.start;
    out->nr_modules++;
    return true;
}

static must_check bool memory_add(const struct mb2_memory_entry *entry, struct boot_info *out) {
    struct memory_range m = {{entry->base, entry->size}, MEMORY_RESERVED};

    if (entry->kind >= MEMORY_RAM && entry->kind <= MEMORY_BAD)
        m.kind = (enum memory_kind)entry->kind;
    if (m.range.size == 0)
        return true;
    if (!range_valid(m.range) || out->nr_memory == MAX_MEMORY_RANGES) {
        log_line("multiboot2: memory at 0x%lx with 0x%lx bytes wraps round, or is more than entry %u",
                 m.range.base, m.range.size, MAX_MEMORY_RANGES);
        return false;
    }
    out->memory[out->nr_memory++] = m;
    return true;
}

static must_check bool take_memory_map(const uint8_t *body, uint32_t bytes, struct boot_info *out) {
    struct mb2_memory_map tag;
    struct mb2_memory_entry entry;

    memcpy(&tag, body, sizeof(tag));
    if (tag.entry_size < sizeof(entry) || (bytes - sizeof(tag)) % tag.entry_size != 0)
        return false;
    for (uint32_t at = sizeof(tag); at < bytes; at += tag.entry_size) {
        memcpy(&entry, body + at, sizeof(entry));
        if (!memory_add(&entry, out))
            return false;
    }
    return true;
}

/* The body is a copy of the RSDP. A loader may pass both kinds, in any order: the longer wins. */
static must_check bool take_rsdp(const uint8_t *body, uint32_t bytes, unsigned needed,
                                 struct boot_info *out) {
    if (bytes < needed)
        return false;
    if (needed > out->rsdp_bytes) {
        memcpy(out->rsdp, body, needed);
        out->rsdp_bytes = needed;
    }
    return true;
}

static must_check bool tag_take(uint32_t type, const uint8_t *body, uint32_t bytes, struct boot_info *out) {
    switch (type) {
    case TAG_MODULE:
        return bytes >= sizeof(struct mb2_module) && take_module(body, bytes, out);
    case TAG_MEMORY_MAP:
        return bytes >= sizeof(struct mb2_memory_map) && take_memory_map(body, bytes, out);
    case TAG_ACPI_OLD:
        return take_rsdp(body, bytes, RSDP_OLD_BYTES, out);
    case TAG_ACPI_NEW:
        return take_rsdp(body, bytes, sizeof(out->rsdp), out);
    default:
        return true;
    }
}

uint64_t mb2_total_size(const void *info) {
    uint32_t total_size;

    memcpy(&total_size, info, sizeof(total_size));
    return total_size;
}

enum err mb2_parse(const void *info, uint64_t bytes, struct boot_info *out) {
    const uint8_t *start = info;
    struct mb2_tag tag = {.type = ~0u};

    memset(out, 0, sizeof(*out));
    if (bytes >= sizeof(struct mb2_info) && mb2_total_size(info) < bytes)
        bytes = mb2_total_size(info);
    for (uint64_t at = sizeof(struct mb2_info); tag.type != TAG_END;
         at = align_up(at + tag.size, TAG_ALIGN)) {
        if (at > bytes || bytes - at < sizeof(tag)) {
            log_line("multiboot2: no end tag within %lu bytes", bytes);
            return ERR_MALFORMED;
        }
        memcpy(&tag, start + at, sizeof(tag));
        if (tag.size < sizeof(tag) || tag.size > bytes - at ||
            !tag_take(tag.type, start + at + sizeof(tag), tag.size - (uint32_t)sizeof(tag), out)) {
            log_line("multiboot2: tag of type %u with %u bytes at offset %lu cannot be used", tag.type,
                     tag.size, at);
            return ERR_MALFORMED;
        }
    }
    if (out->nr_memory == 0) {
        log_line("multiboot2: the loader passed no memory map");
        return ERR_MALFORMED;
    }
    return ERR_OK;
}
