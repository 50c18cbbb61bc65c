/* SPDX-License-Identifier: Apache-2.0 */
/* What load*.c share: room in the guest's memory, the block that holds what a guest is told, complaints.
 * For nobody else. */
#pragma once

#include "core/boot_info.h"
#include "core/bytes.h"
#include "core/load.h"
#include "core/range.h"
#include "core/str.h"

#define LOADER_ADDR_MAX  GIB(511) /* one PML4 entry reaches 512; the last GiB is left out */
#define LOADER_MAX_USED  16
#define LOADER_MAX_RUNS  (MAX_GUEST_REGIONS + 2)
#define LOADER_LOW_BYTES KIB(48)

/* An e820 entry. The other memory maps hold the same and one word more. */
struct __attribute__((packed)) loader_run {
    uint64_t base, bytes;
    uint32_t type; /* enum memory_kind */
};
_Static_assert(sizeof(struct loader_run) == 20, "e820 entry");

/* One load on its way. */
struct loader {
    const struct load_request *request;
    uint64_t max; /* no byte of the kernel may lie at or above */
    struct loader_run runs[LOADER_MAX_RUNS];
    unsigned nr_runs;
    unsigned nr_used;
    struct range used[LOADER_MAX_USED]; /* guest RAM already spoken for */
    uint64_t modules_at[LOAD_MAX_MODULES];
    uint8_t *low; /* LOADER_LOW_BYTES up to 640 KiB */
    uint64_t low_at, low_used;
};

struct loader_want {
    uint64_t bytes, align; /* align: a power of two */
    uint64_t min, max;     /* within [min, max) */
    bool high;             /* as high as possible; else as low */
};

/* A piece of the kernel file and where it belongs; what it has in memory beyond the file is 0. */
struct loader_segment {
    uint64_t offset, file_bytes, at, bytes;
};

/* Of the kernel file: little-endian, at most 8 bytes. What lies behind its end reads as 0. */
static inline uint64_t loader_field(const struct loader *l, uint64_t at, unsigned bytes) {
    return bytes_field((struct bytes){l->request->kernel.data, l->request->kernel.bytes}, at, bytes);
}

/* One line: partition, kernel, what is wrong. Returns `err`. */
enum err loader_refuse(const struct loader *l, enum err err, const char *format, ...) printf_like(3, 4);

/* Where there is RAM not in use. False: nowhere. */
must_check bool loader_find(const struct loader *l, const struct loader_want *want, uint64_t *at);

must_check enum err loader_place(struct loader *l, struct loader_segment segment);

/* Place all modules in one piece, each at the next multiple of `gap`, within *want or else up to `max`.
 * Their size together to want->bytes. */
must_check enum err loader_place_modules(struct loader *l, struct loader_want *want, uint64_t gap,
                                         uint64_t max);

/* After the kernel has its place: reserve the low block, put a GDT with flat code at `cs` and data behind it
 * there, fill *out but for rip. */
must_check enum err loader_start(struct loader *l, enum start_mode mode, uint16_t cs,
                                 struct guest_start *out);

/* After loader_start: room in the low block, zeroed. Enough for the longest of everything. */
void *loader_put(struct loader *l, uint64_t bytes, uint64_t align, uint64_t *at);

/* "first rest" with a NUL, in the low block; where. */
uint32_t loader_put_text(struct loader *l, const char *first, const char *rest);

/* The formats: is it that one (*at: where it says so, for the loader), and its loader. */
bool load_linux_is(const struct loader *l, uint64_t *at);
bool load_multiboot1_is(const struct loader *l, uint64_t *at);
bool load_multiboot2_is(const struct loader *l, uint64_t *at);
bool load_pvh_is(const struct loader *l, uint64_t *at);
bool load_elf_is(const struct loader *l, uint64_t *at);
must_check enum err load_linux(struct loader *l, uint64_t at, struct guest_start *out);
must_check enum err load_multiboot1(struct loader *l, uint64_t at, struct guest_start *out);
must_check enum err load_multiboot2(struct loader *l, uint64_t at, struct guest_start *out);
must_check enum err load_pvh(struct loader *l, uint64_t at, struct guest_start *out);

/* What kernels are told, in the low block; and registers that say where. */
void load_info_multiboot1(struct loader *l, struct guest_start *out);
void load_info_multiboot2(struct loader *l, struct guest_start *out);
void load_info_pvh(struct loader *l, struct guest_start *out);
