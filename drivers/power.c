/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the registers that end everything; when to do so is decided elsewhere. Only ports that
 * ACPI names or that every PC has: an emulator's private port may be a device's on a real board. */
#include "drivers/power.h"

#include "arch/x86/cpu.h"

#define PM1_SLP_TYP        10 /* "PM1 Control Registers": bits 10 to 12 */
#define PM1_SLP_TYP_MASK   (7u << PM1_SLP_TYP)
#define PM1_SLP_EN         (1u << 13)
#define PORT_DELAY         0x80 /* power-on self test codes: reading takes about 1 us */
#define PORT_RESET_CONTROL 0xcf9
#define PORT_KEYBOARD      0x64
#define KEYBOARD_BUSY      0x02
#define KEYBOARD_RESET     0xfe

static void power_delay(void) {
    for (unsigned i = 0; i < 100000; i++)
        (void)cpu_in8(PORT_DELAY);
}

static void pm1_sleep(uint16_t port, unsigned type) {
    if (port == 0)
        return;
    unsigned value = (cpu_in16(port) & ~(PM1_SLP_TYP_MASK | PM1_SLP_EN)) | (type & 7) << PM1_SLP_TYP;
    cpu_out16(port, (uint16_t)value); /* in two steps, as some chipsets want it */
    cpu_out16(port, (uint16_t)(value | PM1_SLP_EN));
}

void power_off(const struct platform *platform) {
    if (platform->has_s5) {
        pm1_sleep(platform->pm1a_port, platform->s5_typ_a);
        pm1_sleep(platform->pm1b_port, platform->s5_typ_b);
        power_delay();
    }
}

void power_reset(const struct platform *platform) {
    /* "Reset Register": in memory it would be out of our sight by now, in bus 0's it is the next one. */
    if (platform->reset_reg.address != 0 && platform->reset_reg.space == SPACE_IO) {
        cpu_out8((uint16_t)platform->reset_reg.address, platform->reset_value);
        power_delay();
    }
    cpu_out8(PORT_RESET_CONTROL, 0x02); /* a hard reset is meant */
    cpu_out8(PORT_RESET_CONTROL, 0x06); /* now */
    power_delay();
    for (unsigned i = 0; i < 10000 && (cpu_in8(PORT_KEYBOARD) & KEYBOARD_BUSY) != 0; i++)
        (void)cpu_in8(PORT_DELAY);
    cpu_out8(PORT_KEYBOARD, KEYBOARD_RESET);
    power_delay();
}
