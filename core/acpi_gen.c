/* SPDX-License-Identifier: Apache-2.0 */
/* RSDP, XSDT, FADT, DSDT, MADT, one behind the other. Knows ACPI's output side only; what the host's tables
 * say is core/acpi.c's business. */
#include "core/acpi_gen.h"

#include "core/bytes.h"
#include "core/log.h"

#include "gen/dsdt_aml.h" /* static const uint8_t dsdt_aml[], made from core/dsdt.asl */

#define ROOM                 (MIB(1) - ACPI_RSDP)
#define RSDP_BYTES           36u
#define HEADER_BYTES         36u
#define XSDT_BYTES           (HEADER_BYTES + 2 * 8)
#define FADT_BYTES           276u
#define MADT_BYTES(nr_vcpus) (44 + 8 * (nr_vcpus) + 12)

/* Where each table begins, from ACPI_RSDP; MADT is last because it alone varies in length. */
enum { RSDP = 0, XSDT = 64, FADT = 128, DSDT = 416, MADT = (DSDT + sizeof(dsdt_aml) + 15) & ~15ul };
_Static_assert(RSDP + RSDP_BYTES <= XSDT && XSDT + XSDT_BYTES <= FADT && FADT + FADT_BYTES <= DSDT, "room");
_Static_assert(MADT + MADT_BYTES(MAX_CPUS) <= ROOM, "room for the largest MADT");
_Static_assert(MAX_CPUS <= 255, "ids from 255 up need Processor Local x2APIC entries");

#define REGISTER 0x01000801u /* I/O space, 8 bits wide, byte access */

/* What is the same in every guest and not 0. No FACS, no 8259s, no legacy devices. */
static const struct {
    uint16_t at;
    uint8_t bytes;
    uint64_t value;
} constants[] = {
    {RSDP + 0, 8, UINT64_C(0x2052545020445352)}, /* "RSD PTR " */
    {RSDP + 15, 1, 2},                           /* revision */
    {RSDP + 20, 4, RSDP_BYTES},
    {RSDP + 24, 8, ACPI_RSDP + XSDT},
    {XSDT + HEADER_BYTES, 8, ACPI_RSDP + FADT},
    {XSDT + HEADER_BYTES + 8, 8, ACPI_RSDP + MADT},
    {FADT + 40, 4, ACPI_RSDP + DSDT},
    {FADT + 109, 2, BIT(2) | BIT(5)}, /* no VGA, no RTC; BIT(1) not set: no 8042 */
    /* WBINVD works, C1 on all CPUs, no fixed power or sleep button, reset register, hardware-reduced */
    {FADT + 112, 4, BIT(0) | BIT(2) | BIT(4) | BIT(5) | BIT(10) | BIT(20)},
    {FADT + 116, 4, REGISTER}, /* RESET_REG */
    {FADT + 120, 8, 0xCF9},
    {FADT + 128, 1, 6}, /* RESET_VALUE */
    {FADT + 140, 8, ACPI_RSDP + DSDT},
    {FADT + 244, 4, REGISTER}, /* SLEEP_CONTROL_REG */
    {FADT + 248, 8, ACPI_SLEEP_PORT},
    {FADT + 256, 4, REGISTER}, /* SLEEP_STATUS_REG */
    {FADT + 260, 8, ACPI_SLEEP_PORT + 1},
    {FADT + 268, 8, UINT64_C(0x006E6F696C6C754D)}, /* hypervisor vendor, "Mullion" */
    {MADT + 36, 4, 0xFEE00000},
};

/* The byte that makes the sum zero where there was a zero. */
static uint8_t acpi_gen_checksum(const uint8_t *at, size_t bytes) {
    uint8_t sum = 0;
    for (size_t i = 0; i < bytes; i++)
        sum = (uint8_t)(sum - at[i]);
    return sum;
}

/* Header and checksum, when the rest of a table is in place. */
static void acpi_gen_seal(uint8_t *table, const char *signature, uint8_t revision, uint32_t length) {
    memcpy(table, signature, 4);
    bytes_put(table + 4, 4, length);
    bytes_put(table + 8, 2, revision); /* and the checksum, 0 */
    memcpy(table + 10, "MULLIOMULLION ", 14);
    bytes_put(table + 24, 4, 1);
    memcpy(table + 28, "MULL", 4);
    bytes_put(table + 32, 4, 1);
    table[9] = acpi_gen_checksum(table, length);
}

/* The build's DSDT with VUEN, the value of COM1's _STA, set to "absent" where there is no UART. */
static void acpi_gen_dsdt(uint8_t *dsdt, bool vuart) {
    static const uint8_t present[] = {0x08, 'V', 'U', 'E', 'N', 0x0A, 0x0F}; /* NameOp, name, byte */
    memcpy(dsdt, dsdt_aml, sizeof(dsdt_aml));
    for (size_t at = HEADER_BYTES; !vuart && at + sizeof(present) <= sizeof(dsdt_aml); at++)
        if (memcmp(dsdt + at, present, sizeof(present)) == 0)
            dsdt[at + sizeof(present) - 1] = 0;
    acpi_gen_seal(dsdt, "DSDT", 2, sizeof(dsdt_aml));
}

static void acpi_gen_madt(uint8_t *madt, unsigned nr_vcpus) {
    uint8_t *entry = madt + 44;
    for (unsigned i = 0; i < nr_vcpus; i++, entry += 8)
        memcpy(entry, (const uint8_t[]){0, 8, (uint8_t)i, (uint8_t)i, 1, 0, 0, 0}, 8); /* enabled */
    memcpy(entry, (const uint8_t[]){1, 12, 0, 0, 0, 0, 0xC0, 0xFE, 0, 0, 0, 0}, 12);   /* IOAPIC, GSI 0 */
    acpi_gen_seal(madt, "APIC", 5, MADT_BYTES(nr_vcpus));
}

enum err acpi_gen(const struct guest_map *map, unsigned nr_vcpus, bool vuart) {
    uint8_t *base = guest_map_ptr(map, gpa(ACPI_RSDP), ROOM);
    if (base == NULL) {
        log_line("acpi: no memory at guest address 0x%lx for the ACPI tables", ACPI_RSDP);
        return ERR_NOT_FOUND;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(constants); i++)
        bytes_put(base + constants[i].at, constants[i].bytes, constants[i].value);
    memcpy(base + RSDP + 9, "MULLIO", 6);
    base[RSDP + 8] = acpi_gen_checksum(base + RSDP, 20);
    base[RSDP + 32] = acpi_gen_checksum(base + RSDP, RSDP_BYTES);
    acpi_gen_seal(base + XSDT, "XSDT", 1, XSDT_BYTES);
    acpi_gen_seal(base + FADT, "FACP", 6, FADT_BYTES);
    acpi_gen_dsdt(base + DSDT, vuart);
    acpi_gen_madt(base + MADT, nr_vcpus);
    return ERR_OK;
}
