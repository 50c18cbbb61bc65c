/* SPDX-License-Identifier: Apache-2.0 */
/* Builds what a multiboot kernel is told: the information structure of either version, the initrd
 * as its one module, the 32-bit start. Reads nothing of the kernel file. */
#include "core/load_mbinfo.h"

#include "core/str.h"

#define MB1_EAX         0x2BADB002u
#define MB2_EAX         0x36D76289u

#define LOADER_NAME     "Mullion"

#define MEMORY_MAP_MAX  MAX_GUEST_REGIONS
#define MODULE_TEXT_MAX (MAX_NAME + 1 + MAX_CMDLINE)

struct mb1_info {              /* offset */
    uint32_t flags;            /* 0 */
    uint32_t mem_lower;        /* 4, KiB */
    uint32_t mem_upper;        /* 8, KiB */
    uint32_t boot_device;      /* 12 */
    uint32_t cmdline;          /* 16 */
    uint32_t mods_count;       /* 20 */
    uint32_t mods_addr;        /* 24 */
    uint32_t syms[4];          /* 28 */
    uint32_t mmap_length;      /* 44 */
    uint32_t mmap_addr;        /* 48 */
    uint32_t drives[2];        /* 52 */
    uint32_t config_table;     /* 60 */
    uint32_t boot_loader_name; /* 64 */
    uint32_t rest[12];         /* 68: APM, VBE, framebuffer */
};
_Static_assert(sizeof(struct mb1_info) == 116, "multiboot information");

#define MB1_HAS_MEMORY  BIT(0)
#define MB1_HAS_CMDLINE BIT(2)
#define MB1_HAS_MODULES BIT(3)
#define MB1_HAS_MMAP    BIT(6)
#define MB1_HAS_NAME    BIT(9)

struct mb1_module {
    uint32_t start, end, string, reserved;
};
_Static_assert(sizeof(struct mb1_module) == 16, "multiboot module");

struct __attribute__((packed)) mb1_memory {
    uint32_t size; /* of the rest */
    uint64_t base, bytes;
    uint32_t type;
};
_Static_assert(sizeof(struct mb1_memory) == 24, "multiboot memory map entry");

struct mb2_memory {
    uint64_t base, bytes;
    uint32_t type, reserved;
};
_Static_assert(sizeof(struct mb2_memory) == 24, "multiboot2 memory map entry");

struct mb2_tag {
    uint32_t type, size;
};

enum {
    TAG_END = 0,
    TAG_CMDLINE = 1,
    TAG_LOADER = 2,
    TAG_MODULE = 3,
    TAG_MEMORY = 4,
    TAG_MMAP = 6,
    TAG_ACPI_NEW = 15,
};

/* Everything of version 1 in one block, at `at` in guest memory. */
struct mb1_block {
    struct mb1_info info;
    struct mb1_module module;
    struct mb1_memory mmap[MEMORY_MAP_MAX];
    char name[sizeof(LOADER_NAME)];
    char cmdline[MAX_CMDLINE];
    char module_text[MODULE_TEXT_MAX];
};

/* Version 2 is a list of tags, filled from the front. */
#define MB2_BLOCK KIB(4)
_Static_assert(8 + 8 * 6 + 3 * 8 + sizeof(LOADER_NAME) + MAX_CMDLINE + 8 + MODULE_TEXT_MAX + 8 + 8 +
                       MEMORY_MAP_MAX * sizeof(struct mb2_memory) + 36 + 8 * 8 <=
                   MB2_BLOCK,
               "every tag fits, each padded to 8 bytes");
_Static_assert(sizeof(struct mb1_block) <= MB2_BLOCK, "one size for both versions");

/* Where the pieces are: the block is what `block` points to here and `at` in the guest. */
struct mbinfo_plan {
    const struct load_request *request;
    void *block;
    uint64_t at;
    uint32_t mem_lower, mem_upper; /* KiB from 0 and from 1 MiB */
    uint32_t module_start, module_end;
};

static void load_mbinfo_memory(struct mbinfo_plan *plan) {
    enum region_kind kind;
    struct range run;
    unsigned index = 0;

    while (loader_next_run(plan->request->map, &index, &run, &kind)) {
        uint64_t kib = range_end(run) >> 10;

        if (kind == REGION_RAM && run.base == 0)
            plan->mem_lower = (uint32_t)(kib < 640 ? kib : 640);
        if (kind == REGION_RAM && run.base <= MIB(1) && range_end(run) > MIB(1))
            plan->mem_upper = (uint32_t)(kib - 1024 < UINT32_MAX ? kib - 1024 : UINT32_MAX);
    }
}

/* "name arguments" */
static void load_mbinfo_module_text(const struct load_request *request, char *to, size_t size) {
    str_format(to, size, "%s%s%s", request->initrd.name, request->initrd_args[0] != '\0' ? " " : "",
               request->initrd_args);
}

static uint32_t load_mbinfo_kind(enum region_kind kind) {
    return kind == REGION_RAM ? 1 : 3; /* available; ACPI tables */
}

static void load_mbinfo_fill1(const struct mbinfo_plan *plan) {
    const struct load_request *request = plan->request;
    struct mb1_block *block = plan->block;
    uint32_t at = (uint32_t)plan->at;
    enum region_kind kind;
    struct range run;
    unsigned index = 0, n = 0;

    while (loader_next_run(request->map, &index, &run, &kind)) {
        block->mmap[n++] =
            (struct mb1_memory){sizeof(block->mmap[0]) - 4, run.base, run.size, load_mbinfo_kind(kind)};
    }
    memcpy(block->name, LOADER_NAME, sizeof(LOADER_NAME));
    str_copy(block->cmdline, sizeof(block->cmdline), request->cmdline, str_length(request->cmdline));
    block->info = (struct mb1_info){
        .flags = MB1_HAS_MEMORY | MB1_HAS_CMDLINE | MB1_HAS_MODULES | MB1_HAS_MMAP | MB1_HAS_NAME,
        .mem_lower = plan->mem_lower,
        .mem_upper = plan->mem_upper,
        .cmdline = at + (uint32_t)offsetof(struct mb1_block, cmdline),
        .mmap_length = n * (uint32_t)sizeof(block->mmap[0]),
        .mmap_addr = at + (uint32_t)offsetof(struct mb1_block, mmap),
        .boot_loader_name = at + (uint32_t)offsetof(struct mb1_block, name),
    };
    if (request->initrd.bytes != 0) {
        block->info.mods_count = 1;
        block->info.mods_addr = at + (uint32_t)offsetof(struct mb1_block, module);
        load_mbinfo_module_text(request, block->module_text, sizeof(block->module_text));
        block->module = (struct mb1_module){plan->module_start, plan->module_end,
                                            at + (uint32_t)offsetof(struct mb1_block, module_text), 0};
    }
}

/* Append a tag; returns where its `bytes` of content go. The sizes are bounded where MB2_BLOCK is
 * defined. */
static void *load_mbinfo_append(uint8_t *block, uint32_t type, size_t bytes) {
    uint32_t *total = (uint32_t *)block;
    struct mb2_tag *tag = (struct mb2_tag *)(block + *total);

    *tag = (struct mb2_tag){type, (uint32_t)(sizeof(*tag) + bytes)};
    *total += (uint32_t)align_up(tag->size, 8);
    return tag + 1;
}

static void load_mbinfo_append_text(uint8_t *block, uint32_t type, const char *text) {
    size_t bytes = str_length(text) + 1;

    memcpy(load_mbinfo_append(block, type, bytes), text, bytes);
}

static void load_mbinfo_append_mmap(uint8_t *block, const struct guest_map *map) {
    uint32_t *header = load_mbinfo_append(block, TAG_MMAP, 8);
    struct mb2_tag *tag = (struct mb2_tag *)header - 1;
    enum region_kind kind;
    struct range run;
    unsigned index = 0;

    header[0] = sizeof(struct mb2_memory);
    header[1] = 0; /* version */
    while (loader_next_run(map, &index, &run, &kind)) {
        *(struct mb2_memory *)((uint8_t *)tag + tag->size) =
            (struct mb2_memory){run.base, run.size, load_mbinfo_kind(kind), 0};
        tag->size += (uint32_t)sizeof(struct mb2_memory);
        *(uint32_t *)block += (uint32_t)sizeof(struct mb2_memory);
    }
}

static void load_mbinfo_fill2(const struct mbinfo_plan *plan) {
    const struct load_request *request = plan->request;
    uint8_t *block = plan->block;
    uint32_t *words;
    uint8_t rsdp[36];

    *(uint32_t *)block = 8; /* total_size, kept by load_mbinfo_append; then a reserved word */
    load_mbinfo_append_text(block, TAG_CMDLINE, request->cmdline);
    load_mbinfo_append_text(block, TAG_LOADER, LOADER_NAME);
    words = load_mbinfo_append(block, TAG_MEMORY, 8);
    words[0] = plan->mem_lower;
    words[1] = plan->mem_upper;
    load_mbinfo_append_mmap(block, request->map);
    if (request->initrd.bytes != 0) {
        size_t bytes = str_length(request->initrd.name) + str_length(request->initrd_args) + 2;

        words = load_mbinfo_append(block, TAG_MODULE, 8 + bytes);
        words[0] = plan->module_start;
        words[1] = plan->module_end;
        load_mbinfo_module_text(request, (char *)(words + 2), bytes);
    }
    if (request->rsdp.v != 0 && guest_map_read(request->map, rsdp, request->rsdp, sizeof(rsdp)) == ERR_OK)
        memcpy(load_mbinfo_append(block, TAG_ACPI_NEW, sizeof(rsdp)), rsdp, sizeof(rsdp));
    load_mbinfo_append(block, TAG_END, 0);
}

static enum err load_mbinfo_module(struct mbinfo_plan *plan, struct loader_room *room) {
    const struct load_image *initrd = &plan->request->initrd;
    struct loader_want want = {initrd->bytes, PAGE_SIZE, MIB(1), GIB(4), false};
    uint64_t at;
    enum err err;

    if (initrd->bytes == 0)
        return ERR_OK;
    err = loader_find(room, &want, &at);
    if (err == ERR_OK)
        err = guest_map_write(room->map, gpa(at), initrd->data, initrd->bytes);
    if (err != ERR_OK) {
        loader_complain(plan->request, initrd, "no room for a module of %lu KiB between 1 MiB and 4 GiB",
                        (unsigned long)(initrd->bytes >> 10));
        return err;
    }
    plan->module_start = (uint32_t)at;
    plan->module_end = (uint32_t)(at + initrd->bytes);
    return ERR_OK;
}

enum err load_mbinfo(const struct load_request *request, unsigned version, struct loader_room *room,
                     struct guest_start *out) {
    struct mbinfo_plan plan = {.request = request};
    struct loader_want want = {MB2_BLOCK, PAGE_SIZE, LOADER_LOW_MIN, LOADER_LOW_MAX, false};
    enum err err = load_mbinfo_module(&plan, room);

    if (err == ERR_OK)
        err = loader_start_protected(request, room, out);
    if (err != ERR_OK)
        return err;
    err = loader_find(room, &want, &plan.at);
    plan.block = err == ERR_OK ? guest_map_ptr(room->map, gpa(plan.at), MB2_BLOCK) : NULL;
    if (plan.block == NULL) {
        loader_complain(request, &request->kernel,
                        "no room for multiboot information between 64 and 640 KiB");
        return ERR_NO_MEMORY;
    }
    memset(plan.block, 0, MB2_BLOCK);
    load_mbinfo_memory(&plan);
    if (version == 1)
        load_mbinfo_fill1(&plan);
    else
        load_mbinfo_fill2(&plan);
    out->rax = version == 1 ? MB1_EAX : MB2_EAX;
    out->rbx = plan.at;
    return ERR_OK;
}
