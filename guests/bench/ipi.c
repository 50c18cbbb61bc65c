/* SPDX-License-Identifier: Apache-2.0 */
/* IPIs between CPU 0 and CPU 1, by the ICR of the x2APIC. */
#include "guests/bench/bench.h"

#define SINK  0x50u    /* to CPU 1, which only takes note */
#define PING  0x51u    /* to CPU 1, which answers */
#define PONG  0x52u    /* to CPU 0 */
#define START 10000000 /* ticks for CPU 1 to do what it is asked */

static volatile bool ready, stop, ponged, halting;

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

/* CPU 1's part, spinning or halting, with interrupts on. */
static void other_side(void *arg) {
    (void)arg;
    bench_no_x2apic();
    ready = true;
    while (!stop)
        if (halting)
            __asm__ volatile("sti; hlt; cli" : : : "memory");
        else
            __asm__ volatile("sti; nop; cli" : : : "memory");
}

static void begin(bool halted) {
    ready = stop = false;
    halting = halted;
    guest_cpu_run(1, other_side, NULL);
    while (!ready)
        ;
}

static void end(void) {
    stop = true;
    send(1, SINK); /* out of HLT */
    guest_cpu_wait(1, START);
}

/* Back to back: what the sender pays. */
static uint64_t run_send(unsigned turns) {
    uint64_t ticks;

    begin(false);
    ticks = rdtsc();
    for (unsigned turn = 0; turn < turns; turn++)
        send(1, SINK);
    ticks = rdtsc() - ticks;
    end();
    return ticks;
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
                __asm__ volatile("sti; nop; cli" : : : "memory");
    }
    ticks = rdtsc() - ticks;
    end();
    return ticks;
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
    return guest_cpu_start(1, GUEST_TRAMPOLINE) ? NULL : "CPU 1 does not start";
}

const struct bench_row bench_ipi[] = {
    {.name = "ipi-send", run_send, no_other, .loop = true, .two_cpus = true},
    {.name = "ipi-round", run_round, no_other, .two_cpus = true},
    {.name = "ipi-round-halted", run_round_halted, no_other, .two_cpus = true},
    {.name = NULL},
};
