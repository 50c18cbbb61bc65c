/* SPDX-License-Identifier: Apache-2.0 */
/* The ACPI table MADT: CPUs, I/O APICs, interrupt overrides. Reads only the table it is given. */
#include "core/acpi_table.h"

#include "core/log.h"

/* Offsets; the number behind a name is the field's width in bytes where that is not 4. */
enum {
    MADT_LAPIC = 36,
    MADT_FLAGS = 40,

    ENTRY_TYPE_1 = 0, /* in every entry, then by type */
    ENTRY_LENGTH_1 = 1,
    ENTRY_HEAD_BYTES = 2,
    LAPIC_UID_1 = 2,
    LAPIC_ID_1 = 3,
    LAPIC_FLAGS = 4,
    IOAPIC_ID_1 = 2,
    IOAPIC_ADDRESS = 4,
    IOAPIC_GSI_BASE = 8,
    OVERRIDE_BUS_1 = 2,
    OVERRIDE_SOURCE_1 = 3,
    OVERRIDE_GSI = 4,
    OVERRIDE_FLAGS_2 = 8,
    LAPIC_ADDRESS_8 = 4,
    X2APIC_ID = 4,
    X2APIC_FLAGS = 8,
    X2APIC_UID = 12,
};

#define MADT_PCAT_COMPAT BIT(0)
#define LAPIC_ENABLED    BIT(0) /* "online capable" alone is no CPU that can be started */

static void cpu_add(uint32_t apic_id, uint32_t uid, uint32_t flags, struct platform *out) {
    if (!(flags & LAPIC_ENABLED)) {
        out->cpus_disabled++;
        return;
    }
    for (unsigned i = 0; i < out->nr_cpus; i++) {
        if (out->cpus[i].apic_id == apic_id) {
            out->cpus_duplicate++;
            return;
        }
    }
    if (out->nr_cpus == MAX_CPUS) {
        out->cpus_beyond_limit++;
        return;
    }
    out->cpus[out->nr_cpus++] = (struct platform_cpu){apic_id, uid};
}

static enum err take_lapic(const struct acpi_table *e, struct platform *out) {
    uint8_t apic_id = acpi_field_u8(e, LAPIC_ID_1);

    if (apic_id != 0xff) /* the broadcast id: an unused entry */
        cpu_add(apic_id, acpi_field_u8(e, LAPIC_UID_1), acpi_field_u32(e, LAPIC_FLAGS), out);
    return ERR_OK;
}

static enum err take_x2apic(const struct acpi_table *e, struct platform *out) {
    uint32_t apic_id = acpi_field_u32(e, X2APIC_ID);

    if (apic_id != 0xffffffff)
        cpu_add(apic_id, acpi_field_u32(e, X2APIC_UID), acpi_field_u32(e, X2APIC_FLAGS), out);
    return ERR_OK;
}

static enum err take_ioapic(const struct acpi_table *e, struct platform *out) {
    struct platform_ioapic ioapic = {
        .id = acpi_field_u8(e, IOAPIC_ID_1),
        .at = hpa(acpi_field_u32(e, IOAPIC_ADDRESS)),
        .gsi_base = acpi_field_u32(e, IOAPIC_GSI_BASE),
    };

    if (ioapic.at.v == 0) {
        log_line("ACPI: I/O APIC %u has no address, ignored", ioapic.id);
        return ERR_OK;
    }
    if (out->nr_ioapics == MAX_IOAPICS) {
        log_line("ACPI: more than %d I/O APICs", MAX_IOAPICS);
        return ERR_FULL;
    }
    out->ioapics[out->nr_ioapics++] = ioapic;
    return ERR_OK;
}

static bool override_known(const struct platform *out, uint8_t isa_irq) {
    for (unsigned i = 0; i < out->nr_overrides; i++)
        if (out->overrides[i].isa_irq == isa_irq)
            return true;
    return false;
}

static enum err take_irq_override(const struct acpi_table *e, struct platform *out) {
    uint8_t bus = acpi_field_u8(e, OVERRIDE_BUS_1), irq = acpi_field_u8(e, OVERRIDE_SOURCE_1);
    uint64_t flags = acpi_field(e, OVERRIDE_FLAGS_2, 2);

    _Static_assert(MAX_IRQ_OVERRIDES >= 16, "room for each ISA interrupt once");
    if (bus != 0 || irq > 15 || override_known(out, irq)) {
        log_line("ACPI: override of interrupt %u of bus %u ignored", irq, bus);
        return ERR_OK;
    }
    out->overrides[out->nr_overrides++] = (struct platform_irq_override){
        .isa_irq = irq,
        .gsi = acpi_field_u32(e, OVERRIDE_GSI),
        .active_low = (flags & 3) == 3, /* 0, "as the bus", is high and edge for ISA */
        .level = (flags >> 2 & 3) == 3,
    };
    return ERR_OK;
}

static enum err take_lapic_address(const struct acpi_table *e, struct platform *out) {
    out->lapic = hpa(acpi_field(e, LAPIC_ADDRESS_8, 8));
    return ERR_OK;
}

static const struct madt_row {
    uint8_t type;
    uint8_t bytes_min;
    enum err (*take)(const struct acpi_table *e, struct platform *out);
} madt_rows[] = {
    {0, 8, take_lapic},          {1, 12, take_ioapic}, {2, 10, take_irq_override},
    {5, 12, take_lapic_address}, {9, 16, take_x2apic},
};

static must_check enum err madt_entry(const struct acpi_table *e, struct platform *out) {
    for (unsigned i = 0; i < ARRAY_SIZE(madt_rows); i++) {
        const struct madt_row *row = &madt_rows[i];

        if (row->type != acpi_field_u8(e, ENTRY_TYPE_1))
            continue;
        if (e->bytes < row->bytes_min) {
            log_line("ACPI: MADT entry of type %u has %u bytes, needs %u", row->type, e->bytes,
                     row->bytes_min);
            return ERR_MALFORMED;
        }
        return row->take(e, out);
    }
    return ERR_OK;
}

enum err acpi_madt_read(const struct acpi_table *t, struct platform *out) {
    uint32_t at = ACPI_MADT_BYTES;

    out->lapic = hpa(acpi_field_u32(t, MADT_LAPIC));
    out->has_8259 = (acpi_field_u32(t, MADT_FLAGS) & MADT_PCAT_COMPAT) != 0;
    while (at < t->bytes) {
        struct acpi_table e = {t->at + at, acpi_field_u8(t, at + ENTRY_LENGTH_1)};
        enum err error;

        if (e.bytes < ENTRY_HEAD_BYTES || e.bytes > t->bytes - at) {
            log_line("ACPI: MADT entry at offset %u has %u bytes, %d to %u are possible", at, e.bytes,
                     ENTRY_HEAD_BYTES, t->bytes - at);
            return ERR_MALFORMED;
        }
        error = madt_entry(&e, out);
        if (error != ERR_OK)
            return error;
        at += e.bytes;
    }
    if (out->nr_cpus == 0) {
        log_line("ACPI: the MADT has no enabled CPU, only %u disabled", out->cpus_disabled);
        return ERR_MALFORMED;
    }
    return ERR_OK;
}
