/* SPDX-License-Identifier: Apache-2.0 */
/* Multiboot2 boot information -> struct boot_info. Believes no length, count or string end in it; tags it
 * does not know are skipped. */
#include "core/boot_info.h"

#include "core/bytes.h"
#include "core/host.h"
#include "core/log.h"
#include "core/str.h"

enum {
    TAG_END = 0,
    TAG_MODULE = 3,
    TAG_MEMORY_MAP = 6,
    TAG_SCREEN = 8,
    TAG_ACPI_OLD = 14,
    TAG_ACPI_NEW = 15
};

#define TAG_ALIGN      8
#define RSDP_OLD_BYTES 20

/* Offsets in the structure and in its tags. Fields have 4 bytes, or as many as the end of the name says. */
enum { INFO_TOTAL_SIZE = 0, INFO_TAGS = 8 };
enum { TAG_TYPE = 0, TAG_SIZE = 4, TAG_BODY = 8 }; /* size: without the padding to the next tag */
enum { MODULE_START = 8, MODULE_END = 12, MODULE_TEXT = 16 };
enum { MAP_ENTRY_SIZE = 8, MAP_ENTRIES = 16 }; /* entries may grow in later versions */
enum { SCREEN_ADDRESS_8 = 8, SCREEN_PITCH = 16, SCREEN_WIDTH = 20, SCREEN_HEIGHT = 24, SCREEN_BITS_1 = 28 };
enum { SCREEN_KIND_1 = 29 };
enum { ENTRY_BASE_8 = 0, ENTRY_SIZE_8 = 8, ENTRY_KIND = 16, ENTRY_BYTES = 24 };

/* "/boot/vmlinuz  quiet ro" -> name "vmlinuz", args "quiet ro" */
static bool module_name(struct module *m, struct text args) {
    bool more;
    args = text_trim(args);
    struct text path = text_cut(&args, ' ', &more), name;
    do
        name = text_cut(&path, '/', &more);
    while (more);
    if (str_copy(m->name, MAX_NAME, name.at, name.length) &&
        str_copy(m->args, MAX_CMDLINE, args.at, args.length))
        return true;
    log_line("multiboot2: module '%s': a name has at most %u characters, its arguments %u", m->name,
             MAX_NAME - 1, MAX_CMDLINE - 1);
    return false;
}

/* From that offset to a NUL or the tag's end. */
static struct text tag_text(struct bytes tag, uint64_t offset) {
    struct text text = {(const char *)tag.at + offset, 0};
    while (bytes_u8(tag, offset + text.length) != '\0')
        text.length++;
    return text;
}

static bool take_module(struct bytes tag, struct boot_info *out) {
    struct module *m = &out->modules[out->nr_modules];
    uint32_t start = bytes_u32(tag, MODULE_START), end = bytes_u32(tag, MODULE_END);
    if (out->nr_modules == MAX_MODULES) {
        log_line("multiboot2: more than %u modules", MAX_MODULES);
        return false;
    }
    if (end < start || !module_name(m, tag_text(tag, MODULE_TEXT)))
        return false;
    if (m->name[0] == '\0') { /* GRUB does not pass the file's own name */
        log_line("multiboot2: module %u has no name; in grub.cfg: module2 FILE NAME ARGUMENTS",
                 out->nr_modules);
    } else if (boot_info_module(out, m->name) != NULL) {
        log_line("multiboot2: two modules are named '%s'; names must differ", m->name);
        return false;
    }
    m->at = hpa(start);
    m->bytes = end - start;
    out->nr_modules++;
    return true;
}

static bool take_memory_map(struct bytes tag, struct boot_info *out) {
    uint32_t entry_size = bytes_u32(tag, MAP_ENTRY_SIZE);
    if (entry_size < ENTRY_BYTES || (tag.length - MAP_ENTRIES) % entry_size != 0)
        return false;
    for (uint64_t at = MAP_ENTRIES; at < tag.length; at += entry_size) {
        struct range r = {bytes_field(tag, at + ENTRY_BASE_8, 8), bytes_field(tag, at + ENTRY_SIZE_8, 8)};
        uint32_t kind = bytes_u32(tag, at + ENTRY_KIND);
        bool known = kind >= MEMORY_RAM && kind <= MEMORY_BAD;
        if (r.size == 0)
            continue;
        if (!range_valid(r) || out->nr_memory == MAX_MEMORY_RANGES) {
            log_line("multiboot2: memory at 0x%lx with 0x%lx bytes wraps round, or is more than entry %u",
                     r.base, r.size, MAX_MEMORY_RANGES);
            return false;
        }
        out->memory[out->nr_memory++] = (struct memory_range){r, known ? kind : MEMORY_RESERVED};
    }
    return true;
}

/* Fields behind a short tag's end are 0, and then it is none that can be used. */
static void take_screen(struct bytes tag, struct framebuffer *out) {
    *out = (struct framebuffer){hpa(bytes_field(tag, SCREEN_ADDRESS_8, 8)),
                                bytes_u32(tag, SCREEN_PITCH),
                                bytes_u32(tag, SCREEN_WIDTH),
                                bytes_u32(tag, SCREEN_HEIGHT),
                                bytes_u8(tag, SCREEN_BITS_1),
                                bytes_u8(tag, SCREEN_KIND_1)};
}

/* The body is a copy of the RSDP. A loader may pass both kinds, in any order: the longer wins. */
static bool take_rsdp(struct bytes tag, unsigned needed, struct boot_info *out) {
    if (tag.length < TAG_BODY + needed)
        return false;
    if (needed > out->rsdp_bytes) {
        memcpy(out->rsdp, tag.at + TAG_BODY, needed);
        out->rsdp_bytes = needed;
    }
    return true;
}

static bool tag_take(uint32_t type, struct bytes tag, struct boot_info *out) {
    switch (type) {
    case TAG_MODULE:
        return tag.length >= MODULE_TEXT && take_module(tag, out);
    case TAG_MEMORY_MAP:
        return tag.length >= MAP_ENTRIES && take_memory_map(tag, out);
    case TAG_SCREEN:
        take_screen(tag, &out->screen);
        return tag.length >= TAG_BODY;
    case TAG_ACPI_OLD:
        return take_rsdp(tag, RSDP_OLD_BYTES, out);
    case TAG_ACPI_NEW:
        return take_rsdp(tag, sizeof(out->rsdp), out);
    default:
        return tag.length >= TAG_BODY;
    }
}

enum err mb2_parse(hpa_t info, struct boot_info *out) {
    struct bytes all = {host_phys(info, INFO_TAGS), INFO_TAGS};
    uint32_t type = ~0u;
    memset(out, 0, sizeof(*out));
    if (all.at != NULL) {
        all.length = bytes_u32(all, INFO_TOTAL_SIZE);
        all.at = host_phys(info, all.length);
    }
    if (all.at == NULL) {
        log_line("multiboot2: no information of %lu bytes at 0x%lx", all.length, info.v);
        return ERR_MALFORMED;
    }
    for (uint64_t at = INFO_TAGS, size; type != TAG_END; at = align_up(at + size, TAG_ALIGN)) {
        if (at > all.length || all.length - at < TAG_BODY) {
            log_line("multiboot2: no end tag within %lu bytes", all.length);
            return ERR_MALFORMED;
        }
        type = bytes_u32(all, at + TAG_TYPE);
        size = bytes_u32(all, at + TAG_SIZE);
        if (size > all.length - at || !tag_take(type, (struct bytes){all.at + at, size}, out)) {
            log_line("multiboot2: tag of type %u with %lu bytes at offset %lu cannot be used", type, size,
                     at);
            return ERR_MALFORMED;
        }
    }
    if (out->nr_memory == 0)
        log_line("multiboot2: the loader passed no memory map");
    return out->nr_memory == 0 ? ERR_MALFORMED : ERR_OK;
}

void boot_info_clip(struct boot_info *info, uint64_t end) {
    for (struct memory_range *m = info->memory; m < info->memory + info->nr_memory; m++) {
        struct range kept = range_clip(m->range, 0, end);
        if (m->kind == MEMORY_RAM && kept.size != m->range.size)
            log_line("memory: of 0x%lx bytes at 0x%lx all from 0x%lx on is out of reach", m->range.size,
                     m->range.base, end);
        m->range = kept;
    }
}
