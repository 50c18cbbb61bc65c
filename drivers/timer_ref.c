/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a reference clock and the time-stamp counter side by side; core/tsc.c does the arithmetic.
 * Every loop is bounded: a dead clock costs a second of boot, not the boot. The 8254 is no reference:
 * where a CPU we run on has no ACPI PM timer beside it, its clock is gated too, and leaf 15H is there. */
#include "drivers/timer_ref.h"

#include "arch/x86/cpu.h"
#include "core/tsc.h"
#include "core/vrtc.h"

#define CMOS_INDEX     0x70
#define CMOS_DATA      0x71
#define CLOCK_TRIES    8
#define MAX_READS      1000000
#define SAMPLES        5
#define PM_TIMER_HZ    3579545
#define PM_TIMER_TICKS (PM_TIMER_HZ / 33) /* 30 ms, of 4.6 s until it wraps */
#define PM_TIMER_MASK  0xffffff           /* the upper 8 bits may or may not count */

struct reading {
    uint64_t tsc;
    uint32_t timer;
};

/* The reading least disturbed of a few: an SMI or an emulator's pause makes one take long. */
static struct reading pm_timer_read(uint16_t port) {
    struct reading best = {0, 0};
    uint64_t best_width = UINT64_MAX;
    for (unsigned i = 0; i < SAMPLES; i++) {
        uint64_t before = cpu_rdtsc();
        uint32_t timer = cpu_in32(port) & PM_TIMER_MASK;
        uint64_t width = cpu_rdtsc() - before;
        if (width < best_width) {
            best_width = width;
            best = (struct reading){before + width / 2, timer};
        }
    }
    return best;
}

uint64_t timer_measure_tsc_khz(const struct platform *platform) {
    uint16_t port = platform->pm_timer_port;
    if (port == 0)
        return 0;
    struct reading start = pm_timer_read(port);
    for (unsigned i = 0; i < MAX_READS; i++) {
        if (((cpu_in32(port) - start.timer) & PM_TIMER_MASK) >= PM_TIMER_TICKS) {
            struct reading end = pm_timer_read(port);
            return tsc_khz_measured(end.tsc - start.tsc, (end.timer - start.timer) & PM_TIMER_MASK,
                                    PM_TIMER_HZ);
        }
    }
    return 0;
}

/* Two equal readings in a row were not torn by an update. */
uint64_t timer_read_clock(void) {
    uint8_t registers[VRTC_REGISTERS];
    uint64_t last = 0, seconds = 0;
    for (unsigned tries = 0; tries < CLOCK_TRIES && (seconds == 0 || seconds != last); tries++) {
        last = seconds;
        for (unsigned i = 0; i < VRTC_REGISTERS; i++) {
            cpu_out8(CMOS_INDEX, (uint8_t)i);
            registers[i] = cpu_in8(CMOS_DATA);
        }
        seconds = vrtc_seconds(registers);
    }
    return seconds;
}
