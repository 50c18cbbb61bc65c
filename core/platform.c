/* SPDX-License-Identifier: Apache-2.0 */
/* Answers drawn from what ACPI says about the machine. Pure. */
#include "core/platform.h"

bool platform_isa_route(const struct platform *platform, unsigned irq, struct irq_route *out) {
    uint32_t gsi = platform->isa[irq].gsi;
    bool found = false;
    for (unsigned i = 0; i < platform->nr_ioapics; i++) {
        uint32_t base = platform->ioapics[i].gsi_base;
        if (base <= gsi && (!found || gsi - base < out->pin)) {
            *out = (struct irq_route){i, gsi - base, platform->isa[irq].active_low};
            found = true;
        }
    }
    return found;
}
