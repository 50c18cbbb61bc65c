/* SPDX-License-Identifier: Apache-2.0 */
/* What others, or it itself in a former life, left in its memory: looks at all of it, fills it, and restarts
 * or, in its second life, stops. What the loader puts below 1 MiB is the same in all lives. */
#include "guests/lib/guest.h"

#define LOW_END     UINT64_C(0x100000)
#define LOW_RAM_END UINT64_C(0xA0000)
#define LOW_TABLES  UINT64_C(0xC0000)
#define MB1_UPPER   8 /* offset of mem_upper, in KiB from 1 MiB on */
#define SECRET      UINT64_C(0x5EC2E75EC2E75EC2)

extern const char guest_end[];

/* The first word of [from, to) that is not 0, or `to`. */
static uint64_t first_left(uint64_t from, uint64_t to) {
    uint64_t at = from, words = (to - from) / 8;
    bool all_zero;

    __asm__ volatile("repe scasq" : "+D"(at), "+c"(words), "=@ccz"(all_zero) : "a"(UINT64_C(0)) : "memory");
    return all_zero ? to : at - 8;
}

static void fill(uint64_t from, uint64_t to) {
    uint64_t words = (to - from) / 8;

    __asm__ volatile("rep stosq" : "+D"(from), "+c"(words) : "a"(SECRET) : "memory");
}

/* Of all words that are not 0: how many, and a sum that tells one content from another. */
static void print_low(uint64_t from, uint64_t to) {
    uint64_t sum = 0;
    unsigned count = 0;

    for (uint64_t at = first_left(from, to); at < to; at = first_left(at + 8, to)) {
        sum = (sum ^ at ^ *(const uint64_t *)at) * UINT64_C(0x9E3779B97F4A7C15);
        count++;
    }
    guest_print("leak: %u words in 0x%lx, sum %lx\n", count, from, sum);
}

void guest_main(void) {
    uint64_t from = ((uint64_t)guest_end + 7) & ~UINT64_C(7);
    uint64_t to =
        LOW_END + ((uint64_t) * (const uint32_t *)(guest_entry_state.ebx + UINT64_C(0) + MB1_UPPER) << 10);

    /* Address 0 is not NULL here. */
    print_low(8, LOW_RAM_END);
    print_low(LOW_TABLES, LOW_END);
    guest_print("leak: from 0x%lx to 0x%lx, first left 0x%lx\n", from, to, first_left(from, to));
    fill(from, to);
    fill(LOW_TABLES, LOW_END);
    fill(8, LOW_RAM_END);
    if (guest_counter(HYPERCALL_COUNTER_RESTARTS) == 0)
        outb(0xCF9, 6);
}
