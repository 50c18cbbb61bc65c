/* SPDX-License-Identifier: Apache-2.0 */
/* What kernels other than Linux's are told: memory, command line, modules and ACPI tables, in the words of
 * multiboot 1 and 2 and of PVH. */
#include "core/acpi_gen.h"
#include "core/loader.h"

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
