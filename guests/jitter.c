/* SPDX-License-Identifier: Apache-2.0 */
/* How late is a timer? Arms the local APIC's TSC deadline every period and says once a second how
 * long after it the interrupt handler began, and how many VM exits that took.
 * Command line: period_us=1000, lines=0 (0 = for ever), spin (poll instead of HLT). */
#include "guests/lib/guest.h"

#define VECTOR       0x40
#define LVT_TIMER    (MSR_X2APIC + 0x32)
#define TSC_DEADLINE BIT(18)
#define EOI          (MSR_X2APIC + 0xB)

struct window {
    uint64_t min, max, sum, count, missed;
};

static volatile uint64_t fired; /* TSC at the handler's entry, 0 = not yet */
static uint64_t hz;
static bool spin;

static void on_timer(const struct guest_frame *frame) {
    fired = frame->tsc;
    wrmsr(EOI, 0);
}

/* "sti; hlt" is one step: the interrupt cannot slip in between and leave us halted. */
static void wait_for_timer(void) {
    while (fired == 0)
        if (spin)
            __asm__ volatile("sti; pause; cli" : : : "memory");
        else
            __asm__ volatile("sti; hlt; cli" : : : "memory");
}

static uint64_t to_ns(uint64_t ticks) {
    return ticks < UINT64_MAX / 1000000000 ? ticks * 1000000000 / hz : UINT64_MAX;
}

/* One period after another until a second's worth is measured. */
static void measure(struct window *w, uint64_t period, uint64_t samples) {
    uint64_t deadline = rdtsc() + period;

    *w = (struct window){.min = UINT64_MAX};
    while (w->count < samples) {
        uint64_t late;

        fired = 0;
        wrmsr(MSR_TSC_DEADLINE, deadline);
        wait_for_timer();
        late = fired - deadline;
        w->min = late < w->min ? late : w->min;
        w->max = late > w->max ? late : w->max;
        w->sum += late;
        w->count++;
        deadline += period;
        for (uint64_t now = rdtsc(); deadline <= now; deadline += period)
            w->missed++;
    }
}

void guest_main(void) {
    uint64_t period_us = guest_number("period_us", 1000), lines = guest_number("lines", 0);
    uint64_t period, samples;

    hz = guest_tsc_hz();
    if (hz == 0 || (cpuid(1, 0).ecx & BIT(24)) == 0 || !guest_x2apic_on()) {
        guest_print("jitter: wanted: x2APIC, TSC deadline and a TSC rate in CPUID 15H or 16H\n");
        return;
    }
    period = hz / 1000000 * period_us;
    samples = period == 0 ? 1 : hz / period;
    spin = guest_has_word("spin");
    guest_on_irq(VECTOR, on_timer);
    wrmsr(LVT_TIMER, VECTOR | TSC_DEADLINE);
    guest_print("jitter: TSC %lu kHz, a deadline every %lu us, %s\n", hz / 1000, period_us,
                spin ? "spinning" : "halting");
    for (uint64_t line = 1; lines == 0 || line <= lines; line++) {
        struct window w;
        uint64_t before, after;
        bool known = guest_hypercall(HYPERCALL_EXITS, 0, 0, &before);

        measure(&w, period, samples);
        known = known && guest_hypercall(HYPERCALL_EXITS, 0, 0, &after);
        guest_print("jitter: ns min %lu avg %lu max %lu, ticks %lu %lu %lu, ", to_ns(w.min),
                    to_ns(w.sum / w.count), to_ns(w.max), w.min, w.sum / w.count, w.max);
        guest_print("samples %lu, missed %lu, ", w.count, w.missed);
        if (known)
            guest_print("exits %lu\n", after - before - 1); /* the second question is one too */
        else
            guest_print("exits n/a\n");
    }
    guest_print("jitter: done\n");
}
