/* SPDX-License-Identifier: Apache-2.0 */
/* Answers drawn from what ACPI says about the machine. Pure. */
#include "core/platform.h"

bool platform_isa_route(const struct platform *platform, unsigned irq, struct irq_route *out) {
    const struct platform_ioapic *best = NULL;
    uint32_t gsi = platform->isa[irq].gsi;

    for (unsigned i = 0; i < platform->nr_ioapics; i++) {
        const struct platform_ioapic *io = &platform->ioapics[i];

        if (io->gsi_base <= gsi && (best == NULL || io->gsi_base > best->gsi_base))
            best = io;
    }
    if (best == NULL)
        return false;
    *out = (struct irq_route){(unsigned)(best - platform->ioapics), gsi - best->gsi_base,
                              platform->isa[irq].active_low};
    return true;
}
