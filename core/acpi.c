/* SPDX-License-Identifier: Apache-2.0 */
/* ACPI tables -> struct platform. Reaches memory only through host_phys and looks into no table before its
 * length and checksum are checked; does not interpret AML. */
#include "core/platform.h"

#include "core/bytes.h"
#include "core/host.h"
#include "core/log.h"

#define PORT_LAST 0xfffc /* where a register of 4 bytes still fits */

/* Offsets. Fields have 4 bytes, or as many as the number at the end of the name says. */
enum { RSDP_REVISION_1 = 15, RSDP_RSDT = 16, RSDP_V1_BYTES = 20, RSDP_XSDT_8 = 24 };
enum { TABLE_LENGTH = 4, TABLE_BYTES = 36 }; /* the header of all; offsets count from its start */
enum { HPET_BASE = 40, HPET_BYTES = 56 };
enum { MCFG_BYTES = 44, MCFG_ENTRY_BYTES = 16, MCFG_BASE_8 = 0, MCFG_BUS_FIRST_1 = 10, MCFG_BUS_LAST_1 = 11 };
enum { DMAR_BYTES = 48, DRHD_LENGTH_2 = 2, DRHD_SIZE_1 = 5, DRHD_BASE_8 = 8, DRHD_BYTES = 16 };
enum { MADT_LAPIC = 36, MADT_FLAGS = 40, MADT_BYTES = 44, ENTRY_TYPE_1 = 0, ENTRY_LENGTH_1 = 1 };
enum { LAPIC_ID_1 = 3, LAPIC_FLAGS = 4, LAPIC_ADDRESS_8 = 4, X2APIC_ID = 4, X2APIC_FLAGS = 8 };
enum { IOAPIC_ADDRESS = 4, IOAPIC_GSI_BASE = 8 };
enum { OVERRIDE_BUS_1 = 2, OVERRIDE_SOURCE_1 = 3, OVERRIDE_GSI = 4, OVERRIDE_FLAGS_2 = 8 };
enum { FADT_DSDT = 40, FADT_SMI_CMD = 48, FADT_ACPI_ENABLE_1 = 52 };
enum { FADT_PM1A_CNT = 64, FADT_PM1B_CNT = 68, FADT_PM_TIMER = 76 };
enum { FADT_PM1_CNT_LEN_1 = 89, FADT_PM_TIMER_LEN_1 = 91, FADT_FLAGS = 112, FADT_BYTES = 116 };
enum { FADT_RESET_REG = 116, FADT_RESET_VALUE_1 = 128, FADT_X_DSDT_8 = 140 };
enum { FADT_X_PM1A_CNT = 172, FADT_X_PM1B_CNT = 184, FADT_X_PM_TIMER = 208, FADT_SLEEP_CONTROL = 244 };
enum { GAS_SPACE_1 = 0, GAS_ACCESS_1 = 3, GAS_ADDRESS_8 = 4 }; /* in a Generic Address Structure */
enum { SPCR_KIND_1 = 36, SPCR_UART = 40, SPCR_BYTES = 52 };

#define ACCESS_DWORD       3
#define IOAPIC_BYTES       0x44 /* to the end of the EOI register */
#define MADT_PCAT_COMPAT   BIT(0)
#define LAPIC_ENABLED      BIT(0) /* "online capable" alone is no CPU that can be started */
#define FADT_RESET_REG_SUP BIT(10)
#define FADT_HW_REDUCED    BIT(20)

/* Name (_S5_, Package {a, b, ...}), from "AML Grammar Definition" in the ACPI specification. */
enum { AML_ONE = 0x01, AML_NAME = 0x08, AML_BYTE = 0x0a, AML_PACKAGE = 0x12, AML_ROOT = '\\' };
#define S5_NAME     0x5f35535fu /* "_S5_" */
#define SLP_TYP_MAX 7

static struct acpi_address field_address(struct bytes t, uint32_t offset) {
    return (struct acpi_address){bytes_u8(t, offset + GAS_SPACE_1),
                                 bytes_field(t, offset + GAS_ADDRESS_8, 8)};
}

/* ---- The way to a table ---------------------------------------------------------------------- */

static bool checksum_good(const uint8_t *at, uint64_t bytes) {
    uint8_t sum = 0;
    while (bytes-- > 0)
        sum = (uint8_t)(sum + *at++);
    return sum == 0;
}

static bool table_is(uint64_t at, const char *signature) {
    const void *header = host_phys(hpa(at), TABLE_BYTES);
    return header != NULL && memcmp(header, signature, 4) == 0;
}

static bool table_open(uint64_t at, const char *signature, uint32_t bytes_min, struct bytes *out) {
    *out = (struct bytes){NULL, 0};
    if (table_is(at, signature)) {
        out->length = bytes_u32((struct bytes){host_phys(hpa(at), TABLE_BYTES), TABLE_BYTES}, TABLE_LENGTH);
        out->at = out->length >= bytes_min ? host_phys(hpa(at), out->length) : NULL;
    }
    if (out->at != NULL && checksum_good(out->at, out->length))
        return true;
    log_line("ACPI: no sound table %s at 0x%lx with %lu bytes, at least %u", signature, at, out->length,
             bytes_min);
    return false;
}

/* The XSDT if there is a sound one, else the RSDT. */
static bool root_open(const struct boot_info *info, struct bytes *root) {
    struct bytes rsdp = {info->rsdp, info->rsdp_bytes};
    uint64_t xsdt = bytes_u8(rsdp, RSDP_REVISION_1) >= 2 ? bytes_field(rsdp, RSDP_XSDT_8, 8) : 0;
    if (rsdp.length < RSDP_V1_BYTES || memcmp(rsdp.at, "RSD PTR ", 8) != 0 ||
        !checksum_good(rsdp.at, RSDP_V1_BYTES)) {
        log_line("ACPI: the boot loader passed no sound RSDP");
        return false;
    }
    return (xsdt != 0 && checksum_good(rsdp.at, rsdp.length) &&
            table_open(xsdt, "XSDT", TABLE_BYTES, root)) ||
           table_open(bytes_u32(rsdp, RSDP_RSDT), "RSDT", TABLE_BYTES, root);
}

/* Where the table of that number is; false: there are no more. */
static bool table_at(struct bytes root, unsigned index, uint64_t *address) {
    unsigned width = root.at[0] == 'X' ? 8 : 4;
    uint64_t at = TABLE_BYTES + (uint64_t)index * width;
    *address = bytes_field(root, at, width);
    return at + width <= root.length;
}

/* The first table of that kind, if it is sound. */
static bool table_find(struct bytes root, const char *signature, uint32_t bytes_min, struct bytes *out) {
    uint64_t address;
    for (unsigned i = 0; table_at(root, i, &address); i++)
        if (table_is(address, signature))
            return table_open(address, signature, bytes_min, out);
    return false;
}

/* ---- MADT: CPUs, I/O APICs, interrupt overrides ---------------------------------------------- */

enum { MADT_CPU = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2, MADT_LAPIC_ADDRESS = 5, MADT_CPU_X2APIC = 9 };

/* A CPU may be listed twice, once with either kind of entry. */
static void cpu_add(uint32_t apic_id, uint32_t flags, struct platform *out) {
    if ((flags & LAPIC_ENABLED) == 0)
        return;
    for (unsigned i = 0; i < out->nr_cpus; i++)
        if (out->apic_ids[i] == apic_id)
            return;
    if (out->nr_cpus == MAX_CPUS)
        log_line("ACPI: the CPU with APIC id %u is left out, %u are known already", apic_id, MAX_CPUS);
    else
        out->apic_ids[out->nr_cpus++] = apic_id;
}

static bool ioapic_add(struct bytes e, const struct boot_info *info, struct platform *out) {
    struct platform_ioapic io = {hpa(bytes_u32(e, IOAPIC_ADDRESS)), bytes_u32(e, IOAPIC_GSI_BASE)};
    struct range registers = {io.at.v, IOAPIC_BYTES};
    bool taken = io.at.v == 0 || range_overlaps(registers, (struct range){out->lapic.v, PAGE_SIZE});
    for (unsigned i = 0; i < info->nr_memory; i++)
        taken |= info->memory[i].kind != MEMORY_RESERVED && range_overlaps(registers, info->memory[i].range);
    for (unsigned i = 0; i < out->nr_ioapics; i++)
        taken |= range_overlaps(registers, (struct range){out->ioapics[i].at.v, IOAPIC_BYTES});
    if (taken)
        log_line("ACPI: I/O APIC at 0x%lx ignored: memory or another device is there", io.at.v);
    else if (out->nr_ioapics == MAX_IOAPICS)
        return false; /* one that is not known could not be kept from guests */
    else
        out->ioapics[out->nr_ioapics++] = io;
    return true;
}

static void irq_override(struct bytes e, struct platform *out) {
    uint8_t irq = bytes_u8(e, OVERRIDE_SOURCE_1);
    if (bytes_u8(e, OVERRIDE_BUS_1) == 0 && irq < ISA_IRQS) {
        out->isa[irq].gsi = bytes_u32(e, OVERRIDE_GSI);
        out->isa[irq].active_low = (bytes_field(e, OVERRIDE_FLAGS_2, 2) & 3) == 3; /* 0: high, as ISA is */
    }
}

static bool madt_entry(struct bytes e, const struct boot_info *info, struct platform *out) {
    static const uint8_t bytes_min[] = {8, 12, 10, 0, 0, 12, 0, 0, 0, 16}; /* by type */
    uint8_t type = bytes_u8(e, ENTRY_TYPE_1);
    if (type < sizeof(bytes_min) && e.length < bytes_min[type])
        return false;
    switch (type) {
    case MADT_CPU:
        if (bytes_u8(e, LAPIC_ID_1) != 0xff) /* broadcast: an unused entry */
            cpu_add(bytes_u8(e, LAPIC_ID_1), bytes_u32(e, LAPIC_FLAGS), out);
        break;
    case MADT_CPU_X2APIC:
        if (bytes_u32(e, X2APIC_ID) != 0xffffffff)
            cpu_add(bytes_u32(e, X2APIC_ID), bytes_u32(e, X2APIC_FLAGS), out);
        break;
    case MADT_IOAPIC:
        return ioapic_add(e, info, out);
    case MADT_OVERRIDE:
        irq_override(e, out);
        break;
    case MADT_LAPIC_ADDRESS:
        out->lapic = hpa(bytes_field(e, LAPIC_ADDRESS_8, 8));
        break;
    }
    return true;
}

static bool madt_read(struct bytes t, const struct boot_info *info, struct platform *out) {
    out->lapic = hpa(bytes_u32(t, MADT_LAPIC));
    out->has_8259 = (bytes_u32(t, MADT_FLAGS) & MADT_PCAT_COMPAT) != 0;
    for (unsigned i = 0; i < ISA_IRQS; i++)
        out->isa[i].gsi = i;
    for (uint64_t at = MADT_BYTES, length; at < t.length; at += length) {
        length = bytes_u8(t, at + ENTRY_LENGTH_1);
        if (length <= ENTRY_LENGTH_1 || length > t.length - at ||
            !madt_entry((struct bytes){t.at + at, length}, info, out)) {
            log_line("ACPI: MADT entry of type %u with %lu bytes at offset %lu cannot be used", t.at[at],
                     length, at);
            return false;
        }
    }
    if (out->nr_cpus == 0)
        log_line("ACPI: the MADT has no enabled CPU");
    return out->nr_cpus > 0;
}

/* ---- FADT and DSDT: power management --------------------------------------------------------- */

/* Element of a package: ZeroOp, OneOp or a byte. */
static bool s5_element(struct bytes t, uint64_t *at, uint8_t *value) {
    uint8_t op = bytes_u8(t, (*at)++);
    *value = op == AML_BYTE ? bytes_u8(t, (*at)++) : op;
    return *value <= (op == AML_BYTE ? SLP_TYP_MAX : AML_ONE);
}

/* A byte scan instead of an interpreter: the object is static data wherever it was seen. */
static bool s5_find(struct bytes t, struct platform *out) {
    for (uint64_t at = TABLE_BYTES + 2; at + 4 <= t.length; at++) {
        bool named = t.at[at - 1] == AML_NAME || (t.at[at - 1] == AML_ROOT && t.at[at - 2] == AML_NAME);
        uint64_t item = at + 6 + (bytes_u8(t, at + 5) >> 6); /* PackageOp, PkgLength of 1 to 4 bytes */
        if (named && bytes_u32(t, at) == S5_NAME && bytes_u8(t, at + 4) == AML_PACKAGE &&
            bytes_u8(t, item++) >= 2 && s5_element(t, &item, &out->s5_typ_a) &&
            s5_element(t, &item, &out->s5_typ_b))
            return true;
    }
    log_line("ACPI: no constant \\_S5 in the DSDT: the machine cannot be switched off by ACPI");
    return false;
}

/* A fixed register of `bytes` bytes: the extended field if it names a port, else the old one; 0 = none. */
static uint16_t fadt_port(struct bytes t, uint32_t extended, uint32_t block, uint32_t block_bytes,
                          uint8_t bytes) {
    struct acpi_address port = field_address(t, extended);
    if (port.space != SPACE_IO || port.address == 0 || port.address > PORT_LAST)
        port.address = bytes_u8(t, block_bytes) >= bytes ? bytes_u32(t, block) : 0;
    return port.address <= PORT_LAST ? (uint16_t)port.address : 0;
}

/* A register of a byte; absent if it is where none can be or where we do not reach. */
static struct acpi_address fadt_register(struct bytes t, uint32_t offset) {
    struct acpi_address r = field_address(t, offset);
    bool good = r.space <= SPACE_IO && r.address <= (r.space == SPACE_IO ? UINT16_MAX : UINT32_MAX);
    return good ? r : (struct acpi_address){0};
}

static void fadt_read(struct bytes t, struct platform *out) {
    uint64_t x_dsdt = bytes_field(t, FADT_X_DSDT_8, 8);
    uint32_t flags = bytes_u32(t, FADT_FLAGS);
    struct bytes dsdt;
    if ((flags & FADT_RESET_REG_SUP) != 0) {
        out->reset_reg = fadt_register(t, FADT_RESET_REG);
        out->reset_value = bytes_u8(t, FADT_RESET_VALUE_1);
    }
    if ((flags & FADT_HW_REDUCED) != 0) { /* the fixed registers are not there, whatever the fields hold */
        out->sleep_control = fadt_register(t, FADT_SLEEP_CONTROL);
    } else {
        uint32_t smi = bytes_u32(t, FADT_SMI_CMD);
        out->pm_timer_port = fadt_port(t, FADT_X_PM_TIMER, FADT_PM_TIMER, FADT_PM_TIMER_LEN_1, 4);
        out->pm1a_port = fadt_port(t, FADT_X_PM1A_CNT, FADT_PM1A_CNT, FADT_PM1_CNT_LEN_1, 2);
        out->pm1b_port = fadt_port(t, FADT_X_PM1B_CNT, FADT_PM1B_CNT, FADT_PM1_CNT_LEN_1, 2);
        out->smi_port = smi <= PORT_LAST ? (uint16_t)smi : 0;
        out->acpi_enable = bytes_u8(t, FADT_ACPI_ENABLE_1);
    }
    if (table_open(x_dsdt != 0 ? x_dsdt : bytes_u32(t, FADT_DSDT), "DSDT", TABLE_BYTES, &dsdt))
        out->has_s5 = s5_find(dsdt, out);
}

/* ---- The others ------------------------------------------------------------------------------ */

/* One too many joins the last: then more is kept from guests, never less. */
static void keep(struct range *list, unsigned *count, struct range r) {
    if (*count == PLATFORM_MAX_RANGES) {
        struct range last = list[--*count];
        uint64_t base = r.base < last.base ? r.base : last.base;
        uint64_t end = range_end(r) > range_end(last) ? range_end(r) : range_end(last);
        r = (struct range){base, end - base};
    }
    list[(*count)++] = r;
}

static void dmar_read(struct bytes t, struct platform *out) {
    for (uint64_t at = DMAR_BYTES, length; at + DRHD_BYTES <= t.length; at += length) {
        struct range r = {bytes_field(t, at + DRHD_BASE_8, 8),
                          PAGE_SIZE << (bytes_u8(t, at + DRHD_SIZE_1) & 0xf)};
        length = bytes_field(t, at + DRHD_LENGTH_2, 2);
        if (bytes_field(t, at, 2) == 0 && r.base != 0 && range_valid(r))
            keep(out->vtd, &out->nr_vtd, r);
        if (length < 4) {
            log_line("ACPI: DMAR entry at offset %lu has %lu bytes; what follows is not known", at, length);
            return;
        }
    }
}

static void mcfg_read(struct bytes t, struct platform *out) {
    for (uint64_t at = MCFG_BYTES; at + MCFG_ENTRY_BYTES <= t.length; at += MCFG_ENTRY_BYTES) {
        uint64_t base = bytes_field(t, at + MCFG_BASE_8, 8); /* of bus 0, even where the first is another */
        uint8_t first = bytes_u8(t, at + MCFG_BUS_FIRST_1), last = bytes_u8(t, at + MCFG_BUS_LAST_1);
        if (base == 0 || first > last || base > UINT64_MAX - MIB(256))
            log_line("ACPI: MCFG entry ignored, buses %u to %u at 0x%lx", first, last, base);
        else
            keep(out->ecam, &out->nr_ecam, (struct range){base + MIB(first), MIB(last - first + 1)});
    }
}

/* "Serial Port Console Redirection Table". A UART on a PCI card is where the firmware has put it, too. */
static void spcr_read(struct bytes t, struct platform *out) {
    struct acpi_address a = field_address(t, SPCR_UART);
    uint8_t kind = bytes_u8(t, SPCR_KIND_1);
    uint8_t stride = a.space == SPACE_IO ? 0 : bytes_u8(t, SPCR_UART + GAS_ACCESS_1) == ACCESS_DWORD ? 4 : 1;
    bool reached = a.space == SPACE_IO ? a.address <= UINT16_MAX - 7
                                       : a.space == SPACE_MEMORY && a.address % 8 == 0 && a.address < BIT(48);
    if ((kind <= 1 || kind == 0x12) && reached && a.address != 0) /* a 16550 */
        out->uart = (struct uart_place){a.address, stride};
}

enum err acpi_parse(const struct boot_info *info, struct platform *out) {
    struct bytes root, t;
    memset(out, 0, sizeof(*out));
    if (!root_open(info, &root))
        return ERR_MALFORMED;
    if (!table_find(root, "APIC", MADT_BYTES, &t) || !madt_read(t, info, out)) {
        log_line("ACPI: without a MADT (table APIC) the machine's CPUs are not known");
        return ERR_MALFORMED;
    }
    if (table_find(root, "FACP", FADT_BYTES, &t))
        fadt_read(t, out);
    if (table_find(root, "HPET", HPET_BYTES, &t) && bytes_u8(t, HPET_BASE + GAS_SPACE_1) == SPACE_MEMORY)
        out->hpet = hpa(bytes_field(t, HPET_BASE + GAS_ADDRESS_8, 8));
    if (table_find(root, "MCFG", MCFG_BYTES, &t))
        mcfg_read(t, out);
    if (table_find(root, "SPCR", SPCR_BYTES, &t))
        spcr_read(t, out);
    if (table_find(root, "DMAR", DMAR_BYTES, &t))
        dmar_read(t, out);
    return ERR_OK;
}

void platform_boot_core_first(struct platform *platform, uint32_t apic_id) {
    uint32_t *ids = platform->apic_ids;
    unsigned at = 0;
    while (at < platform->nr_cpus && ids[at] != apic_id)
        at++;
    if (at == platform->nr_cpus) {
        log_line("ACPI: the boot core, APIC id %u, is not among the CPUs known from the MADT: added",
                 apic_id);
        if (at == MAX_CPUS)
            log_line("ACPI: the CPU with APIC id %u is left out for it", ids[--at]);
        else
            platform->nr_cpus++;
    }
    memmove(&ids[1], &ids[0], at * sizeof(ids[0]));
    ids[0] = apic_id;
}

bool platform_uart_route(const struct platform *platform, uint16_t port, struct irq_route *out) {
    unsigned irq = port == 0x3f8 || port == 0x3e8 ? 4 : port == 0x2f8 || port == 0x2e8 ? 3 : 0;
    uint32_t gsi = platform->isa[irq].gsi;
    bool found = false;
    if (irq == 0)
        return false;
    for (unsigned i = 0; i < platform->nr_ioapics; i++) {
        uint32_t base = platform->ioapics[i].gsi_base;
        if (base <= gsi && (!found || gsi - base < out->pin)) {
            *out = (struct irq_route){i, gsi - base, platform->isa[irq].active_low};
            found = true;
        }
    }
    return found;
}
