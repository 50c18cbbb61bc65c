/* SPDX-License-Identifier: Apache-2.0 */
/* What things cost a guest, in ticks of the TSC: the same binary runs natively, in a partition of Mullion and
 * under any hypervisor that enters a multiboot kernel, so that its rows can be compared.
 *
 * Wanted of the machine: 128 MiB of RAM, RAM between 16 and 128 MiB not touched before, COM1. Other CPUs must
 * have the APIC ids from 1 on; the word `cpus=2` says that there is one. */
#pragma once

#include "guests/lib/guest.h"

#define BENCH_TURNS    1000
#define BENCH_PATIENCE 1000000 /* ticks to wait for an interrupt before the row is called absent */

#define BENCH_FAILED   UINT64_MAX

struct bench_row {
    const char *name; /* NULL ends a table */

    /* Ticks that so many turns take, whatever drives them included; BENCH_FAILED if one did not end. */
    uint64_t (*run)(unsigned turns);

    /* Prepares for run(); says why this machine cannot, or NULL. May be NULL itself. */
    const char *(*absent)(void);

    bool loop;      /* the turns are those of BENCH_LOOP: the empty loop is to be subtracted */
    bool two_cpus;  /* one more CPU takes part */
    unsigned turns; /* 0 = BENCH_TURNS */
};

/* A function that runs `body` in the plainest loop there is. */
#define BENCH_LOOP(name, body)                                                                               \
    static uint64_t name(unsigned turns) {                                                                   \
        uint64_t start = rdtsc();                                                                            \
        for (unsigned turn = 0; turn < turns; turn++)                                                        \
            body;                                                                                            \
        return rdtsc() - start;                                                                              \
    }

extern const struct bench_row bench_cpu[], bench_xapic[], bench_io[], bench_memory[], bench_x2apic[],
    bench_ipi[];

bool bench_is_guest(void); /* is there a hypervisor? */

/* x2APIC mode for good: why not, or NULL. From then on rows can do without guest_apic_write(), which exits to
 * find the mode. */
const char *bench_no_x2apic(void);
static inline void bench_eoi(void) {
    wrmsr(MSR_X2APIC + APIC_EOI, 0);
}

/* A moment with interrupts on. Wherever we wait it is by this: under a hypervisor that takes interrupts for
 * itself Bochs lets none through, not even to the hypervisor, while a guest keeps them off. */
static inline void bench_relax(void) {
    __asm__ volatile("sti; nop; cli" : : : "memory");
}

/* Until what was begun is done elsewhere: a line of ours has left the console, another CPU has seen a flag.
 */
void bench_settle(void);

/* Interrupts on until *flag, or for BENCH_PATIENCE: is it true? Leaves interrupts off. */
bool bench_wait(const volatile bool *flag);
