/* SPDX-License-Identifier: Apache-2.0 */
/* What kernels other than Linux's are told: memory, command line, modules and ACPI tables, in the words of
 * multiboot 1 and 2 and of PVH's struct hvm_start_info. */
#include "core/loader.h"

#define MB1_EAX     0x2BADB002u
#define MB1_HAS     (BIT(0) | BIT(2) | BIT(3) | BIT(6) | BIT(9)) /* memory, cmdline, modules, mmap, loader */
#define MB2_EAX     0x36D76289u
#define PVH_MAGIC   0x336EC578u
#define LOADER_NAME "Mullion"
#define RSDP_BYTES  36u
#define RSDP1_BYTES 20u /* of an RSDP of ACPI 1.0, with which every other begins */

struct mb1_info {
    uint32_t flags, memory[2], boot_device, cmdline, mods_count, mods_addr, syms[4], mmap_length, mmap_addr;
    uint32_t drives[2], config_table, loader_name;
    uint32_t rest[12]; /* APM, VBE, framebuffer */
};
_Static_assert(sizeof(struct mb1_info) == 116, "multiboot information");

struct mb1_module {
    uint32_t start, end, text, reserved;
};

struct mb1_mmap {
    uint32_t size; /* of the rest */
    struct loader_run run;
};
_Static_assert(sizeof(struct mb1_mmap) == 24, "multiboot memory map entry");

/* An entry of the memory map of multiboot2 and of PVH. */
struct info_mmap {
    struct loader_run run;
    uint32_t reserved;
};
_Static_assert(sizeof(struct info_mmap) == 24, "multiboot2 and PVH memory map entry");

enum {
    TAG_END = 0,
    TAG_CMDLINE = 1,
    TAG_LOADER = 2,
    TAG_MODULE = 3,
    TAG_MEMORY = 4,
    TAG_MMAP = 6,
    TAG_ACPI_OLD = 14,
    TAG_ACPI_NEW = 15
};

struct pvh_info { /* struct hvm_start_info, version 1 */
    uint32_t magic, version, flags, nr_modules;
    uint64_t modules, cmdline, rsdp, mmap;
    uint32_t nr_mmap, reserved;
};
_Static_assert(sizeof(struct pvh_info) == 56, "hvm_start_info");

struct pvh_module {
    uint64_t at, bytes, cmdline, reserved;
};

/* The longest of everything fits. */
_Static_assert(4096 + LOADER_MAX_RUNS * 24 + MAX_CMDLINE + LOAD_MAX_MODULES * (32 + MAX_NAME + MAX_CMDLINE) <=
                   LOADER_LOW_BYTES,
               "the low block");

/* KiB from 0, as in every partition, and from 1 MiB. */
static void info_memory(const struct loader *l, uint32_t kib[2]) {
    kib[0] = 640;
    kib[1] = 0;
    for (unsigned i = 0; i < l->nr_runs; i++)
        if (l->runs[i].type == MEMORY_RAM && l->runs[i].base == MIB(1))
            kib[1] = (uint32_t)(l->runs[i].bytes >> 10);
}

void load_info_multiboot1(struct loader *l, struct guest_start *out) {
    const struct load_request *request = l->request;
    struct mb1_info *info = loader_put(l, sizeof(*info), 8, &out->rbx);
    uint64_t at;

    out->rax = MB1_EAX;
    info->flags = MB1_HAS;
    info_memory(l, info->memory);
    info->cmdline = loader_put_text(l, request->config->cmdline, "");
    info->loader_name = loader_put_text(l, LOADER_NAME, "");
    struct mb1_module *modules = loader_put(l, request->nr_modules * sizeof(*modules), 8, &at);

    info->mods_count = request->nr_modules;
    info->mods_addr = (uint32_t)at;
    for (unsigned i = 0; i < request->nr_modules; i++) {
        const struct load_image *m = &request->modules[i];
        uint32_t start = (uint32_t)l->modules_at[i];

        modules[i] =
            (struct mb1_module){start, start + (uint32_t)m->bytes, loader_put_text(l, m->name, m->args), 0};
    }
    struct mb1_mmap *mmap = loader_put(l, l->nr_runs * sizeof(*mmap), 8, &at);

    info->mmap_length = l->nr_runs * (uint32_t)sizeof(*mmap);
    info->mmap_addr = (uint32_t)at;
    for (unsigned i = 0; i < l->nr_runs; i++)
        mmap[i] = (struct mb1_mmap){sizeof(l->runs[i]), l->runs[i]};
}

/* Append a tag of `bytes` at `head` and, unless NULL, the text "first rest". The tags lie one behind the
 * other, and first in the block: its size. */
static void info_tag(struct loader *l, uint32_t *info, uint32_t type, const void *head, size_t bytes,
                     const char *first, const char *rest) {
    uint64_t at;
    uint32_t *tag = loader_put(l, 8 + bytes, 8, &at);

    memcpy(tag + 2, head, bytes);
    if (first != NULL)
        loader_put_text(l, first, rest);
    tag[0] = type;
    tag[1] = (uint32_t)(l->low_at + l->low_used - at);
    info[0] = (uint32_t)(l->low + l->low_used - (uint8_t *)info);
}

void load_info_multiboot2(struct loader *l, struct guest_start *out) {
    const struct load_request *request = l->request;
    uint32_t *info = loader_put(l, 8, 8, &out->rbx), words[2];
    struct {
        uint32_t entry_bytes, version;
        struct info_mmap entries[LOADER_MAX_RUNS];
    } mmap = {sizeof(mmap.entries[0]), 0, {{{0, 0, 0}, 0}}};
    uint8_t rsdp[RSDP_BYTES];

    out->rax = MB2_EAX;
    info_tag(l, info, TAG_CMDLINE, "", 0, request->config->cmdline, "");
    info_tag(l, info, TAG_LOADER, "", 0, LOADER_NAME, "");
    info_memory(l, words);
    info_tag(l, info, TAG_MEMORY, words, sizeof(words), NULL, "");
    for (unsigned i = 0; i < l->nr_runs; i++)
        mmap.entries[i].run = l->runs[i];
    info_tag(l, info, TAG_MMAP, &mmap, 8 + l->nr_runs * sizeof(mmap.entries[0]), NULL, "");
    for (unsigned i = 0; i < request->nr_modules; i++) {
        const struct load_image *m = &request->modules[i];

        words[0] = (uint32_t)l->modules_at[i];
        words[1] = words[0] + (uint32_t)m->bytes;
        info_tag(l, info, TAG_MODULE, words, sizeof(words), m->name, m->args);
    }
    if (request->rsdp.v != 0 && guest_map_read(request->map, rsdp, request->rsdp, sizeof(rsdp)) == ERR_OK) {
        info_tag(l, info, TAG_ACPI_OLD, rsdp, RSDP1_BYTES, NULL, "");
        info_tag(l, info, TAG_ACPI_NEW, rsdp, RSDP_BYTES, NULL, "");
    }
    info_tag(l, info, TAG_END, "", 0, NULL, "");
}

void load_info_pvh(struct loader *l, struct guest_start *out) {
    const struct load_request *request = l->request;
    struct pvh_info *info = loader_put(l, sizeof(*info), 8, &out->rbx);
    struct pvh_module *modules = loader_put(l, request->nr_modules * sizeof(*modules), 8, &info->modules);
    struct info_mmap *mmap = loader_put(l, l->nr_runs * sizeof(*mmap), 8, &info->mmap);

    info->magic = PVH_MAGIC;
    info->version = 1;
    info->nr_modules = request->nr_modules;
    info->cmdline = loader_put_text(l, request->config->cmdline, "");
    info->rsdp = request->rsdp.v;
    info->nr_mmap = l->nr_runs;
    for (unsigned i = 0; i < request->nr_modules; i++) {
        const struct load_image *m = &request->modules[i];

        modules[i] = (struct pvh_module){l->modules_at[i], m->bytes, loader_put_text(l, m->name, m->args), 0};
    }
    for (unsigned i = 0; i < l->nr_runs; i++)
        mmap[i].run = l->runs[i];
}
