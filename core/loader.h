/* SPDX-License-Identifier: Apache-2.0 */
/* What load*.c share: room in guest memory, the block of what a guest is told. For nobody else. */
#pragma once

#include "core/boot_info.h"
#include "core/bytes.h"
#include "core/load.h"
#include "core/range.h"
#include "core/str.h"

#define LOADER_MAX_USED  16
#define LOADER_MAX_RUNS  (MAX_GUEST_REGIONS + 2)
#define LOADER_LOW_BYTES KIB(48)

/* An e820 entry. The other memory maps hold the same and one word more. */
struct __attribute__((packed)) loader_run {
    struct range range;
    uint32_t type; /* enum memory_kind */
};
_Static_assert(sizeof(struct loader_run) == 20, "e820 entry");

struct loader_want {
    uint64_t bytes, align; /* align: a power of two */
    uint64_t min, max;     /* within [min, max) */
    bool high;             /* as high as possible; else as low */
};

/* One load on its way; nothing is put above 4 GiB. */
struct loader {
    const struct load_request *request;
    struct loader_run runs[LOADER_MAX_RUNS];
    struct range used[LOADER_MAX_USED]; /* guest RAM already spoken for */
    unsigned nr_runs, nr_used;
    struct loader_want modules; /* all of them */
    uint64_t modules_at;        /* of the first; each is at a page */
    uint8_t *low;               /* LOADER_LOW_BYTES up to 640 KiB */
    uint64_t low_at, low_used;
};

/* Of the kernel file: little-endian, at most 8 bytes. What lies behind its end reads as 0. */
static inline uint64_t loader_field(const struct loader *l, uint64_t at, unsigned bytes) {
    return bytes_field((struct bytes){l->request->kernel.data, l->request->kernel.bytes}, at, bytes);
}

/* One line: partition, kernel, what is wrong. Returns `err`. */
enum err loader_refuse(const struct loader *l, enum err err, const char *format, ...) printf_like(3, 4);

/* Where there is RAM not in use. False: nowhere. */
must_check bool loader_find(const struct loader *l, const struct loader_want *want, uint64_t *at);

/* `file_bytes` at `offset` of the kernel file to `at`; as for the rest of `bytes`, RAM is 0 anyway. */
must_check enum err loader_place(struct loader *l, uint64_t offset, uint64_t file_bytes, uint64_t at,
                                 uint64_t bytes);

/* Room in the low block, zeroed. Enough for the longest of everything. */
void *loader_put(struct loader *l, uint64_t bytes, uint64_t align, uint64_t *at);

/* "first rest" with a NUL, in the low block; where. */
uint32_t loader_put_text(struct loader *l, const char *first, const char *rest);

/* The formats. Is it that one, and *at: where it says so, for the loader. */
typedef bool load_is(const struct loader *l, uint64_t *at);
load_is load_linux_is, load_multiboot1_is, load_multiboot2_is, load_pvh_is, load_elf_is;

/* Place the kernel, set out->rip and what differs from a start in protected mode with CS 08H. */
typedef enum err load_kernel(struct loader *l, uint64_t at, struct guest_start *out);
load_kernel load_linux, load_multiboot1, load_multiboot2, load_pvh;

/* Then, with modules and GDT in place: what the kernel is told, and registers that say where. */
typedef void load_tell(struct loader *l, struct guest_start *out);
load_tell load_linux_tell, load_multiboot1_tell, load_multiboot2_tell, load_pvh_tell;
