/* SPDX-License-Identifier: Apache-2.0 */
/* The IOAPIC's registers and what a pin's entry asks for. May touch its struct only. */
#include "core/vioapic.h"

#define IOREGSEL      0x00u
#define IOWIN         0x10u

#define REG_ID        0x00u
#define REG_VERSION   0x01u
#define REG_ARB       0x02u
#define REG_TABLE     0x10u
#define VERSION       (((VIOAPIC_PINS - 1u) << 16) | 0x20u)
#define ID_MASK       UINT32_C(0x0f000000)

#define ENTRY_LOW     UINT32_C(0x0001afff) /* writable; status and Remote IRR are not */
#define ENTRY_HIGH    UINT32_C(0xff000000)
#define ENTRY_LOGICAL BIT(11)
#define ENTRY_MASKED  BIT(16)

void vioapic_reset(struct vioapic *io) {
    *io = (struct vioapic){0};
    for (unsigned pin = 0; pin < VIOAPIC_PINS; pin++)
        io->entries[pin] = ENTRY_MASKED;
}

static uint32_t window_read(const struct vioapic *io) {
    unsigned pin = (io->select - REG_TABLE) / 2;

    if (io->select == REG_ID || io->select == REG_ARB)
        return io->id;
    if (io->select == REG_VERSION)
        return VERSION;
    if (io->select < REG_TABLE || pin >= VIOAPIC_PINS)
        return 0;
    return (uint32_t)(io->entries[pin] >> (io->select % 2 * 32));
}

static void window_write(struct vioapic *io, uint32_t value) {
    unsigned pin = (io->select - REG_TABLE) / 2;

    if (io->select == REG_ID) {
        io->id = value & ID_MASK;
    } else if (io->select >= REG_TABLE && pin < VIOAPIC_PINS) {
        uint64_t *entry = &io->entries[pin];

        *entry = io->select % 2 == 0 ? (*entry & ~UINT64_C(0xffffffff)) | (value & ENTRY_LOW)
                                     : (uint32_t)*entry | (uint64_t)(value & ENTRY_HIGH) << 32;
    }
}

uint32_t vioapic_read(const struct vioapic *io, uint32_t offset) {
    if (offset == IOREGSEL)
        return io->select;
    return offset == IOWIN ? window_read(io) : 0;
}

void vioapic_write(struct vioapic *io, uint32_t offset, uint32_t value) {
    if (offset == IOREGSEL) {
        io->select = (uint8_t)value;
    } else if (offset == IOWIN) {
        window_write(io, value);
    } /* the EOI register at 40H too: no pin ever waits for one */
}

/* The message of a latched pin, unless its entry is masked or asks for what it may not have. */
static bool pin_take(struct vioapic *io, unsigned pin, struct irq_message *out) {
    uint64_t entry = io->entries[pin];
    unsigned mode = entry >> 8 & 7;

    if ((entry & ENTRY_MASKED) != 0)
        return false;
    io->pending &= ~(UINT32_C(1) << pin);
    *out = (struct irq_message){
        .delivery = mode,
        .vector = (uint8_t)entry,
        .destination = (uint8_t)(entry >> 56),
        .logical = (entry & ENTRY_LOGICAL) != 0,
    };
    if (mode == IRQ_NMI || (mode <= IRQ_LOWEST && out->vector >= 16))
        return true;
    io->refused++;
    return false;
}

bool vioapic_raise(struct vioapic *io, unsigned pin, struct irq_message *out) {
    if (pin >= VIOAPIC_PINS)
        return false;
    io->pending |= UINT32_C(1) << pin;
    return pin_take(io, pin, out);
}

bool vioapic_next(struct vioapic *io, struct irq_message *out) {
    for (unsigned pin = 0; pin < VIOAPIC_PINS; pin++)
        if ((io->pending >> pin & 1) != 0 && pin_take(io, pin, out))
            return true;
    return false;
}
