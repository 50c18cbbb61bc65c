/* SPDX-License-Identifier: Apache-2.0 */
/* What ACPI says about the machine: acpi_parse fills it, nobody else knows ACPI's input tables. */
#pragma once

#include "core/limits.h"
#include "core/types.h"

struct platform_cpu {
    uint32_t apic_id;
    uint32_t acpi_uid;
};

struct platform_ioapic {
    uint8_t id;
    hpa_t at;
    uint32_t gsi_base;
};

struct platform_irq_override { /* ISA interrupt -> global system interrupt */
    uint8_t isa_irq;
    uint32_t gsi;
    bool active_low;
    bool level;
};

enum address_space { SPACE_MEMORY = 0, SPACE_IO = 1, SPACE_PCI = 2 };

struct acpi_address { /* Generic Address Structure; address 0 = absent */
    uint8_t space;
    uint8_t bits;
    uint64_t address;
};

struct platform {
    struct platform_cpu cpus[MAX_CPUS]; /* usable ones, in MADT order, each APIC id once */
    unsigned nr_cpus;
    unsigned cpus_disabled, cpus_duplicate, cpus_beyond_limit; /* entries left out, counted */
    hpa_t lapic;
    struct platform_ioapic ioapics[MAX_IOAPICS];
    unsigned nr_ioapics;
    struct platform_irq_override overrides[MAX_IRQ_OVERRIDES];
    unsigned nr_overrides;
    bool has_8259;

    bool has_fadt;
    bool hw_reduced;
    struct acpi_address pm_timer; /* space IO, 24 or 32 bits wide */
    bool pm_timer_32bit;
    struct acpi_address pm1a_cnt, pm1b_cnt, reset_reg;
    uint8_t reset_value;
    bool has_reset_reg;
    bool has_s5; /* \_S5 found in the DSDT; its SLP_TYP values */
    uint8_t s5_typ_a, s5_typ_b;

    hpa_t hpet; /* 0 = none */
    struct {
        hpa_t base;
        uint16_t segment;
        uint8_t bus_first, bus_last;
    } ecam[4];
    unsigned nr_ecam;
    bool has_dmar;
};

struct irq_route {
    uint32_t gsi;
    unsigned ioapic; /* index into platform.ioapics */
    unsigned pin;    /* of that IOAPIC; whether it has so many only its registers say */
    bool active_low;
};

/* Where an ISA interrupt arrives. False if no IOAPIC serves it. */
must_check bool platform_isa_route(const struct platform *platform, unsigned irq, struct irq_route *out);
