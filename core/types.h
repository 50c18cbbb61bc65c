/* SPDX-License-Identifier: Apache-2.0 */
/* Scalars, limits and errors that every file may use. Guest- and host-physical addresses are distinct types
 * on purpose: a guest's number can never be used as one of ours without somebody writing the conversion down.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t v;
} hpa_t; /* host-physical address */

typedef struct {
    uint64_t v;
} gpa_t; /* guest-physical address */

static inline hpa_t hpa(uint64_t v) {
    return (hpa_t){v};
}

static inline gpa_t gpa(uint64_t v) {
    return (gpa_t){v};
}

#define KIB(n)        ((uint64_t)(n) << 10)
#define MIB(n)        ((uint64_t)(n) << 20)
#define GIB(n)        ((uint64_t)(n) << 30)

#define CACHE_LINE    64
#define PAGE_SIZE     KIB(4)
#define PAGE_2M       MIB(2)
#define PAGE_1G       GIB(1)

#define BIT(n)        (UINT64_C(1) << (n))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* How many bits are set; the compiler's own needs a library that is not here. */
static inline unsigned count_bits(uint64_t v) {
    unsigned n = 0;
    for (; v != 0; v &= v - 1)
        n++;
    return n;
}

#define must_check        __attribute__((warn_unused_result))
#define rarely            __attribute__((cold, noinline))
#define printf_like(f, a) __attribute__((format(printf, f, a)))

/* The fixed sizes of the static tables. Exceeding one is an error that says so, never a truncation. */
#define MAX_CPUS          64 /* physical cores; a cpu set is one 64-bit mask */
#define MAX_PARTITIONS    16
#define MAX_MODULES       32
#define MAX_MEMORY_RANGES 128 /* entries of the firmware's memory map */
#define MAX_IOAPICS       8
#define MAX_GUEST_REGIONS 24 /* pieces of RAM and device windows of one partition */
#define MAX_NAME          32 /* partition and module names, with the NUL */
#define MAX_CMDLINE       1024
#define MAX_MODULE_ARGS   128 /* of a guest's module, with the NUL */

/* What a function that can fail returns. The place that detects an error logs it once, with the values;
 * callers only pass it on. */
enum err {
    ERR_OK = 0,
    ERR_MALFORMED,   /* input breaks its format */
    ERR_RANGE,       /* a number or address outside what is allowed */
    ERR_FULL,        /* a fixed table or a ring has no room */
    ERR_NO_MEMORY,   /* no frames left that fit */
    ERR_NOT_FOUND,   /* what was asked for is not there */
    ERR_UNSUPPORTED, /* well-formed, but not something we do */
};
