/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels with a multiboot header (specifications 0.6.96 and 2.0) and ELFs with the note of Xen's "x86/HVM
 * direct boot ABI" (PVH): where their pieces go and where they start, and what they are told: memory, command
 * line, modules and ACPI tables. The file is believed in nothing. */
#include "core/acpi_gen.h"
#include "core/loader.h"

#define MB1_MAGIC       0x1BADB002u
#define MB1_KNOWN_FLAGS 0x7u /* of 0-15: align modules, memory, video mode */
#define MB1_ADDRESSES   BIT(16)
#define MB2_MAGIC       0xE85250D6u
enum { HEADER_END = 0, HEADER_ADDRESSES = 2, HEADER_ENTRY = 3, HEADER_LAST_KNOWN = 10 };

#define PT_LOAD    1u
#define PT_NOTE    4u
#define NOTE_ENTRY 18u /* XEN_ELFNOTE_PHYS32_ENTRY */

/* ---- ELF ---- */
bool load_elf_is(const struct loader *l, uint64_t *at) {
    (void)at;
    return loader_field(l, 0, 4) == 0x464C457F; /* 7FH E L F */
}

/* Both classes have the same fields in the same order, but for the flags of a program header, which ELF64 has
 * before the rest: addresses, offsets and sizes are 8 bytes wide, in ELF32 4. */
static unsigned elf_word(const struct loader *l) {
    return loader_field(l, 4, 1) == 2 ? 8 : 4;
}

enum { OFFSET = 1, VADDR, PADDR, FILESZ, MEMSZ, FIELDS }; /* [0]: the type */

/* The fields of the next program header of `type`, from number *i on. What is not in the file is of none. */
static bool elf_next(const struct loader *l, uint64_t type, unsigned *i, uint64_t field[FIELDS]) {
    unsigned word = elf_word(l), bytes = word == 8 ? 56 : 32;
    uint64_t phoff = loader_field(l, 24 + word, word), count = loader_field(l, 32 + 3 * word, 2);
    while (*i < count && loader_field(l, 30 + 3 * word, 2) == bytes) {
        uint64_t at = phoff + (*i)++ * bytes;
        for (unsigned k = 1; k < FIELDS; k++)
            field[k] = loader_field(l, at + k * word, word);
        if (loader_field(l, at, 4) == type)
            return true;
    }
    return false;
}

/* e_entry is virtual by the ELF specification and physical in many kernels: believe whichever of the two lies
 * in a segment, virtual first. */
static enum err load_elf(struct loader *l, uint64_t *rip) {
    uint64_t class = loader_field(l, 4, 1), machine = loader_field(l, 18, 2), segment[FIELDS];
    uint64_t entry = loader_field(l, 24, elf_word(l));
    enum err e = ERR_OK;
    if (loader_field(l, 5, 1) != 1 || (class != 1 && class != 2) || machine != (class == 2 ? 62 : 3))
        return loader_refuse(
            l, ERR_UNSUPPORTED,
            "an ELF of class %lu for machine %lu; wanted: ELF64 for x86-64 (62), ELF32 for i386 (3)", class,
            machine);
    *rip = entry;
    for (unsigned i = 0; e == ERR_OK && elf_next(l, PT_LOAD, &i, segment);) {
        if (segment[MEMSZ] != 0)
            e = loader_place(l, segment[OFFSET], segment[FILESZ], segment[PADDR], segment[MEMSZ]);
        if (entry - segment[VADDR] < segment[MEMSZ])
            *rip = segment[PADDR] + (entry - segment[VADDR]);
    }
    return e;
}

/* ---- PVH ---- */
/* Notes are a head of three words, a name and a description, both padded to words. */
bool load_pvh_is(const struct loader *l, uint64_t *at) {
    uint64_t notes[FIELDS];
    for (unsigned i = 0; load_elf_is(l, at) && elf_next(l, PT_NOTE, &i, notes);) {
        uint64_t end = notes[OFFSET] + notes[FILESZ], bytes;
        for (uint64_t note = notes[OFFSET]; note + 12 <= end && end <= l->request->kernel.bytes;
             note += bytes) {
            uint64_t name = loader_field(l, note, 4), description = note + 12 + align_up(name, 4);
            bytes = description + align_up(loader_field(l, note + 4, 4), 4) - note;
            *at = loader_field(l, description, 4);
            if (loader_field(l, note + 8, 4) == NOTE_ENTRY && name == 4 &&
                loader_field(l, note + 12, 4) == 0x006E6558 /* "Xen" */ && bytes >= 20 && note + bytes <= end)
                return true;
        }
    }
    return false;
}

enum err load_pvh(struct loader *l, uint64_t at, struct guest_start *out) {
    enum err e = load_elf(l, &out->rip);
    out->rip = at;
    return e;
}

/* ---- Multiboot ---- */
/* A header begins with magic, two words, and a checksum that makes the sum zero; in version 1 the checksum is
 * the third word. */
static bool multiboot_find(const struct loader *l, uint32_t magic, unsigned words, uint64_t search,
                           uint64_t *at) {
    for (*at = 0; *at + words * 4 <= search; *at += words == 4 ? 8 : 4) {
        uint32_t sum = 0;
        if (loader_field(l, *at, 4) != magic)
            continue;
        for (unsigned i = 0; i < words; i++)
            sum += (uint32_t)loader_field(l, *at + i * 4, 4);
        if (sum == 0)
            return true;
    }
    return false;
}

bool load_multiboot1_is(const struct loader *l, uint64_t *at) {
    return multiboot_find(l, MB1_MAGIC, 3, KIB(8), at);
}

bool load_multiboot2_is(const struct loader *l, uint64_t *at) {
    return multiboot_find(l, MB2_MAGIC, 4, KIB(32), at);
}

/* By the four words at `fields`, which count instead of an ELF's headers; 0 = there are none. They say where
 * the header, which is at `header` in the file, lies in memory; where loading begins (all ones: with the
 * file), where it ends (0: with the file), and where the zeros after that end (0: there are none). */
static enum err load_multiboot(struct loader *l, uint64_t header, uint64_t fields, struct guest_start *out) {
    uint64_t header_at = loader_field(l, fields, 4), at = loader_field(l, fields + 4, 4);
    uint64_t load_end = loader_field(l, fields + 8, 4), bss_end = loader_field(l, fields + 12, 4), unused;
    if (fields == 0 && load_elf_is(l, &unused))
        return load_elf(l, &out->rip);
    if (fields == 0)
        return loader_refuse(l, ERR_UNSUPPORTED, "a multiboot header without addresses in what is no ELF");
    if (at == UINT32_MAX)
        at = header_at - header;
    uint64_t offset = header - (header_at - at);
    uint64_t bytes = load_end != 0 ? load_end - at : l->request->kernel.bytes - offset;
    return loader_place(l, offset, bytes, at, bss_end != 0 ? bss_end - at : bytes);
}

enum err load_multiboot1(struct loader *l, uint64_t at, struct guest_start *out) {
    uint64_t flags = loader_field(l, at + 4, 4);
    if ((flags & 0xFFFF & ~MB1_KNOWN_FLAGS) != 0)
        return loader_refuse(l, ERR_UNSUPPORTED,
                             "multiboot header flags 0x%lx; wanted: of flags 0-15 only 0-2", flags);
    if ((flags & MB1_ADDRESSES) == 0)
        return load_multiboot(l, at, 0, out);
    out->rip = loader_field(l, at + 28, 4);
    return load_multiboot(l, at, at + 12, out);
}

/* Requests for information are met as far as we have it: a kernel that lacks a tag can say so better than we
 * can. That a kernel could be moved is of no use: it gets the place that it asks for. */
enum err load_multiboot2(struct loader *l, uint64_t at, struct guest_start *out) {
    uint64_t header = at, fields = 0, entry = 0, end = at + loader_field(l, at + 8, 4), size;
    uint32_t type = UINT32_MAX;
    if (loader_field(l, at + 4, 4) != 0)
        return loader_refuse(l, ERR_UNSUPPORTED, "multiboot2 header for architecture 0x%lx; wanted: 0, i386",
                             loader_field(l, at + 4, 4));
    for (at += 16; end <= l->request->kernel.bytes && at + 8 <= end; at += align_up(size, 8)) {
        type = (uint32_t)loader_field(l, at, 2);
        size = loader_field(l, at + 4, 4);
        if (type == HEADER_END || size < 8 || size > end - at)
            break;
        if (type == HEADER_ADDRESSES)
            fields = at + 8;
        if (type == HEADER_ENTRY)
            entry = loader_field(l, at + 8, 4);
        if (type > HEADER_LAST_KNOWN && (loader_field(l, at + 2, 2) & 1) == 0)
            return loader_refuse(l, ERR_UNSUPPORTED, "multiboot2 header wants an unknown tag, %u", type);
    }
    if (type != HEADER_END)
        return loader_refuse(l, ERR_MALFORMED, "multiboot2 header without a valid end tag");
    enum err e = load_multiboot(l, header, fields, out);
    if (entry != 0)
        out->rip = entry;
    return e;
}

/* ---- What they are told ---- */
#define LOADER_NAME "Mullion"
#define MMAP_ENTRY  24u /* in all three maps */

struct mb1_info {
    uint32_t flags, memory[2], boot_device, cmdline, mods_count, mods_addr, syms[4], mmap_length, mmap_addr;
    uint32_t drives[2], config_table, loader_name, rest[12]; /* APM, VBE, framebuffer */
};
_Static_assert(sizeof(struct mb1_info) == 116, "multiboot information");

struct mb1_module {
    uint32_t start, end, text, reserved;
};

enum { TAG_END = 0, TAG_CMDLINE = 1, TAG_LOADER = 2, TAG_MODULE = 3, TAG_MEMORY = 4, TAG_MMAP = 6 };
enum { TAG_ACPI_OLD = 14, TAG_ACPI_NEW = 15 };

struct pvh_info { /* struct hvm_start_info, version 1 */
    uint32_t magic, version, flags, nr_modules;
    uint64_t modules, cmdline, rsdp, mmap;
    uint32_t nr_mmap, reserved;
};
_Static_assert(sizeof(struct pvh_info) == 56, "hvm_start_info");

struct pvh_module {
    uint64_t at, bytes, text, reserved;
};

/* The longest of everything fits. */
_Static_assert(KIB(4) + LOADER_MAX_RUNS * MMAP_ENTRY + MAX_CMDLINE +
                       LOAD_MAX_MODULES * (sizeof(struct pvh_module) + MAX_NAME + MAX_CMDLINE) <=
                   LOADER_LOW_BYTES,
               "the low block");

/* KiB from 0, as in every partition, and from 1 MiB. */
static void info_memory(const struct loader *l, uint32_t kib[2]) {
    kib[0] = 640;
    kib[1] = 0;
    for (unsigned i = 0; i < l->nr_runs; i++)
        if (l->runs[i].type == MEMORY_RAM && l->runs[i].range.base == MIB(1))
            kib[1] = (uint32_t)(l->runs[i].range.size >> 10);
}

/* The memory map; where. Multiboot 1 has the size of an entry before each, the others a reserved word behind.
 */
static uint64_t info_mmap(struct loader *l, uint32_t size_before) {
    uint64_t at;
    uint8_t *entry = loader_put(l, l->nr_runs * MMAP_ENTRY, 8, &at);
    for (unsigned i = 0; i < l->nr_runs; i++, entry += MMAP_ENTRY) {
        memcpy(entry, &size_before, sizeof(size_before));
        memcpy(entry + (size_before != 0 ? sizeof(size_before) : 0), &l->runs[i], sizeof(l->runs[i]));
    }
    return at;
}

void load_multiboot1_tell(struct loader *l, struct guest_start *out) {
    const struct load_request *request = l->request;
    struct mb1_info *info = loader_put(l, sizeof(*info), 8, &out->rbx);
    uint64_t modules_at, at = l->modules_at;
    struct mb1_module *modules = loader_put(l, request->nr_modules * sizeof(*modules), 8, &modules_at);
    out->rax = 0x2BADB002;
    info->flags = BIT(0) | BIT(2) | BIT(3) | BIT(6) | BIT(9); /* memory, cmdline, modules, mmap, loader */
    info_memory(l, info->memory);
    info->cmdline = loader_put_text(l, request->config->cmdline, "");
    info->loader_name = loader_put_text(l, LOADER_NAME, "");
    info->mods_count = request->nr_modules;
    info->mods_addr = (uint32_t)modules_at;
    for (const struct load_image *m = request->modules; m < request->modules + request->nr_modules; m++) {
        *modules++ = (struct mb1_module){(uint32_t)at, (uint32_t)(at + m->bytes),
                                         loader_put_text(l, m->name, m->args), 0};
        at = align_up(at + m->bytes, PAGE_SIZE);
    }
    info->mmap_length = l->nr_runs * MMAP_ENTRY;
    info->mmap_addr = (uint32_t)info_mmap(l, sizeof(struct loader_run));
}

/* Append a tag: `bytes` at `head`, and then the memory map or, unless NULL, the text "first rest". */
static void info_tag(struct loader *l, uint32_t *info, uint32_t type, const void *head, size_t bytes,
                     const char *first, const char *rest) {
    uint64_t at;
    uint32_t *tag = loader_put(l, 8 + bytes, 8, &at);
    memcpy(tag + 2, head, bytes);
    if (type == TAG_MMAP)
        info_mmap(l, 0);
    if (first != NULL)
        loader_put_text(l, first, rest);
    tag[0] = type;
    tag[1] = (uint32_t)(l->low_at + l->low_used - at);
    info[0] = (uint32_t)(l->low + l->low_used - (uint8_t *)info); /* the size of it all comes first */
}

void load_multiboot2_tell(struct loader *l, struct guest_start *out) {
    const struct load_request *request = l->request;
    uint32_t *info = loader_put(l, 8, 8, &out->rbx), words[2];
    uint64_t at = l->modules_at;
    uint8_t rsdp[36];
    out->rax = 0x36D76289;
    info_tag(l, info, TAG_CMDLINE, "", 0, request->config->cmdline, "");
    info_tag(l, info, TAG_LOADER, "", 0, LOADER_NAME, "");
    info_memory(l, words);
    info_tag(l, info, TAG_MEMORY, words, sizeof(words), NULL, "");
    info_tag(l, info, TAG_MMAP, (uint32_t[]){MMAP_ENTRY, 0 /* version */}, 8, NULL, "");
    for (const struct load_image *m = request->modules; m < request->modules + request->nr_modules; m++) {
        info_tag(l, info, TAG_MODULE, (uint32_t[]){(uint32_t)at, (uint32_t)(at + m->bytes)}, 8, m->name,
                 m->args);
        at = align_up(at + m->bytes, PAGE_SIZE);
    }
    if (guest_map_read(request->map, rsdp, gpa(ACPI_RSDP), sizeof(rsdp)) == ERR_OK) {
        info_tag(l, info, TAG_ACPI_OLD, rsdp, 20, NULL, ""); /* as much of it as ACPI 1.0 has */
        info_tag(l, info, TAG_ACPI_NEW, rsdp, sizeof(rsdp), NULL, "");
    }
    info_tag(l, info, TAG_END, "", 0, NULL, "");
}

void load_pvh_tell(struct loader *l, struct guest_start *out) {
    const struct load_request *request = l->request;
    struct pvh_info *info = loader_put(l, sizeof(*info), 8, &out->rbx);
    struct pvh_module *modules = loader_put(l, request->nr_modules * sizeof(*modules), 8, &info->modules);
    uint64_t at = l->modules_at;
    info->magic = 0x336EC578;
    info->version = 1;
    info->nr_modules = request->nr_modules;
    info->cmdline = loader_put_text(l, request->config->cmdline, "");
    info->rsdp = ACPI_RSDP;
    for (const struct load_image *m = request->modules; m < request->modules + request->nr_modules; m++) {
        *modules++ = (struct pvh_module){at, m->bytes, loader_put_text(l, m->name, m->args), 0};
        at = align_up(at + m->bytes, PAGE_SIZE);
    }
    info->nr_mmap = l->nr_runs;
    info->mmap = info_mmap(l, 0);
}
