/* SPDX-License-Identifier: Apache-2.0 */
/* Reading one ACPI table without trusting it; what acpi*.c share. For nobody else. */
#pragma once

#include "core/err.h"
#include "core/platform.h"
#include "core/str.h"
#include "core/types.h"

#define ACPI_HEADER_BYTES 36 /* of every table; offsets count from its start */

/* Generic Address Structure: offsets; the number behind a name is the width in bytes. */
enum {
    GAS_SPACE_1 = 0,
    GAS_BITS_1 = 1,
    GAS_ADDRESS_8 = 4,
};

/* A table, or a part of one, that is known to be mapped. */
struct acpi_table {
    const uint8_t *at;
    uint32_t bytes;
};

/* Little-endian. What lies behind the end reads as zero, as fields younger than a table should. */
static inline uint64_t acpi_field(const struct acpi_table *s, uint32_t offset, uint32_t bytes) {
    uint64_t v = 0;

    if (offset <= s->bytes && bytes <= s->bytes - offset)
        memcpy(&v, s->at + offset, bytes);
    return v;
}

static inline uint32_t acpi_field_u32(const struct acpi_table *s, uint32_t offset) {
    return (uint32_t)acpi_field(s, offset, 4);
}

static inline uint8_t acpi_field_u8(const struct acpi_table *s, uint32_t offset) {
    return (uint8_t)acpi_field(s, offset, 1);
}

static inline struct acpi_address acpi_field_address(const struct acpi_table *s, uint32_t offset) {
    return (struct acpi_address){
        .space = acpi_field_u8(s, offset + GAS_SPACE_1),
        .bits = acpi_field_u8(s, offset + GAS_BITS_1),
        .address = acpi_field(s, offset + GAS_ADDRESS_8, 8),
    };
}

/* The table at `at`, if it is mapped and signature, length and checksum are right. */
must_check enum err acpi_table_open(uint64_t at, const char *signature, uint32_t bytes_min,
                                    struct acpi_table *out);

/* The least the two tables may have; the MADT's entries follow. */
#define ACPI_MADT_BYTES 44
#define ACPI_FADT_BYTES 116

must_check enum err acpi_madt_read(const struct acpi_table *t, struct platform *out);
must_check enum err acpi_fadt_read(const struct acpi_table *t, struct platform *out);
