/* SPDX-License-Identifier: Apache-2.0 */
/* A spinlock for the few things that several cores share. Never taken in the NMI handler, which may have
 * interrupted the holder: there is lock_try for that. */
#pragma once

#include "core/types.h"

struct lock {
    uint8_t taken;
};

static inline bool lock_try(struct lock *l) {
    return __atomic_exchange_n(&l->taken, 1, __ATOMIC_ACQUIRE) == 0;
}

static inline void lock_take(struct lock *l) {
    while (!lock_try(l))
        while (__atomic_load_n(&l->taken, __ATOMIC_RELAXED) != 0)
            __builtin_ia32_pause();
}

static inline void lock_release(struct lock *l) {
    __atomic_store_n(&l->taken, 0, __ATOMIC_RELEASE);
}
