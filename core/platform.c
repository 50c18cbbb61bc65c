/* SPDX-License-Identifier: Apache-2.0 */
/* Answers drawn from what ACPI says about the machine. Pure. */
#include "core/platform.h"

bool platform_isa_route(const struct platform *platform, unsigned irq, struct irq_route *out) {
    const struct platform_ioapic *best = NULL;

    *out = (struct irq_route){.gsi = irq};
    for (unsigned i = 0; i < platform->nr_overrides; i++) {
        const struct platform_irq_override *o = &platform->overrides[i];

        if (o->isa_irq == irq) {
            *out = (struct irq_route){.gsi = o->gsi, .active_low = o->active_low};
            break;
        }
    }
    for (unsigned i = 0; i < platform->nr_ioapics; i++) {
        const struct platform_ioapic *io = &platform->ioapics[i];

        if (io->gsi_base <= out->gsi && (best == NULL || io->gsi_base > best->gsi_base))
            best = io;
    }
    if (best == NULL)
        return false;
    out->ioapic = (unsigned)(best - platform->ioapics);
    out->pin = out->gsi - best->gsi_base;
    return true;
}
