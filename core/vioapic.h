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

/* An edge on `pin`. A masked pin latches it: hardware would lose it, but a driver that masks for a
 * moment must not hang. */
void vioapic_raise(struct vioapic *io, unsigned pin);

/* To be called after vioapic_raise and vioapic_write until false: the entries of raised pins that are
 * not masked, for vlapic_route_message, which refuses what a guest may not send. */
must_check bool vioapic_next(struct vioapic *io, uint64_t *message);
