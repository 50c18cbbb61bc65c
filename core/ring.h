/* SPDX-License-Identifier: Apache-2.0 */
/* A byte ring with one producer and one consumer, which may be on different CPUs. No lock: each
 * index has one writer. A full ring refuses and counts; it never overwrites. */
#ifndef CORE_RING_H
#define CORE_RING_H

#include "core/types.h"

#define RING_BYTES 4096 /* power of two */

struct ring {
    uint32_t head;    /* bytes ever put; written by the producer, wraps */
    uint32_t dropped; /* bytes refused for want of room; written by the producer */
    uint32_t tail;    /* bytes ever taken; written by the consumer, wraps */
    uint8_t bytes[RING_BYTES];
};

/* Bytes that can be taken now. */
static inline uint32_t ring_used(const struct ring *r)
{
    return __atomic_load_n(&r->head, __ATOMIC_ACQUIRE) -
           __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);
}

static inline uint32_t ring_room(const struct ring *r)
{
    return RING_BYTES - ring_used(r);
}

/* Producer only. False, and counted, if there is no room. */
static inline bool ring_put(struct ring *r, uint8_t byte)
{
    uint32_t head = r->head;

    if (ring_room(r) == 0) {
        __atomic_store_n(&r->dropped, r->dropped + 1, __ATOMIC_RELAXED);
        return false;
    }
    r->bytes[head % RING_BYTES] = byte;
    __atomic_store_n(&r->head, head + 1, __ATOMIC_RELEASE);
    return true;
}

/* Consumer only: the byte `ahead` places from the oldest, without taking it. ahead < ring_used. */
static inline uint8_t ring_peek(const struct ring *r, uint32_t ahead)
{
    return r->bytes[(r->tail + ahead) % RING_BYTES];
}

/* Consumer only. False if empty. */
static inline bool ring_take(struct ring *r, uint8_t *byte)
{
    uint32_t tail = r->tail;

    if (ring_used(r) == 0) {
        return false;
    }
    *byte = r->bytes[tail % RING_BYTES];
    __atomic_store_n(&r->tail, tail + 1, __ATOMIC_RELEASE);
    return true;
}

#endif
