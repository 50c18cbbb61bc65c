/* SPDX-License-Identifier: Apache-2.0 */
/* What ACPI says about the machine: acpi_parse fills it, nobody else knows ACPI's input tables. */
#pragma once

#include "core/boot_info.h"
#include "core/bytes.h"

#define ISA_IRQS            16
#define PLATFORM_MAX_RANGES 16

struct platform_ioapic {
    hpa_t at;
    uint32_t gsi_base;
};

enum address_space { SPACE_MEMORY = 0, SPACE_IO = 1 };

struct acpi_address { /* Generic Address Structure; address 0 = absent */
    uint8_t space;
    uint64_t address; /* memory below 4 GiB, or a port */
};

struct uart_place {
    uint64_t address; /* 0 = none */
    uint8_t stride;   /* in memory: bytes of an access, and from one register to the next; 0 = it has ports */
};

/* A UART has eight registers, within a page. */
static inline struct range uart_range(struct uart_place at) {
    return (struct range){at.address, at.address == 0 ? 0 : at.stride == 0 ? 8 : 8u * at.stride};
}

struct platform {
    uint32_t apic_ids[MAX_CPUS]; /* of the usable CPUs, in MADT order, each once */
    unsigned nr_cpus;
    unsigned smt_shift; /* from CPUID: ids that differ in so many low bits only are threads of one core */
    hpa_t lapic;
    bool has_8259;
    struct platform_ioapic ioapics[MAX_IOAPICS];
    unsigned nr_ioapics;
    struct {
        uint32_t gsi; /* global system interrupt */
        bool active_low;
    } isa[ISA_IRQS];

    uint16_t pm_timer_port; /* counts 24 or 32 bits; this and the next three: 0 = absent */
    uint16_t pm1a_port, pm1b_port;
    uint16_t smi_port; /* where acpi_enable, written, switches to ACPI mode */
    uint8_t acpi_enable;
    bool has_s5; /* \_S5 found in the DSDT; its SLP_TYP values */
    uint8_t s5_typ_a, s5_typ_b;
    struct acpi_address sleep_control; /* of hardware-reduced ACPI, instead of PM1 */
    struct acpi_address reset_reg;
    uint8_t reset_value;

    struct uart_place uart; /* a 16550 that SPCR gives for a console */

    hpa_t hpet;                             /* 0 = none */
    struct range ecam[PLATFORM_MAX_RANGES]; /* PCI configuration space in memory; what does not fit is joined
                                               with the last */
    unsigned nr_ecam;
    struct range vtd[PLATFORM_MAX_RANGES]; /* registers of DMA remapping units, in the same way */
    unsigned nr_vtd;
};

struct irq_route {
    unsigned ioapic; /* index into platform.ioapics */
    unsigned pin;    /* of that IOAPIC; whether it has so many only its registers say */
    bool active_low;
};

/* The threads of the physical core that CPU `n` is one of, itself included: bit i = apic_ids[i]. */
static inline uint64_t platform_siblings(const struct platform *platform, unsigned n) {
    uint64_t siblings = 0;
    for (unsigned i = 0; i < platform->nr_cpus; i++)
        if (((platform->apic_ids[i] ^ platform->apic_ids[n]) >> platform->smt_shift) == 0)
            siblings |= BIT(i);
    return siblings;
}

/* Read the tables that info->rsdp leads to, through host_phys. What is wrong is logged. Without an RSDP, a
 * root table or a sound MADT with a usable CPU it fails; any other table that is missing, unmapped or broken
 * leaves its fields of *out zero. I/O APICs that lie in memory or in one another are ignored. Of two tables
 * with one signature the first counts. */
must_check enum err acpi_parse(const struct boot_info *info, struct platform *out);

/* Make the CPU with this APIC id, on which we run, the first; the MADT need not list it. */
void platform_boot_core_first(struct platform *platform, uint32_t apic_id);

/* Where the interrupt of the UART at `port` arrives. False if no IOAPIC serves it or the port is not one of
 * COM1 to COM4: what a card in another slot is wired to, these tables do not say. */
must_check bool platform_uart_route(const struct platform *platform, uint16_t port, struct irq_route *out);
