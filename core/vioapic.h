/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's IOAPIC: 24 pins, version 20H. Pure state: it turns a pin into a message, the caller
 * routes and sends it. Interrupts are real IPIs which the guest ends at its own local APIC without
 * our seeing it, so every pin acts as an edge and Remote IRR never reads 1. */
#pragma once

#include "core/types.h"

#define VIOAPIC_PINS 24

struct vioapic {
    uint32_t id; /* register 0, bits 27:24 */
    uint8_t select;
    uint64_t entries[VIOAPIC_PINS];
    uint32_t pending; /* bit n: pin n was raised while masked */
};

void vioapic_reset(struct vioapic *io);

/* Aligned 32-bit access at `offset` in the page. Elsewhere: reads 0, writes are ignored. */
uint32_t vioapic_read(const struct vioapic *io, uint32_t offset);
void vioapic_write(struct vioapic *io, uint32_t offset, uint32_t value);

/* An edge on `pin`. True: send *message, a fixed, lowest-priority or NMI entry, with
 * vlapic_route_message. A masked pin latches it (hardware would lose it; a driver that masks for a
 * moment must not hang), and vioapic_next hands it out after the unmasking. */
must_check bool vioapic_raise(struct vioapic *io, unsigned pin, uint64_t *message);

/* To be called after vioapic_write until false: the messages of latched pins now unmasked. */
must_check bool vioapic_next(struct vioapic *io, uint64_t *message);
