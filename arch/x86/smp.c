/* SPDX-License-Identifier: Apache-2.0 */
/* The other cores: start, release, meet, kick, stop. What runs on them is decided elsewhere. */
#include "arch/x86/smp.h"

#include "arch/x86/cpu.h"
#include "arch/x86/lapic.h"
#include "arch/x86/memory.h"
#include "arch/x86/percpu.h"
#include "arch/x86/system.h"
#include "arch/x86/trap.h"
#include "arch/x86/vmx_cpu.h"
#include "core/host.h"
#include "core/log.h"
#include "core/str.h"

#define INIT_US        10000
#define SIPI_US        200
#define AP_WAIT_US     500000
#define ANSWER_WAIT_US 100000

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

static hpa_t start_page;            /* below 1 MiB, holds ap_start */
static uint64_t init_tsc, everyone; /* when INIT was sent; all cores */
static uint64_t arrived;            /* mask of the cores that have come */
static uint64_t accepted; /* those that were released: all others stay out of everything; 0: not yet */
static uint32_t met;      /* arrivals at barriers, of all cores and all barriers */
static unsigned stopper;  /* 1 + the core that has stopped all others, 0 = none */
static uint64_t stopped;  /* mask of those that have seen it */

extern const uint8_t ap_start[], ap_end[]; /* start.S */

/* Until all of `mask` is set in *cores, or that long since a TSC value. */
static uint64_t wait_for_cores(const uint64_t *cores, uint64_t mask, uint64_t since, uint64_t us) {
    while ((__atomic_load_n(cores, __ATOMIC_ACQUIRE) & mask) != mask &&
           cpu_rdtsc() - since < us * ticks_per_us)
        cpu_pause();
    return __atomic_load_n(cores, __ATOMIC_ACQUIRE);
}

static void send(uint64_t cores, uint64_t low) {
    for (; cores != 0; cores &= cores - 1)
        lapic_send(smp_entries[__builtin_ctzll(cores)].apic_id, low);
}

/* "Typical AP Initialization Sequence": INIT, 10 ms, SIPI, 200 us, SIPI. */
void smp_init(const struct platform *platform, hpa_t page) {
    start_page = page;
    for (unsigned i = 0; i < platform->nr_cpus; i++) {
        smp_entries[i] = (struct smp_entry){platform->apic_ids[i], 0, memory_cpu_cr3(i)};
        everyone |= BIT(i);
    }
    smp_entry_count = platform->nr_cpus;
    memcpy(host_phys(page, PAGE_SIZE), ap_start, (size_t)(ap_end - ap_start));
    __atomic_store_n(&arrived, 1, __ATOMIC_RELEASE);
    send(everyone & ~UINT64_C(1), ICR_INIT | ICR_ASSERT | ICR_LEVEL);
    init_tsc = cpu_rdtsc();
}

uint64_t smp_start(uint64_t tsc_khz) {
    uint64_t here = 1;
    ticks_per_us = tsc_khz / 1000 + 1;
    (void)wait_for_cores(&arrived, everyone, init_tsc, INIT_US);
    for (unsigned try = 0; try < 2 && here != everyone; try++) {
        send(everyone & ~here, ICR_SIPI | ICR_ASSERT | start_page.v >> 12);
        here = wait_for_cores(&arrived, everyone, cpu_rdtsc(), try == 0 ? SIPI_US : AP_WAIT_US);
    }
    return here;
}

bool smp_join(void) {
    __atomic_fetch_or(&arrived, BIT(this_cpu.index), __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&accepted, __ATOMIC_ACQUIRE) == 0)
        cpu_wait_kick();
    return (accepted & BIT(this_cpu.index)) != 0;
}

void smp_release(uint64_t cores) {
    __atomic_store_n(&accepted, cores, __ATOMIC_RELEASE);
    send(accepted & ~UINT64_C(1), ICR_NMI | ICR_ASSERT);
}

void smp_barrier(void) {
    uint32_t all = count_bits(accepted);
    ASSERT(all != 0);
    uint32_t full = (__atomic_fetch_add(&met, 1, __ATOMIC_ACQ_REL) / all + 1) * all;
    while (__atomic_load_n(&met, __ATOMIC_ACQUIRE) < full)
        cpu_pause();
}

void smp_kick(unsigned cpu) {
    send(BIT(cpu), ICR_NMI | ICR_ASSERT);
}

uint64_t smp_wait_for(const uint64_t *cores, uint64_t mask) {
    return mask & ~wait_for_cores(cores, mask, cpu_rdtsc(), ANSWER_WAIT_US);
}

uint64_t smp_stop_others(void) {
    uint64_t others = __atomic_load_n(&arrived, __ATOMIC_ACQUIRE) & ~BIT(memory_this_cpu());
    __atomic_store_n(&stopper, memory_this_cpu() + 1, __ATOMIC_RELEASE);
    send(others, ICR_NMI | ICR_ASSERT);
    return smp_wait_for(&stopped, others);
}

void smp_stop_if_told(void) {
    unsigned by = __atomic_load_n(&stopper, __ATOMIC_ACQUIRE);
    if (by == 0 || by == memory_this_cpu() + 1)
        return;
    vmx_cpu_off();
    __atomic_fetch_or(&stopped, BIT(this_cpu.index), __ATOMIC_ACQ_REL);
    system_halt();
}
