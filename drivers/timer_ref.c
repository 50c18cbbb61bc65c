/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a reference clock and the time-stamp counter side by side; core/tsc.c does the arithmetic.
 * Every loop is bounded: a dead clock costs a second of boot, not the boot. */
#include "drivers/timer_ref.h"

#include "arch/x86/cpu.h"
#include "core/tsc.h"
#include "core/vrtc.h"

#define CMOS_INDEX     0x70
#define CMOS_DATA      0x71
#define CLOCK_TRIES    8
#define ROUNDS         3
#define ROUNDS_PER_S   100 /* one lasts 10 ms */
#define MAX_READS      1000000
#define SAMPLES        5

#define PM_TIMER_HZ    3579545
#define PM_TIMER_MASK  0xffffff /* the upper 8 bits may or may not count */

#define PIT_HZ         1193182
#define PIT_CHANNEL2   0x42
#define PIT_COMMAND    0x43
#define PIT_ONE_SHOT   0xb0 /* channel 2, low then high byte, mode 0 */
#define PORT_B         0x61
#define PORT_B_GATE2   0x01
#define PORT_B_SPEAKER 0x02
#define PORT_B_OUT2    0x20

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

static uint64_t pm_timer_round(uint16_t port) {
    struct reading start = pm_timer_read(port), end;

    for (unsigned i = 0; i < MAX_READS; i++) {
        if (((cpu_in32(port) - start.timer) & PM_TIMER_MASK) >= PM_TIMER_HZ / ROUNDS_PER_S) {
            end = pm_timer_read(port);
            return tsc_khz_measured(end.tsc - start.tsc, (end.timer - start.timer) & PM_TIMER_MASK,
                                    PM_TIMER_HZ);
        }
    }
    return 0;
}

static uint64_t pit_round(void) {
    const uint16_t count = PIT_HZ / ROUNDS_PER_S;
    uint8_t port_b = cpu_in8(PORT_B);
    uint64_t start, khz = 0;

    cpu_out8(PORT_B, (uint8_t)((port_b & ~PORT_B_SPEAKER) | PORT_B_GATE2));
    cpu_out8(PIT_COMMAND, PIT_ONE_SHOT);
    cpu_out8(PIT_CHANNEL2, count & 0xff);
    cpu_out8(PIT_CHANNEL2, count >> 8);
    start = cpu_rdtsc();
    /* The output falls when the count is written: one that stays up belongs to no 8254. */
    for (unsigned i = 0; i < MAX_READS; i++) {
        if ((cpu_in8(PORT_B) & PORT_B_OUT2) != 0) {
            khz = i == 0 ? 0 : tsc_khz_measured(cpu_rdtsc() - start, count, PIT_HZ);
            break;
        }
    }
    cpu_out8(PORT_B, port_b);
    return khz;
}

uint64_t timer_measure_tsc_khz(const struct platform *platform) {
    bool has_pm = platform->pm_timer_port != 0;
    uint64_t khz[ROUNDS] = {0};

    for (unsigned i = 0; has_pm && i < ROUNDS; i++) {
        khz[i] = pm_timer_round(platform->pm_timer_port);
        has_pm = khz[i] != 0;
    }
    for (unsigned i = 0; !has_pm && i < ROUNDS; i++) {
        khz[i] = pit_round();
        if (khz[i] == 0)
            return 0;
    }
    return tsc_khz_median(khz, ROUNDS);
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
