/* SPDX-License-Identifier: Apache-2.0 */
/* Guest images: which format is it, put it into guest memory, say how the CPU has to start. Writes
 * nothing but guest memory, keeps no state: a partition that restarts is loaded again. */
#pragma once

#include "core/config.h"
#include "core/guest_map.h"

#define LOAD_MAX_MODULES (CONFIG_MAX_MODULES + 1) /* the initrd first */

struct load_image {
    const char *name, *args; /* shorter than MAX_NAME and MAX_CMDLINE; args: "" = none */
    const void *data;
    uint64_t bytes;
};

struct load_request {
    const struct partition_config *config;
    const struct guest_map *map; /* all zeros but for the ACPI tables */
    struct load_image kernel, modules[LOAD_MAX_MODULES];
    unsigned nr_modules;
};

enum start_mode {
    START_RESET,     /* the state of RESET, the first fetch at FFFFFFF0H; nothing below counts */
    START_REAL,      /* cs.base = cs << 4, likewise the others; 64 KiB limits */
    START_PROTECTED, /* 32-bit, flat segments of base 0 and limit 4 GiB, paging off */
};

/* The state a partition's first vCPU starts in. Interrupts are off, registers not named are 0. */
struct guest_start {
    enum start_mode mode;
    uint64_t rip;
    uint64_t rax, rbx, rsi;
    uint64_t gdt_base;  /* the table in guest memory that cs and ds select from */
    uint16_t gdt_limit; /* 0 with START_REAL: no table */
    uint16_t cs, ds;    /* selectors; ss, es, fs, gs as ds */
};

/* Complains in one line, with partition and image, about what it does not take. Pure but for the
 * guest memory in request->map. */
must_check enum err load_guest(const struct load_request *request, struct guest_start *out);
