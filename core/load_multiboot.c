/* SPDX-License-Identifier: Apache-2.0 */
/* An ELF with a multiboot header (specifications 0.6.96 and 2.0), and what such a kernel is told. The file is
 * believed in nothing. */
#include "core/loader.h"

#define MB1_MAGIC  0x1BADB002u
#define MB1_SEARCH 8192u
#define MB1_EAX    0x2BADB002u
#define MB1_KNOWN_FLAGS                                                                                      \
    0x7u /* of 0-15: align modules, memory, video mode; 16 is for files that are no ELF                      \
          */
#define MB1_HAS          (BIT(0) | BIT(2) | BIT(3) | BIT(6)) /* memory, cmdline, modules, mmap */

#define MB2_MAGIC        0xE85250D6u
#define MB2_SEARCH       32768u
#define MB2_EAX          0x36D76289u
#define MB2_HEADER_ENTRY 3u
#define MB2_HEADER_LAST  10u /* the last kind of tag the specification knows */

#define MB2_MMAP_ENTRY   24u /* a loader_run and a reserved word */

#define MODULE_TEXT_MAX  (MAX_NAME + MAX_CMDLINE) /* name, space, arguments, NUL */

enum { TAG_END = 0, TAG_CMDLINE = 1, TAG_MODULE = 3, TAG_MEMORY = 4, TAG_MMAP = 6, TAG_ACPI_NEW = 15 };

/* Everything of version 1. The first line is the information structure proper, 116 bytes. */
struct mb1_block {
    uint32_t flags, memory[2], boot_device, cmdline, mods_count, mods_addr, syms[4], mmap_length, mmap_addr;
    uint32_t rest[16]; /* drives, APM, VBE, framebuffer */
    struct {
        uint32_t start, end, text, reserved;
    } module;
    struct {
        uint32_t size; /* of the rest */
        struct loader_run run;
    } mmap[MAX_GUEST_REGIONS];
    char cmdline_text[MAX_CMDLINE];
    char module_text[MODULE_TEXT_MAX];
};
_Static_assert(offsetof(struct mb1_block, module) == 116, "multiboot information");
_Static_assert(sizeof(((struct mb1_block *)0)->mmap[0]) == 24, "multiboot memory map entry");
_Static_assert(sizeof(struct mb1_block) <= LOADER_INFO_MAX, "version 1 fits");

/* Version 2 is a list of tags, filled from the front: heads and padding of 6, then their contents. */
#define MB2_CONTENTS (MAX_CMDLINE + 8 + 8 + MAX_GUEST_REGIONS * MB2_MMAP_ENTRY + 8 + MODULE_TEXT_MAX + 36)
_Static_assert(8 + 6 * 16 + MB2_CONTENTS <= LOADER_INFO_MAX, "version 2 fits");

/* A header begins with magic, two words, and a checksum that makes the sum zero; in version 1 the checksum is
 * the third word. */
static bool load_multiboot_find(const struct loader *l, uint32_t magic, unsigned words, uint64_t search,
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

/* The tags of a version 2 header. Requests for information are met as far as we have it: a kernel that lacks
 * a tag can say so better than we can. Sets *rip if there is an entry address. */
static enum err load_multiboot_tags(const struct loader *l, uint64_t at, uint64_t *rip) {
    uint64_t end = at + loader_field(l, at + 8, 4), size;

    for (at += 16; end <= l->request->kernel.bytes && at + 8 <= end; at += align_up(size, 8)) {
        uint32_t type = (uint32_t)loader_field(l, at, 2);
        bool optional = (loader_field(l, at + 2, 2) & 1) != 0;

        size = loader_field(l, at + 4, 4);
        if (type == TAG_END)
            return ERR_OK;
        if (size < 8 || size > end - at)
            break;
        if (type == MB2_HEADER_ENTRY)
            *rip = loader_field(l, at + 8, 4);
        if (type > MB2_HEADER_LAST && !optional)
            return loader_refuse(l, ERR_UNSUPPORTED, "multiboot2 header wants an unknown tag, %u", type);
    }
    return loader_refuse(l, ERR_MALFORMED, "multiboot2 header without a valid end tag");
}

/* Which version a kernel is for, 2 before 1. */
static enum err load_multiboot_header(const struct loader *l, unsigned *version, uint64_t *rip) {
    uint64_t at, word;

    *version = load_multiboot_find(l, MB2_MAGIC, 4, MB2_SEARCH, &at) ? 2 : 1;
    if (*version == 1 && !load_multiboot_find(l, MB1_MAGIC, 3, MB1_SEARCH, &at))
        return loader_refuse(l, ERR_UNSUPPORTED,
                             "an ELF without a multiboot header; wanted: one with, or a Linux bzImage");
    word = loader_field(l, at + 4, 4);
    if (*version == 1 ? (word & 0xFFFF & ~MB1_KNOWN_FLAGS) != 0 : word != 0)
        return loader_refuse(l, ERR_UNSUPPORTED, "multiboot%s 0x%lx; wanted: %s",
                             *version == 1 ? " header flags" : "2 header for architecture", word,
                             *version == 1 ? "of flags 0-15 only 0-2" : "0, i386");
    return *version == 1 ? ERR_OK : load_multiboot_tags(l, at, rip);
}

/* Both classes of ELF have the same fields in the same order, but for the flags of a program header, which
 * ELF64 has before the rest. `word` is how wide addresses, offsets and sizes are, 4 or 8 bytes. */
struct elf_file {
    unsigned word;
    uint64_t entry;
    uint64_t rip_virtual, rip_physical; /* NOWHERE until found */
};

#define NOWHERE UINT64_MAX

bool load_elf_is(const struct loader *l) {
    return loader_field(l, 0, 4) == 0x464C457F; /* 7FH E L F */
}

/* Check the segment whose header is at `at` against the file and the guest's RAM, then copy it. */
static enum err load_elf_segment(struct loader *l, struct elf_file *elf, uint64_t at) {
    const struct load_image *image = &l->request->kernel;
    uint64_t offset = loader_field(l, at + 1 * elf->word, elf->word);
    uint64_t vaddr = loader_field(l, at + 2 * elf->word, elf->word);
    uint64_t paddr = loader_field(l, at + 3 * elf->word, elf->word);
    uint64_t filesz = loader_field(l, at + 4 * elf->word, elf->word);
    uint64_t memsz = loader_field(l, at + 5 * elf->word, elf->word);
    struct range target = {paddr, memsz};

    if (loader_field(l, at, 4) != 1 /* PT_LOAD */ || memsz == 0)
        return ERR_OK;
    if (filesz > memsz || offset > image->bytes || filesz > image->bytes - offset)
        return loader_refuse(l, ERR_MALFORMED,
                             "a segment of %lu bytes at offset 0x%lx is not within the file's %lu bytes",
                             filesz, offset, image->bytes);
    if (!range_valid(target) || range_end(target) > GIB(4) || !loader_take(l, target) ||
        guest_map_zero(l->request->map, gpa(paddr), memsz) != ERR_OK)
        return loader_refuse(
            l, ERR_RANGE, "a segment of 0x%lx bytes for 0x%lx: not free RAM below 4 GiB, or one of too many",
            memsz, paddr);
    if (elf->entry - vaddr < memsz)
        elf->rip_virtual = paddr + (elf->entry - vaddr);
    if (elf->entry - paddr < memsz)
        elf->rip_physical = elf->entry;
    return loader_copy(l, image, offset, filesz, paddr);
}

/* e_entry is virtual by the ELF specification and physical in many kernels: believe whichever of the two lies
 * in a segment, virtual first. */
static enum err load_elf(struct loader *l, uint64_t *rip) {
    unsigned class = (unsigned)loader_field(l, 4, 1), machine = (unsigned)loader_field(l, 18, 2);
    unsigned word = class == 2 ? 8 : 4;
    struct elf_file elf = {word, loader_field(l, 24, word), NOWHERE, NOWHERE};
    uint64_t phoff = loader_field(l, 24 + word, word);
    uint64_t phentsize = loader_field(l, 30 + 3 * word, 2), phnum = loader_field(l, 32 + 3 * word, 2);

    if (loader_field(l, 5, 1) != 1 || (class != 1 && class != 2) || machine != (class == 2 ? 62 : 3))
        return loader_refuse(
            l, ERR_UNSUPPORTED,
            "an ELF of class %u for machine %u; wanted: ELF64 for x86-64 (62), ELF32 for i386 (3)", class,
            machine);
    if (phentsize != (class == 2 ? 56 : 32) || !range_contains((struct range){0, l->request->kernel.bytes},
                                                               (struct range){phoff, phnum * phentsize}))
        return loader_refuse(l, ERR_MALFORMED, "%lu program headers at 0x%lx; wanted: some, in the file",
                             phnum, phoff);
    for (unsigned i = 0; i < phnum; i++) {
        enum err err = load_elf_segment(l, &elf, phoff + i * phentsize);

        if (err != ERR_OK)
            return err;
    }
    *rip = elf.rip_virtual != NOWHERE ? elf.rip_virtual : elf.rip_physical;
    if (*rip == NOWHERE)
        return loader_refuse(l, ERR_MALFORMED, "entry point 0x%lx lies in no segment", elf.entry);
    return ERR_OK;
}

/* KiB from 0, as in every partition, and from 1 MiB. */
static void load_multiboot_memory(const struct loader *l, uint32_t kib[2]) {
    kib[0] = 640;
    for (unsigned i = 0; i < l->nr_runs; i++)
        if (l->runs[i].type == MEMORY_RAM && l->runs[i].base == MIB(1))
            kib[1] = (uint32_t)(l->runs[i].bytes >> 10);
}

/* "name arguments" */
static void load_multiboot_module_text(const struct load_image *initrd, char *to) {
    str_format(to, MODULE_TEXT_MAX, "%s%s%s", initrd->name, initrd->args[0] != '\0' ? " " : "", initrd->args);
}

/* `at` is where the guest sees the block. */
static void load_multiboot_fill1(const struct loader *l, struct mb1_block *block, uint32_t at,
                                 uint32_t module_at) {
    const struct load_image *initrd = &l->request->initrd;

    block->flags = MB1_HAS;
    load_multiboot_memory(l, block->memory);
    block->cmdline = at + (uint32_t)offsetof(struct mb1_block, cmdline_text);
    memcpy(block->cmdline_text, l->request->config->cmdline, MAX_CMDLINE);
    block->mods_count = initrd->bytes != 0;
    block->mods_addr = at + (uint32_t)offsetof(struct mb1_block, module);
    block->module.start = module_at;
    block->module.end = module_at + (uint32_t)initrd->bytes;
    block->module.text = at + (uint32_t)offsetof(struct mb1_block, module_text);
    load_multiboot_module_text(initrd, block->module_text);
    block->mmap_length = l->nr_runs * (uint32_t)sizeof(block->mmap[0]);
    block->mmap_addr = at + (uint32_t)offsetof(struct mb1_block, mmap);
    for (unsigned i = 0; i < l->nr_runs; i++) {
        block->mmap[i].size = sizeof(l->runs[i]);
        block->mmap[i].run = l->runs[i];
    }
}

/* Append a tag; returns where its `bytes` of content go. The assertion above says that they fit. */
static void *load_multiboot_append(uint32_t *block, uint32_t type, size_t bytes) {
    uint32_t *tag = block + block[0] / 4;

    tag[0] = type;
    tag[1] = (uint32_t)(8 + bytes);
    block[0] += (uint32_t)align_up(tag[1], 8);
    return tag + 2;
}

static void load_multiboot_fill2(const struct loader *l, uint32_t *block, uint32_t module_at) {
    const struct load_request *request = l->request;
    size_t cmdline_bytes = str_length(request->config->cmdline) + 1;
    uint32_t *words;
    uint8_t rsdp[36];

    block[0] = 8; /* total size, then a reserved word */
    memcpy(load_multiboot_append(block, TAG_CMDLINE, cmdline_bytes), request->config->cmdline, cmdline_bytes);
    load_multiboot_memory(l, load_multiboot_append(block, TAG_MEMORY, 8));
    words = load_multiboot_append(block, TAG_MMAP, 8 + l->nr_runs * MB2_MMAP_ENTRY);
    words[0] = MB2_MMAP_ENTRY; /* then the version, 0 */
    for (unsigned i = 0; i < l->nr_runs; i++)
        memcpy(words + 2 + i * MB2_MMAP_ENTRY / 4, &l->runs[i], sizeof(l->runs[i]));
    if (request->initrd.bytes != 0) {
        words = load_multiboot_append(block, TAG_MODULE, 8 + MODULE_TEXT_MAX);
        words[0] = module_at;
        words[1] = module_at + (uint32_t)request->initrd.bytes;
        load_multiboot_module_text(&request->initrd, (char *)(words + 2));
    }
    if (request->rsdp.v != 0 && guest_map_read(request->map, rsdp, request->rsdp, sizeof(rsdp)) == ERR_OK)
        memcpy(load_multiboot_append(block, TAG_ACPI_NEW, sizeof(rsdp)), rsdp, sizeof(rsdp));
    load_multiboot_append(block, TAG_END, 0);
}

enum err load_multiboot(struct loader *l, struct guest_start *out) {
    struct loader_want module = {0, PAGE_SIZE, MIB(1), GIB(4), false};
    uint64_t elf_rip = 0, rip = 0, module_at = 0;
    unsigned version;
    void *block;
    enum err err = load_multiboot_header(l, &version, &rip);

    if (err == ERR_OK)
        err = load_elf(l, &elf_rip);
    if (err == ERR_OK)
        err = loader_place_initrd(l, module, 0, &module_at);
    if (err != ERR_OK)
        return err;
    block = loader_start_protected(l, rip != 0 ? rip : elf_rip, out);
    if (block == NULL)
        return ERR_NO_MEMORY;
    out->rax = version == 1 ? MB1_EAX : MB2_EAX;
    out->rbx = out->gdt_base - LOADER_INFO_MAX;
    if (version == 1)
        load_multiboot_fill1(l, block, (uint32_t)out->rbx, (uint32_t)module_at);
    else
        load_multiboot_fill2(l, block, (uint32_t)module_at);
    return ERR_OK;
}
