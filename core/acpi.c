/* SPDX-License-Identifier: Apache-2.0 */
/* ACPI tables -> struct platform. Reaches memory only through host_phys and looks into no table before its
 * length and checksum are checked; does not interpret AML. */
#include "core/acpi.h"

#include "core/host.h"
#include "core/log.h"
#include "core/str.h"

#define HEADER_BYTES 36     /* of every table; offsets count from its start */
#define PORT_LAST    0xfffc /* where a register of 4 bytes still fits */

/* Offsets. Fields have 4 bytes, or as many as the number at the end of the name says. */
enum { RSDP_REVISION_1 = 15, RSDP_RSDT = 16, RSDP_V1_BYTES = 20, RSDP_XSDT_8 = 24 };
enum { TABLE_LENGTH = 4 };
enum { HPET_BASE = 40, HPET_BYTES = 56 };
enum { MCFG_BYTES = 44, MCFG_ENTRY_BYTES = 16, MCFG_BASE_8 = 0, MCFG_BUS_FIRST_1 = 10, MCFG_BUS_LAST_1 = 11 };
enum { MADT_LAPIC = 36, MADT_FLAGS = 40, MADT_BYTES = 44, ENTRY_TYPE_1 = 0, ENTRY_LENGTH_1 = 1 };
enum { LAPIC_ID_1 = 3, LAPIC_FLAGS = 4 };
enum { IOAPIC_ADDRESS = 4, IOAPIC_GSI_BASE = 8 };
enum { OVERRIDE_BUS_1 = 2, OVERRIDE_SOURCE_1 = 3, OVERRIDE_GSI = 4, OVERRIDE_FLAGS_2 = 8 };
enum { LAPIC_ADDRESS_8 = 4 };
enum { X2APIC_ID = 4, X2APIC_FLAGS = 8 };
enum { FADT_DSDT = 40, FADT_PM1A_CNT = 64, FADT_PM1B_CNT = 68, FADT_PM_TIMER = 76 };
enum { FADT_PM1_CNT_LEN_1 = 89, FADT_PM_TIMER_LEN_1 = 91, FADT_FLAGS = 112, FADT_BYTES = 116 };
enum { FADT_RESET_REG = 116, FADT_RESET_VALUE_1 = 128, FADT_X_DSDT_8 = 140 };
enum { FADT_X_PM1A_CNT = 172, FADT_X_PM1B_CNT = 184, FADT_X_PM_TIMER = 208 };
enum { GAS_SPACE_1 = 0, GAS_ADDRESS_8 = 4 }; /* in a Generic Address Structure */

#define MADT_PCAT_COMPAT   BIT(0)
#define LAPIC_ENABLED      BIT(0) /* "online capable" alone is no CPU that can be started */
#define FADT_RESET_REG_SUP BIT(10)
#define FADT_HW_REDUCED    BIT(20)

/* Name (_S5_, Package {a, b, ...}), from "AML Grammar Definition" in the ACPI specification. */
enum { AML_ONE = 0x01, AML_NAME = 0x08, AML_BYTE = 0x0a, AML_PACKAGE = 0x12, AML_ROOT = '\\' };
#define S5_NAME     0x5f35535fu /* "_S5_" */
#define SLP_TYP_MAX 7

/* A table, or a part of one, that is known to be mapped. */
struct table {
    const uint8_t *at;
    uint32_t bytes;
};

/* Little-endian. What lies behind the end reads as zero, as fields younger than a table should. */
static uint64_t field(const struct table *t, uint32_t offset, uint32_t bytes) {
    uint64_t v = 0;

    if (offset <= t->bytes && bytes <= t->bytes - offset)
        memcpy(&v, t->at + offset, bytes);
    return v;
}

static uint32_t field_u32(const struct table *t, uint32_t offset) {
    return (uint32_t)field(t, offset, 4);
}

static uint8_t field_u8(const struct table *t, uint32_t offset) {
    return (uint8_t)field(t, offset, 1);
}

static struct acpi_address field_address(const struct table *t, uint32_t offset) {
    return (struct acpi_address){field_u8(t, offset + GAS_SPACE_1), field(t, offset + GAS_ADDRESS_8, 8)};
}

/* ---- The way to a table ---------------------------------------------------------------------- */

static bool checksum_good(const uint8_t *at, uint32_t bytes) {
    uint8_t sum = 0;

    while (bytes-- > 0)
        sum = (uint8_t)(sum + *at++);
    return sum == 0;
}

static bool table_open(uint64_t at, const char *signature, uint32_t bytes_min, struct table *out) {
    struct table t = {host_phys(hpa(at), HEADER_BYTES), HEADER_BYTES};
    bool is = t.at != NULL && memcmp(t.at, signature, 4) == 0;

    if (is) {
        t.bytes = field_u32(&t, TABLE_LENGTH);
        t.at = t.bytes >= bytes_min ? host_phys(hpa(at), t.bytes) : NULL;
    }
    if (!is || t.at == NULL || !checksum_good(t.at, t.bytes)) {
        log_line("ACPI: no sound table %s at 0x%lx with %u bytes, at least %u", signature, at, t.bytes,
                 bytes_min);
        return false;
    }
    *out = t;
    return true;
}

struct root {
    struct table table;
    uint32_t width; /* bytes of an entry */
};

/* The XSDT if there is a sound one, else the RSDT. */
static bool root_open(const struct boot_info *info, struct root *root) {
    struct table rsdp = {info->rsdp, info->rsdp_bytes};
    uint64_t xsdt = field_u8(&rsdp, RSDP_REVISION_1) >= 2 ? field(&rsdp, RSDP_XSDT_8, 8) : 0;

    if (rsdp.bytes < RSDP_V1_BYTES || memcmp(rsdp.at, "RSD PTR ", 8) != 0 ||
        !checksum_good(rsdp.at, RSDP_V1_BYTES)) {
        log_line("ACPI: the boot loader passed no sound RSDP");
        return false;
    }
    root->width = 8;
    if (xsdt != 0 && checksum_good(rsdp.at, rsdp.bytes) &&
        table_open(xsdt, "XSDT", HEADER_BYTES, &root->table))
        return true;
    root->width = 4;
    return table_open(field_u32(&rsdp, RSDP_RSDT), "RSDT", HEADER_BYTES, &root->table);
}

/* The first table of that kind, if it is sound. */
static bool table_find(const struct root *root, const char *signature, uint32_t bytes_min,
                       struct table *out) {
    for (uint32_t at = HEADER_BYTES; at + root->width <= root->table.bytes; at += root->width) {
        uint64_t address = field(&root->table, at, root->width);
        const void *header = host_phys(hpa(address), HEADER_BYTES);

        if (header != NULL && memcmp(header, signature, 4) == 0)
            return table_open(address, signature, bytes_min, out);
    }
    return false;
}

/* ---- MADT: CPUs, I/O APICs, interrupt overrides ---------------------------------------------- */

enum { MADT_CPU = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2, MADT_LAPIC_ADDRESS = 5, MADT_CPU_X2APIC = 9 };

/* A CPU may be listed twice, once with either kind of entry. */
static void cpu_add(uint32_t apic_id, uint32_t flags, struct platform *out) {
    bool known = (flags & LAPIC_ENABLED) == 0;

    for (unsigned i = 0; i < out->nr_cpus && !known; i++)
        known = out->cpus[i].apic_id == apic_id;
    if (known)
        return;
    if (out->nr_cpus == MAX_CPUS)
        log_line("ACPI: the CPU with APIC id %u is left out, %u are known already", apic_id, MAX_CPUS);
    else
        out->cpus[out->nr_cpus++].apic_id = apic_id;
}

static void irq_override(const struct table *e, struct platform *out) {
    uint8_t irq = field_u8(e, OVERRIDE_SOURCE_1);

    if (field_u8(e, OVERRIDE_BUS_1) == 0 && irq < ISA_IRQS) {
        out->isa[irq].gsi = field_u32(e, OVERRIDE_GSI);
        out->isa[irq].active_low = (field(e, OVERRIDE_FLAGS_2, 2) & 3) == 3; /* 0: high, as ISA is */
    }
}

static bool madt_entry(const struct table *e, struct platform *out) {
    static const uint8_t bytes_min[] = {[MADT_CPU] = 8,
                                        [MADT_IOAPIC] = 12,
                                        [MADT_OVERRIDE] = 10,
                                        [MADT_LAPIC_ADDRESS] = 12,
                                        [MADT_CPU_X2APIC] = 16};
    uint8_t type = field_u8(e, ENTRY_TYPE_1);

    if (type < sizeof(bytes_min) && e->bytes < bytes_min[type])
        return false;
    switch (type) {
    case MADT_CPU:
        if (field_u8(e, LAPIC_ID_1) != 0xff) /* broadcast: an unused entry */
            cpu_add(field_u8(e, LAPIC_ID_1), field_u32(e, LAPIC_FLAGS), out);
        break;
    case MADT_CPU_X2APIC:
        if (field_u32(e, X2APIC_ID) != 0xffffffff)
            cpu_add(field_u32(e, X2APIC_ID), field_u32(e, X2APIC_FLAGS), out);
        break;
    case MADT_IOAPIC:
        if (out->nr_ioapics == MAX_IOAPICS)
            return false; /* one that is not known could not be kept from guests */
        out->ioapics[out->nr_ioapics].at = hpa(field_u32(e, IOAPIC_ADDRESS));
        out->ioapics[out->nr_ioapics].gsi_base = field_u32(e, IOAPIC_GSI_BASE);
        out->nr_ioapics += out->ioapics[out->nr_ioapics].at.v != 0;
        break;
    case MADT_OVERRIDE:
        irq_override(e, out);
        break;
    case MADT_LAPIC_ADDRESS:
        out->lapic = hpa(field(e, LAPIC_ADDRESS_8, 8));
        break;
    }
    return true;
}

static bool madt_read(const struct table *t, struct platform *out) {
    out->lapic = hpa(field_u32(t, MADT_LAPIC));
    out->has_8259 = (field_u32(t, MADT_FLAGS) & MADT_PCAT_COMPAT) != 0;
    for (unsigned i = 0; i < ISA_IRQS; i++)
        out->isa[i].gsi = i;
    for (uint32_t at = MADT_BYTES; at < t->bytes;) {
        struct table e = {t->at + at, field_u8(t, at + ENTRY_LENGTH_1)};

        if (e.bytes <= ENTRY_LENGTH_1 || e.bytes > t->bytes - at || !madt_entry(&e, out)) {
            log_line("ACPI: MADT entry of type %u with %u bytes at offset %u cannot be used", t->at[at],
                     e.bytes, at);
            return false;
        }
        at += e.bytes;
    }
    if (out->nr_cpus == 0)
        log_line("ACPI: the MADT has no enabled CPU");
    return out->nr_cpus > 0;
}

/* ---- FADT and DSDT: power management --------------------------------------------------------- */

/* Element of a package: ZeroOp, OneOp or a byte. */
static bool s5_element(const struct table *t, uint32_t *at, uint8_t *value) {
    uint8_t op = field_u8(t, (*at)++);

    *value = op == AML_BYTE ? field_u8(t, (*at)++) : op;
    return *value <= (op == AML_BYTE ? SLP_TYP_MAX : AML_ONE);
}

/* A byte scan instead of an interpreter: the object is static data wherever it was seen. */
static bool s5_find(const struct table *t, struct platform *out) {
    for (uint32_t at = HEADER_BYTES + 2; at + 4 <= t->bytes; at++) {
        bool named = t->at[at - 1] == AML_NAME || (t->at[at - 1] == AML_ROOT && t->at[at - 2] == AML_NAME);
        uint32_t item = at + 6 + (field_u8(t, at + 5) >> 6); /* PackageOp, PkgLength of 1 to 4 bytes */

        if (named && field_u32(t, at) == S5_NAME && field_u8(t, at + 4) == AML_PACKAGE &&
            field_u8(t, item++) >= 2 && s5_element(t, &item, &out->s5_typ_a) &&
            s5_element(t, &item, &out->s5_typ_b))
            return true;
    }
    log_line("ACPI: no constant \\_S5 in the DSDT: the machine cannot be switched off by ACPI");
    return false;
}

/* A fixed register of `bytes` bytes: the extended field if it names a port, else the old one; 0 = none. */
static uint16_t fadt_port(const struct table *t, uint32_t extended, uint32_t block, uint32_t block_bytes,
                          uint8_t bytes) {
    struct acpi_address port = field_address(t, extended);

    if (port.space != SPACE_IO || port.address == 0 || port.address > PORT_LAST)
        port.address = block_bytes >= bytes ? field_u32(t, block) : 0;
    return port.address <= PORT_LAST ? (uint16_t)port.address : 0;
}

static void fadt_read(const struct table *t, struct platform *out) {
    struct acpi_address reset = field_address(t, FADT_RESET_REG);
    uint64_t x_dsdt = field(t, FADT_X_DSDT_8, 8);
    uint32_t flags = field_u32(t, FADT_FLAGS);
    struct table dsdt;

    if ((flags & FADT_RESET_REG_SUP) != 0 && reset.space <= SPACE_PCI &&
        (reset.space != SPACE_IO || reset.address <= PORT_LAST)) {
        out->reset_reg = reset;
        out->reset_value = field_u8(t, FADT_RESET_VALUE_1);
    }
    if ((flags & FADT_HW_REDUCED) != 0) /* the fixed registers are not there, whatever the fields hold */
        return;
    out->pm_timer_port = fadt_port(t, FADT_X_PM_TIMER, FADT_PM_TIMER, field_u8(t, FADT_PM_TIMER_LEN_1), 4);
    out->pm1a_port = fadt_port(t, FADT_X_PM1A_CNT, FADT_PM1A_CNT, field_u8(t, FADT_PM1_CNT_LEN_1), 2);
    out->pm1b_port = fadt_port(t, FADT_X_PM1B_CNT, FADT_PM1B_CNT, field_u8(t, FADT_PM1_CNT_LEN_1), 2);
    if (table_open(x_dsdt != 0 ? x_dsdt : field_u32(t, FADT_DSDT), "DSDT", HEADER_BYTES, &dsdt))
        out->has_s5 = s5_find(&dsdt, out);
}

/* ---- The others ------------------------------------------------------------------------------ */

static void mcfg_read(const struct table *t, struct platform *out) {
    for (uint32_t at = MCFG_BYTES; at + MCFG_ENTRY_BYTES <= t->bytes; at += MCFG_ENTRY_BYTES) {
        const struct table e = {t->at + at, MCFG_ENTRY_BYTES};
        uint64_t base = field(&e, MCFG_BASE_8, 8); /* of bus 0, even where the first bus is another */
        uint8_t first = field_u8(&e, MCFG_BUS_FIRST_1), last = field_u8(&e, MCFG_BUS_LAST_1);

        if (base == 0 || first > last || base > UINT64_MAX - MIB(256) ||
            out->nr_ecam == ARRAY_SIZE(out->ecam))
            log_line("ACPI: MCFG entry ignored, buses %u to %u at 0x%lx", first, last, base);
        else
            out->ecam[out->nr_ecam++] = (struct range){base + MIB(first), MIB(last - first + 1)};
    }
}

enum err acpi_parse(const struct boot_info *info, struct platform *out) {
    struct root root;
    struct table t;

    memset(out, 0, sizeof(*out));
    if (!root_open(info, &root))
        return ERR_MALFORMED;
    if (!table_find(&root, "APIC", MADT_BYTES, &t) || !madt_read(&t, out)) {
        log_line("ACPI: without a MADT (table APIC) the machine's CPUs are not known");
        return ERR_MALFORMED;
    }
    if (table_find(&root, "FACP", FADT_BYTES, &t))
        fadt_read(&t, out);
    if (table_find(&root, "HPET", HPET_BYTES, &t) && field_u8(&t, HPET_BASE + GAS_SPACE_1) == SPACE_MEMORY)
        out->hpet = hpa(field(&t, HPET_BASE + GAS_ADDRESS_8, 8));
    if (table_find(&root, "MCFG", MCFG_BYTES, &t))
        mcfg_read(&t, out);
    return ERR_OK;
}
