/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the registers that end everything; when to do so is decided elsewhere. Only ports that
 * ACPI names or that every PC has: an emulator's private port may be a device's on a real board. */
#include "drivers/power.h"

#include "arch/x86/cpu.h"
#include "core/host.h"

#define PM1_SCI_EN         (1u << 0) /* ACPI mode */
#define PM1_SLP_TYP        10        /* "PM1 Control Registers": bits 10 to 12 */
#define PM1_SLP_TYP_MASK   (7u << PM1_SLP_TYP)
#define PM1_SLP_EN         (1u << 13)
#define SLEEP_TYP          2 /* "Sleep Control Register": bits 2 to 4 */
#define SLEEP_EN           (1u << 5)
#define PORT_DELAY         0x80 /* power-on self test codes: reading takes about 1 us */
#define PORT_RESET_CONTROL 0xcf9
#define PORT_KEYBOARD      0x64
#define KEYBOARD_BUSY      0x02
#define KEYBOARD_RESET     0xfe
#define ACPI_MODE_WAITS    30

/* 0.1 s, or as long as an emulator takes. */
static void power_delay(void) {
    for (unsigned i = 0; i < 100000; i++)
        (void)cpu_in8(PORT_DELAY);
}

/* Write a register that ACPI describes; nothing happens if it is absent. */
static void register_write(struct acpi_address r, unsigned value) {
    volatile uint8_t *memory = r.space == SPACE_MEMORY ? host_phys(hpa(r.address), 1) : NULL;
    if (r.address == 0)
        return;
    if (r.space == SPACE_IO)
        cpu_out8((uint16_t)r.address, (uint8_t)value);
    else if (memory != NULL)
        *memory = (uint8_t)value;
    power_delay();
}

static void acpi_mode(const struct platform *platform) {
    if (platform->smi_port == 0 || platform->acpi_enable == 0 || platform->pm1a_port == 0)
        return;
    for (unsigned i = 0; i < ACPI_MODE_WAITS && (cpu_in16(platform->pm1a_port) & PM1_SCI_EN) == 0; i++) {
        if (i == 0)
            cpu_out8(platform->smi_port, platform->acpi_enable);
        power_delay();
    }
}

static void pm1_sleep(uint16_t port, unsigned type) {
    if (port == 0)
        return;
    unsigned value = (cpu_in16(port) & ~(PM1_SLP_TYP_MASK | PM1_SLP_EN)) | (type & 7) << PM1_SLP_TYP;
    cpu_out16(port, (uint16_t)value); /* in two steps, as some chipsets want it */
    cpu_out16(port, (uint16_t)(value | PM1_SLP_EN));
}

void power_off(const struct platform *platform) {
    if (!platform->has_s5)
        return;
    acpi_mode(platform); /* until then the registers are the firmware's */
    pm1_sleep(platform->pm1a_port, platform->s5_typ_a);
    pm1_sleep(platform->pm1b_port, platform->s5_typ_b);
    power_delay();
    register_write(platform->sleep_control, (unsigned)platform->s5_typ_a << SLEEP_TYP | SLEEP_EN);
}

void power_reset(const struct platform *platform) {
    register_write(platform->reset_reg, platform->reset_value);
    /* Every chipset of a CPU that we run on has this one. It comes before the keyboard controller's, which is
     * no more than an INIT on some boards: MSRs stay, and so does a device's DMA. */
    cpu_out8(PORT_RESET_CONTROL, 0x02); /* a hard reset is meant */
    cpu_out8(PORT_RESET_CONTROL, 0x06); /* now */
    power_delay();
    for (unsigned i = 0; i < 10000 && (cpu_in8(PORT_KEYBOARD) & KEYBOARD_BUSY) != 0; i++)
        (void)cpu_in8(PORT_DELAY);
    cpu_out8(PORT_KEYBOARD, KEYBOARD_RESET);
    power_delay();
}
