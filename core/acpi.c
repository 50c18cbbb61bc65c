/* SPDX-License-Identifier: Apache-2.0 */
/* ACPI tables -> struct platform: from the RSDP to each table, and the small tables. Reaches memory
 * only through host_phys and looks into no table before signature, length and checksum are checked.
 */
#include "core/acpi.h"

#include "core/acpi_table.h"
#include "core/host.h"
#include "core/log.h"
#include "core/range.h"

/* Offsets; the number behind a name is the field's width in bytes where that is not 4. */
enum {
    RSDP_REVISION_1 = 15,
    RSDP_RSDT = 16,
    RSDP_V1_BYTES = 20,
    RSDP_XSDT_8 = 24,

    TABLE_LENGTH = 4,

    HPET_BASE = 40,
    HPET_BYTES = 56,

    MCFG_BYTES = 44, /* entries follow */
    MCFG_ENTRY_BYTES = 16,
    MCFG_BASE_8 = 0,
    MCFG_SEGMENT_2 = 8,
    MCFG_BUS_FIRST_1 = 10,
    MCFG_BUS_LAST_1 = 11,

    DMAR_BYTES = 48,
};

#define TABLE_BYTES_MAX ((uint32_t)MIB(16)) /* far above any DSDT: bounds a wrong length */

static bool checksum_good(const uint8_t *at, uint32_t bytes) {
    uint8_t sum = 0;

    while (bytes-- > 0)
        sum = (uint8_t)(sum + *at++);
    return sum == 0;
}

enum err acpi_table_open(uint64_t at, const char *signature, uint32_t bytes_min, struct acpi_table *out) {
    struct acpi_table head = {host_phys(hpa(at), ACPI_HEADER_BYTES), ACPI_HEADER_BYTES};

    if (head.at != NULL) {
        if (memcmp(head.at, signature, 4) != 0) {
            log_line("ACPI: there is no table %s at 0x%lx", signature, at);
            return ERR_MALFORMED;
        }
        head.bytes = acpi_field_u32(&head, TABLE_LENGTH);
        if (head.bytes < bytes_min || head.bytes > TABLE_BYTES_MAX) {
            log_line("ACPI: table %s at 0x%lx has %u bytes, %u to %u are possible", signature, at, head.bytes,
                     bytes_min, TABLE_BYTES_MAX);
            return ERR_MALFORMED;
        }
        head.at = host_phys(hpa(at), head.bytes);
    }
    if (head.at == NULL) {
        log_line("ACPI: table %s: the %u bytes at 0x%lx are not mapped", signature, head.bytes, at);
        return ERR_RANGE;
    }
    if (!checksum_good(head.at, head.bytes)) {
        log_line("ACPI: table %s at 0x%lx has a wrong checksum", signature, at);
        return ERR_MALFORMED;
    }
    *out = head;
    return ERR_OK;
}

static enum err take_hpet(const struct acpi_table *t, struct platform *out) {
    struct acpi_address base = acpi_field_address(t, HPET_BASE);

    if (base.space != SPACE_MEMORY) {
        log_line("ACPI: HPET in address space %u, must be memory", base.space);
        return ERR_UNSUPPORTED;
    }
    out->hpet = hpa(base.address);
    return ERR_OK;
}

static void ecam_add(const struct acpi_table *e, struct platform *out) {
    uint64_t base = acpi_field(e, MCFG_BASE_8, 8);
    uint8_t first = acpi_field_u8(e, MCFG_BUS_FIRST_1), last = acpi_field_u8(e, MCFG_BUS_LAST_1);
    uint16_t segment = (uint16_t)acpi_field(e, MCFG_SEGMENT_2, 2);
    bool usable = base != 0 && first <= last && range_valid((struct range){base, MIB(last + 1)});

    if (!usable || out->nr_ecam == ARRAY_SIZE(out->ecam)) {
        log_line("ACPI: MCFG segment %u, buses %u to %u at 0x%lx ignored: %s", segment, first, last, base,
                 usable ? "too many" : "impossible");
        return;
    }
    out->ecam[out->nr_ecam].base = hpa(base); /* of bus 0, even where the first bus is another */
    out->ecam[out->nr_ecam].segment = segment;
    out->ecam[out->nr_ecam].bus_first = first;
    out->ecam[out->nr_ecam].bus_last = last;
    out->nr_ecam++;
}

static enum err take_mcfg(const struct acpi_table *t, struct platform *out) {
    for (uint32_t at = MCFG_BYTES; at + MCFG_ENTRY_BYTES <= t->bytes; at += MCFG_ENTRY_BYTES)
        ecam_add(&(struct acpi_table){t->at + at, MCFG_ENTRY_BYTES}, out);
    return ERR_OK;
}

static enum err take_dmar(const struct acpi_table *t, struct platform *out) {
    (void)t;
    out->has_dmar = true;
    return ERR_OK;
}

static const struct table_row {
    char signature[5];
    uint8_t bytes_min;
    bool required; /* its errors are the machine's */
    enum err (*take)(const struct acpi_table *t, struct platform *out);
} table_rows[] = {
    {"APIC", ACPI_MADT_BYTES, true, acpi_madt_read}, {"FACP", ACPI_FADT_BYTES, false, acpi_fadt_read},
    {"HPET", HPET_BYTES, false, take_hpet},          {"MCFG", MCFG_BYTES, false, take_mcfg},
    {"DMAR", DMAR_BYTES, false, take_dmar},
};

/* Index in table_rows, or their number if the table at `at` is none of them. */
static unsigned table_find(uint64_t at) {
    const uint8_t *p = host_phys(hpa(at), ACPI_HEADER_BYTES);
    unsigned i = 0;

    if (p == NULL) {
        log_line("ACPI: a table at 0x%lx is not mapped", at);
        return ARRAY_SIZE(table_rows);
    }
    while (i < ARRAY_SIZE(table_rows) && memcmp(p, table_rows[i].signature, 4) != 0)
        i++;
    return i;
}

static must_check enum err root_walk(const struct acpi_table *root, uint32_t width, struct platform *out) {
    uint64_t seen = 0; /* bit = row; only the first of a kind is tried */

    for (uint32_t at = ACPI_HEADER_BYTES; at + width <= root->bytes; at += width) {
        uint64_t table = acpi_field(root, at, width);
        unsigned i = table != 0 ? table_find(table) : ARRAY_SIZE(table_rows);
        struct acpi_table t;
        enum err e;

        if (i == ARRAY_SIZE(table_rows) || (seen & BIT(i)))
            continue;
        seen |= BIT(i);
        e = acpi_table_open(table, table_rows[i].signature, table_rows[i].bytes_min, &t);
        if (e == ERR_OK)
            e = table_rows[i].take(&t, out);
        if (e != ERR_OK && table_rows[i].required)
            return e;
    }
    if (out->nr_cpus == 0) {
        log_line("ACPI: no MADT (table APIC): the machine's CPUs are not known");
        return ERR_NOT_FOUND;
    }
    return ERR_OK;
}

/* XSDT if there is a sound one, else RSDT; *width = bytes of one entry. */
static must_check enum err root_open(const struct boot_info *info, struct acpi_table *root, uint32_t *width) {
    struct acpi_table rsdp = {info->rsdp, info->rsdp_bytes};
    uint64_t xsdt = acpi_field(&rsdp, RSDP_XSDT_8, 8);

    if (memcmp(rsdp.at, "RSD PTR ", 8) != 0 || !checksum_good(rsdp.at, RSDP_V1_BYTES)) {
        log_line("ACPI: the RSDP has a wrong signature or checksum");
        return ERR_MALFORMED;
    }
    *width = 8;
    if (acpi_field_u8(&rsdp, RSDP_REVISION_1) >= 2 && xsdt != 0) {
        if (!checksum_good(rsdp.at, rsdp.bytes))
            log_line("ACPI: the RSDP has a wrong extended checksum, its XSDT is not used");
        else if (acpi_table_open(xsdt, "XSDT", ACPI_HEADER_BYTES, root) == ERR_OK)
            return ERR_OK;
    }
    *width = 4;
    return acpi_table_open(acpi_field_u32(&rsdp, RSDP_RSDT), "RSDT", ACPI_HEADER_BYTES, root);
}

enum err acpi_parse(const struct boot_info *info, struct platform *out) {
    struct acpi_table root;
    uint32_t width;
    enum err e;

    memset(out, 0, sizeof(*out));
    if (info->rsdp_bytes == 0) {
        log_line("ACPI: the boot loader passed no RSDP");
        return ERR_NOT_FOUND;
    }
    e = root_open(info, &root, &width);
    return e != ERR_OK ? e : root_walk(&root, width, out);
}
