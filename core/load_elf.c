/* SPDX-License-Identifier: Apache-2.0 */
/* Reads ELF program headers, or a multiboot header's address fields, of a file that is believed in
 * nothing; what it must look like to the guest is load_mbinfo.c's business. */
#include "core/load_elf.h"

#include "core/load_mbinfo.h"
#include "core/load_multiboot.h"
#include "core/str.h"

#define ELF_CLASS_32   1
#define ELF_CLASS_64   2
#define ELF_DATA_LSB   1
#define ELF_EM_386     3
#define ELF_EM_X86_64  62
#define ELF_PT_LOAD    1
#define ELF_MAX_PHDRS  64u

#define KERNEL_END_MAX GIB(4) /* entered in 32-bit mode */

struct elf32_header {     /* offset */
    uint8_t ident[16];    /* 0; [4] class, [5] data */
    uint16_t type;        /* 16 */
    uint16_t machine;     /* 18 */
    uint32_t version;     /* 20 */
    uint32_t entry;       /* 24 */
    uint32_t phoff;       /* 28 */
    uint32_t shoff;       /* 32 */
    uint32_t flags;       /* 36 */
    uint16_t ehsize;      /* 40 */
    uint16_t phentsize;   /* 42 */
    uint16_t phnum;       /* 44 */
    uint16_t sections[3]; /* 46 */
};
_Static_assert(sizeof(struct elf32_header) == 52, "ELF32 header");

struct elf64_header {     /* offset */
    uint8_t ident[16];    /* 0 */
    uint16_t type;        /* 16 */
    uint16_t machine;     /* 18 */
    uint32_t version;     /* 20 */
    uint64_t entry;       /* 24 */
    uint64_t phoff;       /* 32 */
    uint64_t shoff;       /* 40 */
    uint32_t flags;       /* 48 */
    uint16_t ehsize;      /* 52 */
    uint16_t phentsize;   /* 54 */
    uint16_t phnum;       /* 56 */
    uint16_t sections[3]; /* 58 */
};
_Static_assert(sizeof(struct elf64_header) == 64, "ELF64 header");

struct elf32_phdr {
    uint32_t type, offset, vaddr, paddr, filesz, memsz, flags, align;
};
_Static_assert(sizeof(struct elf32_phdr) == 32, "ELF32 program header");

struct elf64_phdr {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
_Static_assert(sizeof(struct elf64_phdr) == 56, "ELF64 program header");

/* One form for both classes. */
struct elf_file {
    bool is64;
    uint64_t entry, phoff;
    unsigned phnum;
};

struct elf_segment {
    uint64_t offset, vaddr, paddr, filesz, memsz; /* memsz 0: nothing to load */
};

bool load_elf_is(const struct load_image *image) {
    return image->bytes >= 4 && memcmp(image->data,
                                       "\x7f"
                                       "ELF",
                                       4) == 0;
}

static enum err load_elf_header(const struct load_request *request, struct elf_file *elf) {
    const struct load_image *image = &request->kernel;
    struct elf64_header h64 = {0};
    struct elf32_header h32;
    uint64_t phentsize;
    bool known;

    if (image->bytes < sizeof(h64)) {
        loader_complain(request, image, "cut short within its ELF header");
        return ERR_MALFORMED;
    }
    memcpy(&h64, image->data, sizeof(h64));
    memcpy(&h32, image->data, sizeof(h32));
    elf->is64 = h64.ident[4] == ELF_CLASS_64;
    known =
        elf->is64 ? h64.machine == ELF_EM_X86_64 : h64.ident[4] == ELF_CLASS_32 && h64.machine == ELF_EM_386;
    if (!known || h64.ident[5] != ELF_DATA_LSB) {
        loader_complain(request, image,
                        "an ELF of class %u for machine %u; wanted: ELF64 for x86-64 (62) or "
                        "ELF32 for i386 (3)",
                        h64.ident[4], h64.machine);
        return ERR_UNSUPPORTED;
    }
    elf->entry = elf->is64 ? h64.entry : h32.entry;
    elf->phoff = elf->is64 ? h64.phoff : h32.phoff;
    elf->phnum = elf->is64 ? h64.phnum : h32.phnum;
    phentsize = elf->is64 ? sizeof(struct elf64_phdr) : sizeof(struct elf32_phdr);
    if ((elf->is64 ? h64.phentsize : h32.phentsize) != phentsize || elf->phnum == 0 ||
        elf->phnum > ELF_MAX_PHDRS || elf->phoff > image->bytes ||
        elf->phnum * phentsize > image->bytes - elf->phoff) {
        loader_complain(request, image, "%u program headers at 0x%lx; wanted: 1 to %u in the file",
                        elf->phnum, (unsigned long)elf->phoff, ELF_MAX_PHDRS);
        return ERR_MALFORMED;
    }
    return ERR_OK;
}

/* Header n of load_elf_header's phnum. */
static struct elf_segment load_elf_segment(const struct load_image *image, const struct elf_file *elf,
                                           unsigned n) {
    const uint8_t *headers = (const uint8_t *)image->data + elf->phoff;
    struct elf64_phdr p64;
    struct elf32_phdr p32;

    if (elf->is64) {
        memcpy(&p64, headers + n * sizeof(p64), sizeof(p64));
    } else {
        memcpy(&p32, headers + n * sizeof(p32), sizeof(p32));
        p64 = (struct elf64_phdr){p32.type,  p32.flags,  p32.offset, p32.vaddr,
                                  p32.paddr, p32.filesz, p32.memsz,  0};
    }
    return (struct elf_segment){p64.offset, p64.vaddr, p64.paddr, p64.filesz,
                                p64.type == ELF_PT_LOAD ? p64.memsz : 0};
}

/* Check one segment against the file and the guest's RAM, then copy it. */
static enum err load_elf_put(const struct load_request *request, struct loader_room *room,
                             const struct elf_segment *s) {
    const struct load_image *image = &request->kernel;
    struct range target = {s->paddr, s->memsz};
    enum err err = ERR_RANGE;

    if (s->filesz > s->memsz || s->offset > image->bytes || s->filesz > image->bytes - s->offset) {
        loader_complain(request, image,
                        "a segment of %lu bytes at offset 0x%lx is not within the file's %lu bytes",
                        (unsigned long)s->filesz, (unsigned long)s->offset, (unsigned long)image->bytes);
        return ERR_MALFORMED;
    }
    if (range_valid(target) && range_end(target) <= KERNEL_END_MAX)
        err = loader_use(room, target);
    if (err == ERR_OK)
        err = guest_map_write(room->map, gpa(s->paddr), (const uint8_t *)image->data + s->offset, s->filesz);
    if (err == ERR_OK)
        err = guest_map_zero(room->map, gpa(s->paddr + s->filesz), s->memsz - s->filesz);
    if (err != ERR_OK) {
        loader_complain(request, image,
                        "a segment of 0x%lx bytes for 0x%lx: not free RAM of this partition below "
                        "4 GiB, or one of too many",
                        (unsigned long)s->memsz, (unsigned long)s->paddr);
    }
    return err;
}

/* e_entry is virtual by the ELF specification and physical in many kernels: believe whichever of
 * the two lies in a segment, virtual first. */
static enum err load_elf_entry(const struct load_request *request, const struct elf_file *elf,
                               uint64_t *rip) {
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < elf->phnum; i++) {
            struct elf_segment s = load_elf_segment(&request->kernel, elf, i);
            uint64_t base = pass == 0 ? s.vaddr : s.paddr;

            if (elf->entry >= base && elf->entry - base < s.memsz) {
                *rip = s.paddr + (elf->entry - base);
                return ERR_OK;
            }
        }
    }
    loader_complain(request, &request->kernel, "entry point 0x%lx lies in no segment",
                    (unsigned long)elf->entry);
    return ERR_MALFORMED;
}

static enum err load_elf_segments(const struct load_request *request, struct loader_room *room,
                                  uint64_t *rip) {
    struct elf_file elf;
    enum err err = load_elf_header(request, &elf);

    for (unsigned i = 0; err == ERR_OK && i < elf.phnum; i++) {
        struct elf_segment s = load_elf_segment(&request->kernel, &elf, i);

        if (s.memsz != 0)
            err = load_elf_put(request, room, &s);
    }
    return err == ERR_OK ? load_elf_entry(request, &elf, rip) : err;
}

/* The multiboot header gives the addresses: one segment. load_addr -1 stands for the start of the
 * file, load_end 0 for its end, bss_end 0 for no bss. */
static enum err load_elf_addresses(const struct load_request *request, struct loader_room *room,
                                   const struct multiboot_header *h, uint64_t *rip) {
    const struct load_image *image = &request->kernel;
    bool whole = h->load_addr == UINT32_MAX;
    uint64_t load = whole ? h->header_addr - h->at : h->load_addr;
    uint64_t before = h->header_addr - load; /* bytes of the segment that precede the header */
    struct elf_segment s = {.offset = h->at - before, .paddr = load};

    if (load > h->header_addr || before > h->at || !h->has_entry ||
        (h->load_end_addr != 0 && h->load_end_addr < load)) {
        loader_complain(request, image,
                        "multiboot address fields contradict each other (header 0x%x, load 0x%x, "
                        "end 0x%x)",
                        h->header_addr, h->load_addr, h->load_end_addr);
        return ERR_MALFORMED;
    }
    s.filesz = h->load_end_addr != 0 ? h->load_end_addr - load : image->bytes - s.offset;
    s.memsz = h->bss_end_addr > load + s.filesz ? h->bss_end_addr - load : s.filesz;
    *rip = h->entry_addr;
    return load_elf_put(request, room, &s);
}

enum err load_elf(const struct load_request *request, struct guest_start *out) {
    struct loader_room room = {.map = request->map};
    struct multiboot_header header;
    uint64_t rip = 0;
    enum err err = load_multiboot_header(request, &header);

    if (err == ERR_NOT_FOUND && load_elf_is(&request->kernel)) {
        loader_complain(request, &request->kernel,
                        "an ELF without a multiboot header; wanted: a multiboot or multiboot2 "
                        "kernel, or a Linux bzImage");
        return ERR_UNSUPPORTED;
    }
    if (err != ERR_OK)
        return err;
    if (header.has_address) {
        err = load_elf_addresses(request, &room, &header, &rip);
    } else if (load_elf_is(&request->kernel)) {
        err = load_elf_segments(request, &room, &rip);
        rip = header.has_entry ? header.entry_addr : rip;
    } else {
        return ERR_NOT_FOUND;
    }
    if (err == ERR_OK)
        err = load_mbinfo(request, header.version, &room, out);
    out->rip = rip;
    return err;
}
