/* SPDX-License-Identifier: Apache-2.0 */
/* The IOAPIC's registers and what a pin's entry asks for. May touch its struct only. */
#include "core/vioapic.h"

enum { OFFSET_SELECT = 0x00, OFFSET_WINDOW = 0x10 };
enum { REG_ID, REG_VERSION, REG_ARBITRATION, REG_TABLE = 0x10 };

#define VERSION      (((VIOAPIC_PINS - 1u) << 16) | 0x20u)
#define ID_MASK      UINT32_C(0x0f000000)
#define ENTRY_LOW    UINT32_C(0x0001afff) /* writable; status and Remote IRR are not */
#define ENTRY_HIGH   UINT32_C(0xff000000)
#define ENTRY_MASKED BIT(16)

void vioapic_reset(struct vioapic *io) {
    *io = (struct vioapic){0};
    for (unsigned pin = 0; pin < VIOAPIC_PINS; pin++)
        io->entries[pin] = ENTRY_MASKED;
}

static uint32_t window_read(const struct vioapic *io) {
    unsigned pin = io->select / 2u - REG_TABLE / 2u; /* below the table: beyond all pins */
    if (io->select == REG_ID || io->select == REG_ARBITRATION)
        return io->id;
    if (io->select == REG_VERSION)
        return VERSION;
    return pin >= VIOAPIC_PINS ? 0 : (uint32_t)(io->entries[pin] >> (io->select % 2 * 32));
}

static void window_write(struct vioapic *io, uint32_t value) {
    unsigned pin = io->select / 2u - REG_TABLE / 2u; /* below the table: beyond all pins */
    if (io->select == REG_ID) {
        io->id = value & ID_MASK;
    } else if (pin < VIOAPIC_PINS) {
        uint64_t *entry = &io->entries[pin];
        *entry = io->select % 2 == 0 ? (*entry & ~UINT64_C(0xffffffff)) | (value & ENTRY_LOW)
                                     : (uint32_t)*entry | (uint64_t)(value & ENTRY_HIGH) << 32;
    }
}

uint32_t vioapic_read(const struct vioapic *io, uint32_t offset) {
    if (offset == OFFSET_SELECT)
        return io->select;
    return offset == OFFSET_WINDOW ? window_read(io) : 0;
}

void vioapic_write(struct vioapic *io, uint32_t offset, uint32_t value) {
    if (offset == OFFSET_SELECT)
        io->select = (uint8_t)value;
    else if (offset == OFFSET_WINDOW)
        window_write(io, value); /* the EOI register at 40H does nothing: no pin ever waits for one */
}

void vioapic_raise(struct vioapic *io, unsigned pin) {
    io->pending |= UINT32_C(1) << pin;
}

bool vioapic_next(struct vioapic *io, uint64_t *message) {
    for (uint32_t left = io->pending; left != 0; left &= left - 1) {
        unsigned pin = (unsigned)__builtin_ctz(left);
        if ((io->entries[pin] & ENTRY_MASKED) == 0) {
            io->pending &= ~(UINT32_C(1) << pin);
            *message = io->entries[pin];
            return true;
        }
    }
    return false;
}
