/* SPDX-License-Identifier: Apache-2.0 */
/* What the boot loader told us, in our own words: mb2_parse fills it, nobody else knows multiboot2. */
#pragma once

#include "core/range.h"
#include "core/str.h"

/* Numbers as in e820 and multiboot2. */
enum memory_kind { MEMORY_RAM = 1, MEMORY_RESERVED, MEMORY_ACPI, MEMORY_NVS, MEMORY_BAD };

struct memory_range {
    struct range range; /* host-physical */
    enum memory_kind kind;
};

struct module {
    hpa_t at;
    uint64_t bytes;
    char name[MAX_NAME];    /* first word of the module's string, without directories */
    char args[MAX_CMDLINE]; /* the rest; "" if none */
};

enum { FRAMEBUFFER_RGB = 1, FRAMEBUFFER_TEXT = 2 };

/* The screen as the loader left it, not yet believed: core/screen.h. */
struct framebuffer {
    hpa_t at;
    uint32_t pitch, width, height; /* bytes from row to row; pixels or, if it is text, characters */
    uint8_t bits, kind;            /* of a pixel; 0 = none, and everything but the above */
};

struct boot_info {
    struct memory_range memory[MAX_MEMORY_RANGES]; /* as given: may overlap, not sorted */
    unsigned nr_memory;
    struct module modules[MAX_MODULES];
    unsigned nr_modules;
    struct framebuffer screen;
    uint8_t rsdp[36]; /* copy; rsdp_bytes is 20 (ACPI 1.0), 36 or 0 (none) */
    unsigned rsdp_bytes;
};

/* Read the multiboot2 information at `info` into *out; only mb2.c knows its layout. On an error the reason is
 * logged. */
must_check enum err mb2_parse(hpa_t info, struct boot_info *out);

/* Forget memory from `end` on, which this CPU cannot reach; RAM there is logged. */
void boot_info_clip(struct boot_info *info, uint64_t end);

/* The module of that name, or NULL. */
static inline const struct module *boot_info_module(const struct boot_info *info, const char *name) {
    for (unsigned i = 0; i < info->nr_modules; i++)
        if (str_equal(info->modules[i].name, name))
            return &info->modules[i];
    return NULL;
}
