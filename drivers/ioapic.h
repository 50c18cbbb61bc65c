/* SPDX-License-Identifier: Apache-2.0 */
/* A real IOAPIC, through its mapped register page. Which pin and which CPU is decided elsewhere. */
#pragma once

#include "core/types.h"

/* Mask every pin. */
void ioapic_mask_all(volatile void *page);

/* Deliver a pin as NMI to one CPU and unmask it. An NMI is edge-triggered whatever the line is
 * ("Interrupt Command Register", delivery mode NMI): the device's driver has to make new edges.
 * False if the IOAPIC has no such pin or cannot name that CPU. */
must_check bool ioapic_route_nmi(volatile void *page, unsigned pin, uint32_t apic_id, bool active_low);

/* Silence the 8259 pair for good. Firmware leaves its timer tick on vector 8, which is #DF. */
void pic_disable(void);
