/* SPDX-License-Identifier: Apache-2.0 */
/* The ACPI table FADT and the one object of the DSDT that is wanted. Neither interprets AML nor
 * touches the registers it finds. */
#include "core/acpi_table.h"

#include "core/log.h"

/* Offsets; the number behind a name is the field's width in bytes where that is not 4. */
enum {
    FADT_DSDT = 40,
    FADT_PM1A_CNT = 64,
    FADT_PM1B_CNT = 68,
    FADT_PM_TIMER = 76,
    FADT_PM1_CNT_LEN_1 = 89,
    FADT_PM_TIMER_LEN_1 = 91,
    FADT_FLAGS = 112,
    FADT_RESET_REG = 116,
    FADT_RESET_VALUE_1 = 128,
    FADT_X_DSDT_8 = 140,
    FADT_X_PM1A_CNT = 172,
    FADT_X_PM1B_CNT = 184,
    FADT_X_PM_TIMER = 208,
};

#define FADT_TMR_VAL_EXT   BIT(8)
#define FADT_RESET_REG_SUP BIT(10)
#define FADT_HW_REDUCED    BIT(20)

#define PORT_LAST          0xfffc /* where a register of 4 bytes still fits */

/* Name (_S5_, Package {a, b, ...}), from "AML Grammar Definition" in the ACPI specification. */
enum { AML_ONE = 0x01, AML_NAME = 0x08, AML_BYTE = 0x0a, AML_PACKAGE = 0x12, AML_ROOT = '\\' };
#define S5_NAME     0x5f35535fu /* "_S5_" */
#define SLP_TYP_MAX 7

/* Element of the package that ends with `s`: ZeroOp, OneOp or a byte. */
static bool s5_element(const struct acpi_table *s, uint32_t *at, uint8_t *value) {
    if (*at >= s->bytes)
        return false;
    *value = s->at[(*at)++];
    if (*value != AML_BYTE)
        return *value <= AML_ONE;
    if (*at >= s->bytes)
        return false;
    *value = s->at[(*at)++];
    return *value <= SLP_TYP_MAX;
}

/* `s` starts behind the name: PackageOp, PkgLength, NumElements, elements. */
static bool s5_package(struct acpi_table s, struct platform *out) {
    uint8_t lead = acpi_field_u8(&s, 1);
    uint32_t more = lead >> 6; /* bytes of PkgLength behind its first one */
    uint64_t length = more == 0 ? lead : (lead & 0xf) | acpi_field(&s, 2, more) << 4;
    uint32_t at = 2 + more;

    if (acpi_field_u8(&s, 0) != AML_PACKAGE || length > s.bytes - 1)
        return false;
    s.bytes = 1 + (uint32_t)length; /* PkgLength counts itself */
    return acpi_field_u8(&s, at++) >= 2 && s5_element(&s, &at, &out->s5_typ_a) &&
           s5_element(&s, &at, &out->s5_typ_b);
}

/* A byte scan instead of an interpreter: the object is static data wherever it was seen. */
static bool s5_find(const struct acpi_table *t, struct platform *out) {
    for (uint32_t at = ACPI_HEADER_BYTES; at + 5 <= t->bytes; at++) {
        uint32_t name = at + (t->at[at + 1] == AML_ROOT ? 2 : 1);

        if (t->at[at] == AML_NAME && acpi_field_u32(t, name) == S5_NAME &&
            s5_package((struct acpi_table){t->at + name + 4, t->bytes - name - 4}, out))
            return true;
    }
    return false;
}

static void dsdt_read(const struct acpi_table *fadt, struct platform *out) {
    uint64_t x_dsdt = acpi_field(fadt, FADT_X_DSDT_8, 8);
    struct acpi_table dsdt;

    if (acpi_table_open(x_dsdt != 0 ? x_dsdt : acpi_field_u32(fadt, FADT_DSDT), "DSDT", ACPI_HEADER_BYTES,
                        &dsdt) != ERR_OK)
        return;
    out->has_s5 = s5_find(&dsdt, out);
    if (!out->has_s5) {
        out->s5_typ_a = out->s5_typ_b = 0;
        log_line("ACPI: no constant \\_S5 in the DSDT: the machine cannot be switched off by ACPI");
    }
}

/* A fixed register of `bytes` bytes: the extended field if it names a port, else the old one. */
static struct acpi_address fadt_port(const struct acpi_table *t, uint32_t extended, uint32_t block,
                                     uint32_t block_bytes, uint8_t bytes) {
    struct acpi_address port = acpi_field_address(t, extended);

    if (port.space != SPACE_IO || port.address == 0 || port.address > PORT_LAST)
        port.address = block_bytes >= bytes ? acpi_field_u32(t, block) : 0;
    if (port.address == 0 || port.address > PORT_LAST)
        return (struct acpi_address){0};
    port.space = SPACE_IO;
    port.bits = (uint8_t)(bytes * 8);
    return port;
}

static void reset_read(const struct acpi_table *t, struct platform *out) {
    struct acpi_address reg = acpi_field_address(t, FADT_RESET_REG);

    if ((acpi_field_u32(t, FADT_FLAGS) & FADT_RESET_REG_SUP) == 0 || reg.address == 0 ||
        reg.space > SPACE_PCI || (reg.space == SPACE_IO && reg.address > PORT_LAST))
        return;
    out->has_reset_reg = true;
    out->reset_reg = reg;
    out->reset_value = acpi_field_u8(t, FADT_RESET_VALUE_1);
}

enum err acpi_fadt_read(const struct acpi_table *t, struct platform *out) {
    uint32_t flags = acpi_field_u32(t, FADT_FLAGS);
    uint8_t cnt_bytes = acpi_field_u8(t, FADT_PM1_CNT_LEN_1);

    out->has_fadt = true;
    out->hw_reduced = (flags & FADT_HW_REDUCED) != 0;
    reset_read(t, out);
    if (out->hw_reduced) /* the fixed registers are not there, whatever the fields hold */
        return ERR_OK;
    out->pm_timer_32bit = (flags & FADT_TMR_VAL_EXT) != 0;
    out->pm_timer = fadt_port(t, FADT_X_PM_TIMER, FADT_PM_TIMER, acpi_field_u8(t, FADT_PM_TIMER_LEN_1), 4);
    out->pm1a_cnt = fadt_port(t, FADT_X_PM1A_CNT, FADT_PM1A_CNT, cnt_bytes, 2);
    out->pm1b_cnt = fadt_port(t, FADT_X_PM1B_CNT, FADT_PM1B_CNT, cnt_bytes, 2);
    dsdt_read(t, out);
    return ERR_OK;
}
