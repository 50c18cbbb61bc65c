/* SPDX-License-Identifier: Apache-2.0 */
/* IOAPIC registers ("82093AA I/O APIC" data sheet): an index and a window. */
#include "drivers/ioapic.h"

#include "arch/x86/cpu.h"

#define PIC_MASTER   0x20
#define PIC_SLAVE    0xa0
#define PIC_VECTORS  0xf8
#define REG_INDEX    0x00
#define REG_WINDOW   0x10
#define IOAPIC_VER   0x01
#define IOAPIC_ENTRY 0x10 /* two 32-bit halves a pin */
#define ENTRY_NMI    0x00400
#define ENTRY_LOW    0x02000 /* active low */
#define ENTRY_MASKED 0x10000

/* Choose a register; it is then behind the window. */
static volatile uint32_t *ioapic_reg(volatile void *page, unsigned index) {
    *((volatile uint32_t *)page + REG_INDEX / sizeof(uint32_t)) = index;
    return (volatile uint32_t *)page + REG_WINDOW / sizeof(uint32_t);
}

static unsigned ioapic_pins(volatile void *page) {
    uint32_t version = *ioapic_reg(page, IOAPIC_VER);
    return version == UINT32_MAX ? 0 : (version >> 16 & 0xff) + 1; /* all ones: nobody there */
}

void ioapic_mask_all(volatile void *page) {
    unsigned pins = ioapic_pins(page);
    for (unsigned pin = 0; pin < pins; pin++)
        *ioapic_reg(page, IOAPIC_ENTRY + 2 * pin) = ENTRY_MASKED;
}

bool ioapic_route_nmi(volatile void *page, unsigned pin, uint32_t apic_id, bool active_low) {
    if (pin >= ioapic_pins(page) || apic_id >= 0xff) /* 8 bits, all ones = everybody */
        return false;
    *ioapic_reg(page, IOAPIC_ENTRY + 2 * pin) = ENTRY_MASKED;
    *ioapic_reg(page, IOAPIC_ENTRY + 2 * pin + 1) = apic_id << 24;
    *ioapic_reg(page, IOAPIC_ENTRY + 2 * pin) = ENTRY_NMI | (active_low ? ENTRY_LOW : 0);
    return true;
}

void pic_disable(void) {
    for (unsigned i = 0; i < 2; i++) {
        uint16_t command = i == 0 ? PIC_MASTER : PIC_SLAVE, data = (uint16_t)(command + 1);
        cpu_out8(command, 0x11);            /* ICW1: start over, which drops what is pending */
        cpu_out8(data, PIC_VECTORS);        /* ICW2: vectors that no exception has */
        cpu_out8(data, i == 0 ? 0x04 : 2u); /* ICW3: slave at pin 2 */
        cpu_out8(data, 0x01);               /* ICW4: 8086 mode */
        cpu_out8(data, 0xff);               /* mask every pin */
    }
}
