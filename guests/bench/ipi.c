/* SPDX-License-Identifier: Apache-2.0 */
/* IPIs between CPU 0 and CPU 1, by the ICR of the x2APIC. */
#include "guests/bench/bench.h"

#define SINK 0x50u /* to CPU 1, which only takes note */
#define PING 0x51u /* to CPU 1, which answers */
#define PONG 0x52u /* to CPU 0 */

static volatile bool ready, ponged, halting;

static void send(uint32_t apic_id, uint32_t vector) {
    wrmsr(MSR_X2APIC + APIC_ICR, (uint64_t)apic_id << 32 | ICR_FIXED | vector);
}

static void on_sink(const struct guest_frame *frame) {
    (void)frame;
    bench_eoi();
}

static void on_ping(const struct guest_frame *frame) {
    (void)frame;
    send(0, PONG);
    bench_eoi();
}

static void on_pong(const struct guest_frame *frame) {
    (void)frame;
    ponged = true;
    bench_eoi();
}

/* CPU 1's part, spinning or halting, for good. */
static void other_side(void *arg) {
    (void)arg;
    bench_no_x2apic();
    ready = true;
    for (;;)
        if (halting)
            __asm__ volatile("sti; hlt; cli" : : : "memory");
        else
            bench_relax();
}

static void begin(bool halted) {
    halting = halted;
    send(1, SINK); /* out of HLT */
    bench_settle();
}

/* Back to back: what the sender pays. */
static uint64_t run_send(unsigned turns) {
    uint64_t ticks;

    begin(false);
    ticks = rdtsc();
    for (unsigned turn = 0; turn < turns; turn++)
        send(1, SINK);
    return rdtsc() - ticks;
}

static uint64_t round_trips(unsigned turns, bool halted) {
    uint64_t ticks;

    begin(halted);
    ticks = rdtsc();
    for (unsigned turn = 0; turn < turns; turn++) {
        ponged = false;
        send(1, PING);
        while (!ponged)
            if (halted)
                __asm__ volatile("sti; hlt; cli" : : : "memory");
            else
                bench_relax();
    }
    return rdtsc() - ticks;
}

static uint64_t run_round(unsigned turns) {
    return round_trips(turns, false);
}

static uint64_t run_round_halted(unsigned turns) {
    return round_trips(turns, true);
}

static const char *no_other(void) {
    const char *no_x2apic = bench_no_x2apic();

    guest_on_irq(SINK, on_sink);
    guest_on_irq(PING, on_ping);
    guest_on_irq(PONG, on_pong);
    if (no_x2apic != NULL)
        return no_x2apic;
    if (!ready && !guest_cpu_run(1, other_side, NULL))
        return "CPU 1 does not start";
    while (!ready)
        bench_relax();
    return NULL;
}

const struct bench_row bench_ipi[] = {
    {.name = "ipi-send", run_send, no_other, .loop = true, .two_cpus = true},
    {.name = "ipi-round", run_round, no_other, .two_cpus = true},
    {.name = "ipi-round-halted", run_round_halted, no_other, .two_cpus = true},
    {.name = NULL},
};
