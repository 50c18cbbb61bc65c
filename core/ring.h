/* SPDX-License-Identifier: Apache-2.0 */
/* A byte ring with one producer and one consumer, which may be on different CPUs. No lock: each index has one
 * writer. A full ring refuses and counts; it never overwrites. All zero = empty. */
#pragma once

#include "core/types.h"

#define RING_BYTES 4096 /* power of two */

struct ring {
    uint32_t head;    /* bytes ever put; written by the producer, wraps as all of these */
    uint32_t dropped; /* bytes refused; by the producer */
    uint32_t gap;     /* head at the first refusal that nobody has been told of; by the producer */
    uint32_t tail;    /* bytes ever taken; by the consumer */
    uint32_t told;    /* of dropped; by the consumer */
    uint8_t bytes[RING_BYTES];
};

/* Bytes that can be taken now. */
static inline uint32_t ring_used(const struct ring *r) {
    return __atomic_load_n(&r->head, __ATOMIC_ACQUIRE) - __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);
}

static inline uint32_t ring_room(const struct ring *r) {
    return RING_BYTES - ring_used(r);
}

/* Producer only, an NMI on top of it too. */
static inline void ring_refuse(struct ring *r, uint32_t count) {
    if (r->dropped == __atomic_load_n(&r->told, __ATOMIC_RELAXED))
        __atomic_store_n(&r->gap, r->head, __ATOMIC_RELAXED);
    __atomic_fetch_add(&r->dropped, count, __ATOMIC_RELEASE);
}

/* Producer only. All of it or, counted, nothing; the consumer never sees a part. */
static inline bool ring_put_all(struct ring *r, const uint8_t *bytes, uint32_t count) {
    uint32_t head = r->head;
    if (ring_room(r) < count) {
        ring_refuse(r, count);
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

/* Consumer only. False if empty. */
static inline bool ring_take(struct ring *r, uint8_t *byte) {
    if (ring_used(r) == 0)
        return false;
    *byte = r->bytes[r->tail % RING_BYTES];
    __atomic_store_n(&r->tail, r->tail + 1, __ATOMIC_RELEASE);
    return true;
}

/* Consumer only: the bytes refused since the last time, once those before them have been taken. */
static inline uint32_t ring_lost(struct ring *r) {
    uint32_t lost = __atomic_load_n(&r->dropped, __ATOMIC_ACQUIRE) - r->told;
    if (lost == 0 || (int32_t)(r->tail - __atomic_load_n(&r->gap, __ATOMIC_RELAXED)) < 0)
        return 0;
    __atomic_store_n(&r->told, r->told + lost, __ATOMIC_RELAXED);
    return lost;
}
