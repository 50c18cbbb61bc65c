/* SPDX-License-Identifier: Apache-2.0 */
/* Application processors: start, release, barrier, kick. What runs on them is decided elsewhere. */
#include "arch/x86/smp.h"

#include "arch/x86/cpu.h"
#include "arch/x86/lapic.h"
#include "arch/x86/memory.h"
#include "arch/x86/percpu.h"
#include "arch/x86/trap.h"
#include "core/host.h"
#include "core/log.h"
#include "core/str.h"

#define AP_WAIT_MS 500

/* Read by ap.S: 16 bytes each. */
struct smp_entry {
    uint32_t apic_id;
    uint32_t reserved;
    uint64_t cr3;
};
_Static_assert(sizeof(struct smp_entry) == 16, "ap.S");

struct smp_entry smp_entries[MAX_CPUS] __attribute__((section(".bss.sealed")));
uint32_t smp_entry_count __attribute__((section(".bss.sealed")));
static uint64_t ticks_per_us __attribute__((section(".bss.sealed")));

static uint64_t arrived;  /* mask of the cores that have come */
static uint64_t accepted; /* those that came in time: all others stay out of everything */
static bool released;
static uint32_t barrier_count, barrier_round;

extern const uint8_t ap_start[], ap_end[], ap_fix_gdt[], ap_fix_jump32[], ap_fix_jump64[], ap_cr3[];
extern const uint8_t boot_pml4[];

static void wait_us(uint64_t us) {
    uint64_t end = cpu_rdtsc() + us * ticks_per_us;

    while ((int64_t)(cpu_rdtsc() - end) < 0)
        cpu_pause();
}

static void fix_word(uint8_t *page, const uint8_t *at, uint32_t add) {
    uint32_t v;

    memcpy(&v, page + (at - ap_start), sizeof(v));
    v += add;
    memcpy(page + (at - ap_start), &v, sizeof(v));
}

static void place_trampoline(hpa_t at) {
    uint8_t *page = host_phys(at, PAGE_SIZE);

    memcpy(page, ap_start, (size_t)(ap_end - ap_start));
    fix_word(page, ap_fix_gdt, (uint32_t)at.v);
    fix_word(page, ap_fix_jump32, (uint32_t)at.v);
    fix_word(page, ap_fix_jump64, (uint32_t)at.v);
    fix_word(page, ap_cr3, (uint32_t)memory_image_phys(boot_pml4).v);
}

static void send_to_others(const struct platform *platform, uint64_t low) {
    for (unsigned i = 1; i < platform->nr_cpus; i++)
        lapic_send(platform->apic_ids[i], low);
}

/* "Typical AP Initialization Sequence": INIT, 10 ms, SIPI, 200 us, SIPI. */
uint64_t smp_start(const struct platform *platform, hpa_t page, uint64_t tsc_khz) {
    uint64_t all = platform->nr_cpus == 64 ? ~UINT64_C(0) : BIT(platform->nr_cpus) - 1;
    uint64_t sipi = ICR_SIPI | ICR_ASSERT | page.v >> 12;

    ticks_per_us = tsc_khz / 1000 + 1;
    for (unsigned i = 0; i < platform->nr_cpus; i++)
        smp_entries[i] = (struct smp_entry){platform->apic_ids[i], 0, memory_cpu_cr3(i)};
    smp_entry_count = platform->nr_cpus;
    place_trampoline(page);
    __atomic_store_n(&arrived, 1, __ATOMIC_RELEASE);

    send_to_others(platform, ICR_INIT | ICR_ASSERT | ICR_LEVEL);
    wait_us(10000);
    send_to_others(platform, sipi);
    wait_us(200);
    send_to_others(platform, sipi);
    for (unsigned ms = 0; ms < AP_WAIT_MS && __atomic_load_n(&arrived, __ATOMIC_ACQUIRE) != all; ms++)
        wait_us(1000);
    accepted = __atomic_load_n(&arrived, __ATOMIC_ACQUIRE);
    return accepted;
}

void smp_arrived(void) {
    __atomic_fetch_or(&arrived, BIT(this_cpu.index), __ATOMIC_ACQ_REL);
}

bool smp_wait_released(void) {
    while (!__atomic_load_n(&released, __ATOMIC_ACQUIRE))
        cpu_wait_kick();
    return (accepted & BIT(this_cpu.index)) != 0;
}

static uint32_t core_count(void) {
    return count_bits(accepted);
}

void smp_release(void) {
    __atomic_store_n(&released, true, __ATOMIC_RELEASE);
    for (uint64_t left = accepted & ~UINT64_C(1); left != 0; left &= left - 1)
        smp_kick((unsigned)__builtin_ctzll(left));
}

void smp_barrier(void) {
    uint32_t round = __atomic_load_n(&barrier_round, __ATOMIC_ACQUIRE);

    if (__atomic_add_fetch(&barrier_count, 1, __ATOMIC_ACQ_REL) == core_count()) {
        __atomic_store_n(&barrier_count, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&barrier_round, round + 1, __ATOMIC_RELEASE);
        return;
    }
    while (__atomic_load_n(&barrier_round, __ATOMIC_ACQUIRE) == round)
        cpu_pause();
}

void smp_kick(unsigned cpu) {
    lapic_send(smp_entries[cpu].apic_id, ICR_NMI | ICR_ASSERT);
}

uint32_t smp_apic_id(unsigned cpu) {
    return smp_entries[cpu].apic_id;
}

void smp_stop_others(void) {
    uint64_t others = __atomic_load_n(&arrived, __ATOMIC_ACQUIRE) & ~BIT(host_cpu());

    for (; others != 0; others &= others - 1)
        smp_kick((unsigned)__builtin_ctzll(others));
}
