/* SPDX-License-Identifier: Apache-2.0 */
/* RAM that nobody has touched yet. Each run goes on where the last one ended. */
#include "guests/bench/bench.h"

#define SMALL_AT    UINT64_C(0x1000000)
#define LARGE_AT    UINT64_C(0x2000000)
#define SMALL_BYTES 0x1000u
#define LARGE_BYTES 0x200000u
#define LARGE_TURNS 40 /* to 112 MiB */

static uint64_t touch(uint64_t *at, unsigned turns, unsigned step) {
    uint64_t start = rdtsc(), address = *at;

    for (unsigned turn = 0; turn < turns; turn++, address += step)
        *(volatile uint32_t *)address = 1;
    *at = address;
    return rdtsc() - start;
}

static uint64_t run_small(unsigned turns) {
    static uint64_t at = SMALL_AT;

    return touch(&at, turns, SMALL_BYTES);
}

static uint64_t run_large(unsigned turns) {
    static uint64_t at = LARGE_AT;

    return touch(&at, turns, LARGE_BYTES);
}

const struct bench_row bench_memory[] = {
    {.name = "touch-4k", run_small, .loop = true},
    {.name = "touch-2m", run_large, .loop = true, .turns = LARGE_TURNS},
    {.name = NULL},
};
