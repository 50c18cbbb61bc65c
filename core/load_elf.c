/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels with a multiboot header (specifications 0.6.96 and 2.0) and ELFs with the note of Xen's "x86/HVM
 * direct boot ABI" (PVH): where their pieces go and where they start. The file is believed in nothing. */
#include "core/loader.h"

#define MB1_MAGIC       0x1BADB002u
#define MB1_SEARCH      8192u
#define MB1_KNOWN_FLAGS 0x7u /* of 0-15: align modules, memory, video mode */
#define MB1_ADDRESSES   BIT(16)

#define MB2_MAGIC       0xE85250D6u
#define MB2_SEARCH      32768u

enum { TAG_END = 0, TAG_ADDRESSES = 2, TAG_ENTRY = 3, TAG_LAST_KNOWN = 10 };

#define PT_LOAD    1u
#define PT_NOTE    4u
#define NOTE_XEN   0x6E6558u /* "Xen" */
#define NOTE_ENTRY 18u       /* XEN_ELFNOTE_PHYS32_ENTRY */

/* ---- ELF. Both classes have the same fields in the same order, but for the flags of a program header, which
 * ELF64 has before the rest. `word` is how wide addresses, offsets and sizes are, 4 or 8 bytes. */
struct elf {
    unsigned word;
    uint64_t entry, phoff, phentsize, phnum;
};

struct elf_phdr {
    uint64_t type, offset, vaddr, paddr, file_bytes, bytes;
};

bool load_elf_is(const struct loader *l, uint64_t *at) {
    (void)at;
    return loader_field(l, 0, 4) == 0x464C457F; /* 7FH E L F */
}

/* False: not all program headers are in the file. */
static bool elf_open(const struct loader *l, struct elf *elf) {
    unsigned word = loader_field(l, 4, 1) == 2 ? 8 : 4;

    *elf = (struct elf){word, loader_field(l, 24, word), loader_field(l, 24 + word, word),
                        loader_field(l, 30 + 3 * word, 2), loader_field(l, 32 + 3 * word, 2)};
    return elf->phentsize == (word == 8 ? 56 : 32) &&
           range_contains((struct range){0, l->request->kernel.bytes},
                          (struct range){elf->phoff, elf->phnum * elf->phentsize});
}

static struct elf_phdr elf_phdr(const struct loader *l, const struct elf *elf, unsigned i) {
    uint64_t at = elf->phoff + i * elf->phentsize, field[6] = {loader_field(l, at, 4)};

    for (unsigned k = 1; k < ARRAY_SIZE(field); k++)
        field[k] = loader_field(l, at + k * elf->word, elf->word);
    return (struct elf_phdr){field[0], field[1], field[2], field[3], field[4], field[5]};
}

/* e_entry is virtual by the ELF specification and physical in many kernels: believe whichever of the two lies
 * in a segment, virtual first. */
static enum err load_elf(struct loader *l, uint64_t *rip) {
    unsigned class = (unsigned)loader_field(l, 4, 1), machine = (unsigned)loader_field(l, 18, 2);
    enum err err = ERR_OK;
    struct elf elf;

    if (loader_field(l, 5, 1) != 1 || (class != 1 && class != 2) || machine != (class == 2 ? 62 : 3))
        return loader_refuse(
            l, ERR_UNSUPPORTED,
            "an ELF of class %u for machine %u; wanted: ELF64 for x86-64 (62), ELF32 for i386 (3)", class,
            machine);
    if (!elf_open(l, &elf))
        return loader_refuse(l, ERR_MALFORMED, "%lu program headers at 0x%lx; wanted: some, in the file",
                             elf.phnum, elf.phoff);
    *rip = elf.entry;
    for (unsigned i = 0; i < elf.phnum && err == ERR_OK; i++) {
        struct elf_phdr p = elf_phdr(l, &elf, i);

        if (p.type != PT_LOAD || p.bytes == 0)
            continue;
        err = loader_place(l, (struct loader_segment){p.offset, p.file_bytes, p.paddr, p.bytes});
        if (elf.entry - p.vaddr < p.bytes)
            *rip = p.paddr + (elf.entry - p.vaddr);
    }
    return err;
}

/* What all kernels of this file have in common once it is known what they say. */
static enum err load_told(struct loader *l, uint64_t rip, struct guest_start *out) {
    struct loader_want modules = {0, PAGE_SIZE, MIB(1), GIB(4), false};
    enum err err = loader_place_modules(l, &modules, PAGE_SIZE, 0);

    if (err == ERR_OK)
        err = loader_start(l, START_PROTECTED, 0x08, out);
    out->rip = rip;
    return err;
}

/* ---- PVH ---- */
/* Notes are a head of three words, a name and a description, both padded to words. */
static bool pvh_note(const struct loader *l, uint64_t at, uint64_t end, uint64_t *entry) {
    while (at + 12 <= end && end <= l->request->kernel.bytes) {
        uint64_t name = at + 12, description = name + align_up(loader_field(l, at, 4), 4);
        uint64_t bytes = loader_field(l, at + 4, 4);

        *entry = loader_field(l, description, 4);
        if (loader_field(l, at + 8, 4) == NOTE_ENTRY && loader_field(l, at, 4) == 4 &&
            loader_field(l, name, 4) == NOTE_XEN && bytes >= 4 && description + bytes <= end)
            return true;
        at = description + align_up(bytes, 4);
    }
    return false;
}

bool load_pvh_is(const struct loader *l, uint64_t *at) {
    struct elf elf;
    bool found = false;

    if (!load_elf_is(l, at) || !elf_open(l, &elf))
        return false;
    for (unsigned i = 0; i < elf.phnum && !found; i++) {
        struct elf_phdr p = elf_phdr(l, &elf, i);

        found = p.type == PT_NOTE && pvh_note(l, p.offset, p.offset + p.file_bytes, at);
    }
    return found;
}

enum err load_pvh(struct loader *l, uint64_t at, struct guest_start *out) {
    uint64_t unused;
    enum err err = load_elf(l, &unused);

    if (err == ERR_OK)
        err = load_told(l, at, out);
    if (err == ERR_OK)
        load_info_pvh(l, out);
    return err;
}

/* ---- Multiboot ---- */
/* A header begins with magic, two words, and a checksum that makes the sum zero; in version 1 the checksum is
 * the third word. */
static bool multiboot_find(const struct loader *l, uint32_t magic, unsigned words, uint64_t search,
                           uint64_t *at) {
    for (*at = 0; *at + words * 4 <= search; *at += words == 4 ? 8 : 4) {
        uint32_t sum = 0;

        for (unsigned i = 0; i < words; i++)
            sum += (uint32_t)loader_field(l, *at + i * 4, 4);
        if (sum == 0 && loader_field(l, *at, 4) == magic)
            return true;
    }
    return false;
}

bool load_multiboot1_is(const struct loader *l, uint64_t *at) {
    return multiboot_find(l, MB1_MAGIC, 3, MB1_SEARCH, at);
}

bool load_multiboot2_is(const struct loader *l, uint64_t *at) {
    return multiboot_find(l, MB2_MAGIC, 4, MB2_SEARCH, at);
}

/* By the four words at `fields` instead of an ELF's headers, or where there are none: where the header, which
 * is at `header` in the file, lies in memory; where loading begins (all ones: with the file), where it ends
 * (0: with the file) and where the zeros after that end (0: there are none). */
static enum err load_addressed(struct loader *l, uint64_t header, uint64_t fields) {
    uint64_t header_addr = loader_field(l, fields, 4), load_addr = loader_field(l, fields + 4, 4);
    uint64_t load_end = loader_field(l, fields + 8, 4), bss_end = loader_field(l, fields + 12, 4);
    struct loader_segment s = {.at = load_addr != UINT32_MAX ? load_addr : header_addr - header};

    s.offset = header - (header_addr - s.at);
    s.file_bytes = load_end != 0 ? load_end - s.at : l->request->kernel.bytes - s.offset;
    s.bytes = bss_end != 0 ? bss_end - s.at : s.file_bytes;
    return loader_place(l, s);
}

/* `fields`: where the address fields are, 0 = none. `entry`: the start address they come with, 0 = none. */
static enum err load_multiboot(struct loader *l, uint64_t header, uint64_t fields, uint64_t entry,
                               struct guest_start *out) {
    uint64_t rip = 0, unused;
    enum err err;

    if (fields != 0)
        err = load_addressed(l, header, fields);
    else if (load_elf_is(l, &unused))
        err = load_elf(l, &rip);
    else
        err = loader_refuse(l, ERR_UNSUPPORTED, "a multiboot header without addresses in what is no ELF");
    return err == ERR_OK ? load_told(l, entry != 0 ? entry : rip, out) : err;
}

enum err load_multiboot1(struct loader *l, uint64_t at, struct guest_start *out) {
    uint64_t flags = loader_field(l, at + 4, 4), fields = (flags & MB1_ADDRESSES) != 0 ? at + 12 : 0;

    if ((flags & 0xFFFF & ~MB1_KNOWN_FLAGS) != 0)
        return loader_refuse(l, ERR_UNSUPPORTED,
                             "multiboot header flags 0x%lx; wanted: of flags 0-15 only 0-2", flags);
    enum err err = load_multiboot(l, at, fields, fields != 0 ? loader_field(l, at + 28, 4) : 0, out);

    if (err == ERR_OK)
        load_info_multiboot1(l, out);
    return err;
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
        if (type == TAG_END || size < 8 || size > end - at)
            break;
        if (type == TAG_ADDRESSES)
            fields = at + 8;
        if (type == TAG_ENTRY)
            entry = loader_field(l, at + 8, 4);
        if (type > TAG_LAST_KNOWN && (loader_field(l, at + 2, 2) & 1) == 0)
            return loader_refuse(l, ERR_UNSUPPORTED, "multiboot2 header wants an unknown tag, %u", type);
    }
    if (type != TAG_END)
        return loader_refuse(l, ERR_MALFORMED, "multiboot2 header without a valid end tag");
    enum err err = load_multiboot(l, header, fields, entry, out);

    if (err == ERR_OK)
        load_info_multiboot2(l, out);
    return err;
}
