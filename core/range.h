/* SPDX-License-Identifier: Apache-2.0 */
/* Half-open address ranges that cannot overflow: a range that would wrap is not valid, and no question about
 * it is ever answered with yes. */
#pragma once

#include "core/types.h"

struct range {
    uint64_t base;
    uint64_t size; /* bytes; 0 = empty */
};

static inline bool range_valid(struct range r) {
    return r.base + r.size >= r.base;
}

static inline uint64_t range_end(struct range r) {
    return r.base + r.size;
}

static inline bool range_contains(struct range outer, struct range inner) {
    return range_valid(outer) && range_valid(inner) && inner.size > 0 && inner.base >= outer.base &&
           range_end(inner) <= range_end(outer);
}

static inline bool range_overlaps(struct range a, struct range b) {
    return range_valid(a) && range_valid(b) && a.size > 0 && b.size > 0 && a.base < range_end(b) &&
           b.base < range_end(a);
}

/* The part of r in [low, high); a range that wraps reaches to high. Empty: at high. */
static inline struct range range_clip(struct range r, uint64_t low, uint64_t high) {
    uint64_t base = r.base < low ? low : r.base;
    uint64_t end = !range_valid(r) || range_end(r) > high ? high : range_end(r);
    return base < end ? (struct range){base, end - base} : (struct range){high, 0};
}

static inline uint64_t align_down(uint64_t v, uint64_t align) {
    return v & ~(align - 1);
}

/* Wraps to 0 for v above the last multiple: callers check with range_valid. */
static inline uint64_t align_up(uint64_t v, uint64_t align) {
    return (v + align - 1) & ~(align - 1);
}
