/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC: the xAPIC page while the APIC is in that mode, then x2APIC registers and the timer. */
#include "guests/bench/bench.h"

#define XAPIC(reg)      (*(volatile uint32_t *)(UINT64_C(0xFEE00000) + (reg)*16))
#define APIC_BASE_MODE  (BIT(10) | BIT(11))
#define APIC_BASE_XAPIC BIT(11)
#define APIC_VERSION    0x03u
#define APIC_TPR        0x08u
#define APIC_SVR        0x0Fu
#define APIC_LVT_TIMER  0x32u
#define APIC_SELF       0x3Fu
#define TIMER_DEADLINE  BIT(18)
#define VECTOR          0x40u

#define NEVER           (UINT64_C(1) << 62)
#define DISTANCE        2000 /* ticks: a deadline is armed so long before */

static volatile bool fired;
static volatile uint64_t fired_at;

static void on_interrupt(const struct guest_frame *frame) {
    fired_at = frame->tsc;
    fired = true;
    bench_eoi();
}

/* ---- xAPIC mode ---- */
BENCH_LOOP(xapic_read, (void)XAPIC(APIC_VERSION))
BENCH_LOOP(xapic_eoi, XAPIC(APIC_EOI) = 0)

static const char *no_xapic(void) {
    if ((rdmsr(MSR_APIC_BASE) & APIC_BASE_MODE) != APIC_BASE_XAPIC)
        return "not in xAPIC mode";
    XAPIC(APIC_SVR) = 0x1FF;
    return NULL;
}

const struct bench_row bench_xapic[] = {
    {.name = "xapic-read", xapic_read, no_xapic, .loop = true},
    {.name = "xapic-eoi", xapic_eoi, no_xapic, .loop = true},
    {.name = NULL},
};

/* ---- x2APIC mode ---- */
BENCH_LOOP(x2apic_eoi, bench_eoi())
BENCH_LOOP(x2apic_tpr, wrmsr(MSR_X2APIC + APIC_TPR, 0))
BENCH_LOOP(deadline_arm, wrmsr(MSR_TSC_DEADLINE, NEVER))

static uint64_t self_ipi(unsigned turns) {
    uint64_t start = rdtsc();

    __asm__ volatile("sti");
    for (unsigned turn = 0; turn < turns; turn++) {
        fired = false;
        wrmsr(MSR_X2APIC + APIC_SELF, VECTOR);
        while (!fired)
            ;
    }
    __asm__ volatile("cli");
    return rdtsc() - start;
}

/* One deadline: when was it to be? Returns with interrupts off when it has come. */
static uint64_t deadline_wait(bool spin) {
    uint64_t deadline = rdtsc() + DISTANCE;

    fired = false;
    wrmsr(MSR_TSC_DEADLINE, deadline);
    if (spin)
        __asm__ volatile("sti");
    while (!fired)
        if (!spin)
            __asm__ volatile("sti; hlt; cli" : : : "memory");
    __asm__ volatile("cli");
    return deadline;
}

static uint64_t lateness(unsigned turns, bool spin) {
    uint64_t sum = 0;

    for (unsigned turn = 0; turn < turns; turn++) {
        uint64_t deadline = deadline_wait(spin);

        sum += fired_at - deadline;
    }
    return sum;
}

static uint64_t late_spinning(unsigned turns) {
    return lateness(turns, true);
}

static uint64_t late_halted(unsigned turns) {
    return lateness(turns, false);
}

/* From the deadline to the instruction after HLT, the handler in between. */
static uint64_t halt_wake(unsigned turns) {
    uint64_t sum = 0;

    for (unsigned turn = 0; turn < turns; turn++) {
        uint64_t deadline = deadline_wait(false);

        sum += rdtsc() - deadline;
    }
    return sum;
}

static const char *no_interrupts(void) {
    const char *no_x2apic = bench_no_x2apic();

    guest_on_irq(VECTOR, on_interrupt);
    return no_x2apic;
}

static const char *no_deadline(void) {
    const char *no_x2apic = no_interrupts();

    if (no_x2apic != NULL)
        return no_x2apic;
    if ((cpuid(1, 0).ecx & BIT(24)) == 0)
        return "no TSC deadline";
    wrmsr(MSR_X2APIC + APIC_LVT_TIMER, VECTOR | TIMER_DEADLINE);
    return NULL;
}

const struct bench_row bench_x2apic[] = {
    {.name = "x2apic-eoi", x2apic_eoi, bench_no_x2apic, .loop = true},
    {.name = "x2apic-tpr", x2apic_tpr, bench_no_x2apic, .loop = true},
    {.name = "self-ipi", self_ipi, no_interrupts}, /* to the end of its handler */
    {.name = "deadline-arm", deadline_arm, no_deadline, .loop = true},
    {.name = "hlt-wake", halt_wake, no_deadline},
    {.name = "late-spinning", late_spinning, no_deadline}, /* from the deadline to the handler */
    {.name = "late-halted", late_halted, no_deadline},
    {.name = NULL},
};
