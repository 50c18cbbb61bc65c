/* SPDX-License-Identifier: Apache-2.0 */
/* A byte ring with one producer and one consumer, which may be on different CPUs. No lock: each
 * index has one writer. A full ring refuses and counts; it never overwrites. All zero = empty. */
#pragma once

#include "core/types.h"

#define RING_BYTES 4096 /* power of two */

struct ring {
    uint32_t head;    /* bytes ever put; written by the producer, wraps */
    uint32_t dropped; /* bytes refused for want of room; written by the producer, wraps */
    uint32_t tail;    /* bytes ever taken; written by the consumer, wraps */
    uint8_t bytes[RING_BYTES];
};

/* Bytes that can be taken now. */
static inline uint32_t ring_used(const struct ring *r) {
    return __atomic_load_n(&r->head, __ATOMIC_ACQUIRE) - __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);
}

static inline uint32_t ring_room(const struct ring *r) {
    return RING_BYTES - ring_used(r);
}

/* Producer only. All of it or, counted, nothing; the consumer never sees a part. */
static inline bool ring_put_all(struct ring *r, const uint8_t *bytes, uint32_t count) {
    uint32_t head = r->head;

    if (ring_room(r) < count) {
        __atomic_store_n(&r->dropped, r->dropped + count, __ATOMIC_RELAXED);
        return false;
    }
    for (uint32_t i = 0; i < count; i++)
        r->bytes[(head + i) % RING_BYTES] = bytes[i];
    __atomic_store_n(&r->head, head + count, __ATOMIC_RELEASE);
    return true;
}

/* Producer only. False, and counted, if there is no room. */
static inline bool ring_put(struct ring *r, uint8_t byte) {
    return ring_put_all(r, &byte, 1);
}

/* Consumer only: the byte `ahead` places from the oldest, without taking it. ahead < ring_used. */
static inline uint8_t ring_peek(const struct ring *r, uint32_t ahead) {
    return r->bytes[(r->tail + ahead) % RING_BYTES];
}

/* Consumer only. False if empty. */
static inline bool ring_take(struct ring *r, uint8_t *byte) {
    uint32_t tail = r->tail;

    if (ring_used(r) == 0)
        return false;
    *byte = r->bytes[tail % RING_BYTES];
    __atomic_store_n(&r->tail, tail + 1, __ATOMIC_RELEASE);
    return true;
}
