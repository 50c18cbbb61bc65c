/* SPDX-License-Identifier: Apache-2.0 */
/* What load*.c share: the guest's memory map, the search for room in it, complaints. For nobody else. */
#pragma once

#include "core/boot_info.h"
#include "core/bytes.h"
#include "core/load.h"
#include "core/range.h"
#include "core/str.h"

#define LOADER_ADDR_MAX GIB(511) /* one PML4 entry reaches 512; the last GiB is left out */
#define LOADER_MAX_USED 16
#define LOADER_INFO_MAX (PAGE_SIZE - 32) /* of loader_start_protected's page; then comes the GDT */

/* An e820 entry. The memory maps of both multiboot versions hold the same and one word more. */
struct __attribute__((packed)) loader_run {
    uint64_t base, bytes;
    uint32_t type; /* enum memory_kind */
};
_Static_assert(sizeof(struct loader_run) == 20, "e820 entry");

/* One load on its way. */
struct loader {
    const struct load_request *request;
    struct loader_run runs[MAX_GUEST_REGIONS]; /* neighbours merged, device windows left out */
    unsigned nr_runs;
    struct range used[LOADER_MAX_USED]; /* guest RAM already spoken for */
    unsigned nr_used;
};

struct loader_want {
    uint64_t bytes, align; /* align: a power of two */
    uint64_t min, max;     /* within [min, max) */
    bool high;             /* as high as possible; else as low */
};

/* Of the kernel file: little-endian, at most 8 bytes. What lies behind its end reads as 0. */
static inline uint64_t loader_field(const struct loader *l, uint64_t at, unsigned bytes) {
    return bytes_field((struct bytes){l->request->kernel.data, l->request->kernel.bytes}, at, bytes);
}

/* One line: partition, kernel, what is wrong. Returns `err`. */
enum err loader_refuse(const struct loader *l, enum err err, const char *format, ...) printf_like(3, 4);

/* Mark `range` as used. False: not all RAM, in use, or too many pieces. */
must_check bool loader_take(struct loader *l, struct range range);

/* Find room and mark it as used. False: there is none. */
must_check bool loader_find(struct loader *l, const struct loader_want *want, uint64_t *at);

/* Copy bytes of an image to RAM that was taken. */
must_check enum err loader_copy(const struct loader *l, const struct load_image *image, uint64_t offset,
                                uint64_t bytes, uint64_t to);

/* Place the initrd within `want`, or else up to `max`. 0 to *at if there is no initrd. */
must_check enum err loader_place_initrd(struct loader *l, struct loader_want want, uint64_t max,
                                        uint64_t *at);

/* A zeroed block where a guest has nothing of its own yet, or NULL: said. */
must_check void *loader_low_block(struct loader *l, uint64_t bytes, uint64_t *at);

/* Fill *out for 32-bit protected mode, CS 08H and the rest 10H, as multiboot kernels expect though no one
 * promises it. Returns the page that holds the GDT, LOADER_INFO_MAX bytes from its start; or NULL: said. */
must_check void *loader_start_protected(struct loader *l, uint64_t rip, struct guest_start *out);

bool load_linux_is(const struct loader *l); /* does the kernel carry a setup header? */
must_check enum err load_linux(struct loader *l, struct guest_start *out);

bool load_elf_is(const struct loader *l);
must_check enum err load_multiboot(struct loader *l, struct guest_start *out);
