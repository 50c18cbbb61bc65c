/* SPDX-License-Identifier: Apache-2.0 */
/* The other cores: start, release, meet, kick, stop. What runs on them is decided elsewhere. */
#include "arch/x86/smp.h"

#include "arch/x86/cpu.h"
#include "arch/x86/lapic.h"
#include "arch/x86/memory.h"
#include "arch/x86/percpu.h"
#include "arch/x86/trap.h"
#include "core/host.h"
#include "core/str.h"
#include "core/tsc.h"

#define AP_WAIT_MS   500
#define STOP_WAIT_MS 100
#define TSC_WAIT_US  10000
#define TSC_ROUNDS   8
#define TSC_ASKED    1 /* no TSC is so low by now */

/* Read by start.S: 16 bytes each. */
struct smp_entry {
    uint32_t apic_id;
    uint32_t reserved;
    uint64_t cr3;
};
_Static_assert(sizeof(struct smp_entry) == 16, "start.S");

struct smp_entry smp_entries[MAX_CPUS] __attribute__((section(".bss.sealed")));
uint32_t smp_entry_count __attribute__((section(".bss.sealed")));
static uint64_t ticks_per_us __attribute__((section(".bss.sealed")));

static uint64_t arrived;  /* mask of the cores that have come */
static uint64_t accepted; /* those that were released: all others stay out of everything */
static bool released;
static uint64_t answers[MAX_CPUS]; /* to the question for the TSC of a core */
static bool compared;              /* no more questions */
static int64_t ahead[MAX_CPUS];    /* of each core, by its TSC */
static uint32_t met;               /* arrivals at barriers, of all cores and all barriers */
static unsigned stopper;           /* 1 + the core that has stopped all others, 0 = none */
static uint64_t stopped;           /* mask of those that have seen it */

extern const uint8_t ap_start[], ap_end[]; /* start.S */

static void wait_us(uint64_t us) {
    uint64_t end = cpu_rdtsc() + us * ticks_per_us;
    while ((int64_t)(cpu_rdtsc() - end) < 0)
        cpu_pause();
}

/* Until all of `mask` is set in *cores, or for that long. */
static void wait_for_cores(const uint64_t *cores, uint64_t mask, unsigned ms) {
    for (; ms > 0 && (__atomic_load_n(cores, __ATOMIC_ACQUIRE) & mask) != mask; ms--)
        wait_us(1000);
}

static void send(uint64_t cores, uint64_t low) {
    for (; cores != 0; cores &= cores - 1)
        lapic_send(smp_entries[__builtin_ctzll(cores)].apic_id, low);
}

/* Each round proves some of the distance, none too much. */
static void compare_tsc(unsigned cpu) {
    for (unsigned round = 0; round < TSC_ROUNDS; round++) {
        uint64_t before = cpu_rdtsc(), after = before, answer = TSC_ASKED;
        __atomic_store_n(&answers[cpu], TSC_ASKED, __ATOMIC_RELEASE);
        while (answer == TSC_ASKED && after - before < TSC_WAIT_US * ticks_per_us) {
            answer = __atomic_load_n(&answers[cpu], __ATOMIC_ACQUIRE);
            cpu_lfence(); /* RDTSC does not wait for the load */
            after = cpu_rdtsc();
        }
        int64_t sure = answer == TSC_ASKED ? 0 : tsc_ahead(before, answer, after);
        if (round == 0 || (sure < 0 ? sure < ahead[cpu] : sure > ahead[cpu]))
            ahead[cpu] = sure;
    }
}

static void answer_tsc(void) {
    uint64_t *mine = &answers[this_cpu.index];
    while (!__atomic_load_n(&compared, __ATOMIC_ACQUIRE)) {
        cpu_pause();
        if (__atomic_load_n(mine, __ATOMIC_ACQUIRE) != TSC_ASKED)
            continue;
        cpu_lfence();
        __atomic_store_n(mine, cpu_rdtsc(), __ATOMIC_RELEASE);
    }
}

/* "Typical AP Initialization Sequence": INIT, 10 ms, SIPI, 200 us, SIPI. */
uint64_t smp_start(const struct platform *platform, hpa_t page, uint64_t tsc_khz) {
    uint64_t all = ~UINT64_C(0) >> (64 - platform->nr_cpus), others = all & ~UINT64_C(1);
    uint64_t sipi = ICR_SIPI | ICR_ASSERT | page.v >> 12;
    ticks_per_us = tsc_khz / 1000 + 1;
    for (unsigned i = 0; i < platform->nr_cpus; i++)
        smp_entries[i] = (struct smp_entry){platform->apic_ids[i], 0, memory_cpu_cr3(i)};
    smp_entry_count = platform->nr_cpus;
    memcpy(host_phys(page, PAGE_SIZE), ap_start, (size_t)(ap_end - ap_start));
    __atomic_store_n(&arrived, 1, __ATOMIC_RELEASE);
    send(others, ICR_INIT | ICR_ASSERT | ICR_LEVEL);
    wait_us(10000);
    send(others, sipi);
    wait_us(200);
    send(others, sipi);
    wait_for_cores(&arrived, all, AP_WAIT_MS);
    uint64_t here = __atomic_load_n(&arrived, __ATOMIC_ACQUIRE);
    for (unsigned i = 1; i < platform->nr_cpus; i++)
        if ((here & BIT(i)) != 0)
            compare_tsc(i);
    __atomic_store_n(&compared, true, __ATOMIC_RELEASE);
    return here;
}

int64_t smp_tsc_ahead(unsigned cpu) {
    return ahead[cpu];
}

bool smp_join(void) {
    __atomic_fetch_or(&arrived, BIT(this_cpu.index), __ATOMIC_ACQ_REL);
    answer_tsc();
    while (!__atomic_load_n(&released, __ATOMIC_ACQUIRE))
        cpu_wait_kick();
    return (accepted & BIT(this_cpu.index)) != 0;
}

void smp_release(uint64_t cores) {
    accepted = cores;
    __atomic_store_n(&released, true, __ATOMIC_RELEASE);
    send(accepted & ~UINT64_C(1), ICR_NMI | ICR_ASSERT);
}

void smp_barrier(void) {
    uint32_t all = count_bits(accepted);
    uint32_t full = (__atomic_fetch_add(&met, 1, __ATOMIC_ACQ_REL) / all + 1) * all;
    while (__atomic_load_n(&met, __ATOMIC_ACQUIRE) < full)
        cpu_pause();
}

void smp_kick(unsigned cpu) {
    send(BIT(cpu), ICR_NMI | ICR_ASSERT);
}

uint32_t smp_apic_id(unsigned cpu) {
    return smp_entries[cpu].apic_id;
}

void smp_stop_others(void) {
    uint64_t others = __atomic_load_n(&arrived, __ATOMIC_ACQUIRE) & ~BIT(memory_this_cpu());
    __atomic_store_n(&stopper, memory_this_cpu() + 1, __ATOMIC_RELEASE);
    send(others, ICR_NMI | ICR_ASSERT);
    wait_for_cores(&stopped, others, STOP_WAIT_MS);
}

bool smp_must_stop(void) {
    unsigned by = __atomic_load_n(&stopper, __ATOMIC_ACQUIRE);
    return by != 0 && by != memory_this_cpu() + 1;
}

void smp_stopped(void) {
    __atomic_fetch_or(&stopped, BIT(this_cpu.index), __ATOMIC_ACQ_REL);
}
