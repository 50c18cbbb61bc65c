/* SPDX-License-Identifier: Apache-2.0 */
/* IOAPIC registers ("82093AA I/O APIC" data sheet): an index and a window. */
#include "drivers/ioapic.h"

#define REG_INDEX    0x00
#define REG_WINDOW   0x10
#define IOAPIC_VER   0x01
#define IOAPIC_ENTRY 0x10 /* two 32-bit halves a pin */

#define ENTRY_NMI    0x00400
#define ENTRY_LOW    0x02000 /* active low */
#define ENTRY_MASKED 0x10000

static volatile uint32_t *ioapic_reg(volatile void *page, unsigned offset) {
    return (volatile uint32_t *)page + offset / sizeof(uint32_t);
}

static void ioapic_write(volatile void *page, unsigned index, uint32_t value) {
    *ioapic_reg(page, REG_INDEX) = index;
    *ioapic_reg(page, REG_WINDOW) = value;
}

static unsigned ioapic_pins(volatile void *page) {
    uint32_t version;

    *ioapic_reg(page, REG_INDEX) = IOAPIC_VER;
    version = *ioapic_reg(page, REG_WINDOW);
    return version == UINT32_MAX ? 0 : (version >> 16 & 0xff) + 1; /* all ones: nobody there */
}

void ioapic_mask_all(volatile void *page) {
    unsigned pins = ioapic_pins(page);

    for (unsigned pin = 0; pin < pins; pin++)
        ioapic_write(page, IOAPIC_ENTRY + 2 * pin, ENTRY_MASKED);
}

bool ioapic_route_nmi(volatile void *page, unsigned pin, uint32_t apic_id, bool active_low) {
    if (pin >= ioapic_pins(page) || apic_id >= 0xff) /* 8 bits, all ones = everybody */
        return false;
    ioapic_write(page, IOAPIC_ENTRY + 2 * pin, ENTRY_MASKED);
    ioapic_write(page, IOAPIC_ENTRY + 2 * pin + 1, apic_id << 24);
    ioapic_write(page, IOAPIC_ENTRY + 2 * pin, ENTRY_NMI | (active_low ? ENTRY_LOW : 0));
    return true;
}
