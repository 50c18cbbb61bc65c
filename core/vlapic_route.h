/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets an interrupt: what an ICR or an IOAPIC's message means among the vCPUs of a partition.
 * Pure; nothing outside the partition can be addressed. */
#pragma once

#include "core/types.h"
#include "core/vioapic.h"

struct vlapic;

/* Delivery modes of ICR and LVT. */
enum {
    APIC_MODE_FIXED,
    APIC_MODE_LOWEST,
    APIC_MODE_SMI,
    APIC_MODE_REMOTE_READ,
    APIC_MODE_NMI,
    APIC_MODE_INIT,
    APIC_MODE_SIPI,
    APIC_MODE_EXTINT,
};

struct ipi {
    enum { IPI_NONE, IPI_FIXED, IPI_NMI, IPI_INIT, IPI_SIPI } kind;
    uint8_t vector;
    uint64_t targets; /* bit n = vCPU n */
};

/* What an ICR asks for, without targets; IPI_NONE for INIT level de-assert, which does nothing.
 * False: what no guest may send (SMI, remote read) or no CPU can (reserved, illegal vector). */
must_check bool vlapic_icr_decode(uint64_t icr, struct ipi *out);

/* Who gets what from an ICR that vCPU `self` wrote. all[n] is vCPU n of the partition. */
void vlapic_route(const struct vlapic *const *all, unsigned count, unsigned self, uint64_t icr,
                  struct ipi *out);
void vlapic_route_message(const struct vlapic *const *all, unsigned count, const struct irq_message *message,
                          struct ipi *out);
