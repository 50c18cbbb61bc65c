/* SPDX-License-Identifier: Apache-2.0 */
/* Lays the tables out at the start of the guest's REGION_TABLES: RSDP, XSDT, FADT, DSDT, MADT.
 * Knows ACPI's output side only; what the host's tables say is core/acpi.c's business. */
#include "core/acpi_gen.h"

#include "core/check.h"
#include "core/log.h"
#include "core/range.h"
#include "core/str.h"

#include "gen/dsdt_aml.h" /* static const uint8_t dsdt_aml[], made from core/dsdt.asl */

#define packed                __attribute__((packed))

#define RSDP_SEARCH           UINT64_C(0xE0000) /* guests look for the RSDP from here to 1 MiB */
#define LAPIC_ADDRESS         0xFEE00000u
#define IOAPIC_ADDRESS        0xFEC00000u

#define FADT_WBINVD           BIT(0)
#define FADT_PROC_C1          BIT(2)
#define FADT_PWR_BUTTON       BIT(4) /* set: no fixed-hardware button */
#define FADT_SLP_BUTTON       BIT(5)
#define FADT_RESET_REG_SUP    BIT(10)
#define FADT_HW_REDUCED       BIT(20)

#define BOOT_ARCH_NO_VGA      BIT(2)
#define BOOT_ARCH_NO_CMOS_RTC BIT(5)

struct packed rsdp {         /* offset */
    char signature[8];       /* 0 */
    uint8_t checksum;        /* 8, of the first 20 bytes */
    char oem_id[6];          /* 9 */
    uint8_t revision;        /* 15 */
    uint32_t rsdt;           /* 16 */
    uint32_t length;         /* 20 */
    uint64_t xsdt;           /* 24 */
    uint8_t checksum_of_all; /* 32 */
    uint8_t reserved[3];     /* 33 */
};
_Static_assert(sizeof(struct rsdp) == 36, "RSDP, revision 2");

struct packed table_header {
    char signature[4];         /* 0 */
    uint32_t length;           /* 4 */
    uint8_t revision;          /* 8 */
    uint8_t checksum;          /* 9 */
    char oem_id[6];            /* 10 */
    char oem_table_id[8];      /* 16 */
    uint32_t oem_revision;     /* 24 */
    char creator_id[4];        /* 28 */
    uint32_t creator_revision; /* 32 */
};
_Static_assert(sizeof(struct table_header) == 36, "ACPI table header");

struct packed xsdt {
    struct table_header header;
    uint64_t entries[2]; /* FADT, MADT */
};
_Static_assert(sizeof(struct xsdt) == 52, "XSDT with two entries");

struct packed gas {      /* Generic Address Structure */
    uint8_t space;       /* 0; 1 = I/O */
    uint8_t bits;        /* 1 */
    uint8_t bit_offset;  /* 2 */
    uint8_t access_size; /* 3; 1 = byte */
    uint64_t address;    /* 4 */
};
_Static_assert(sizeof(struct gas) == 12, "Generic Address Structure");

/* What hardware-reduced ACPI ignores is left out by the gaps. */
struct packed fadt {
    struct table_header header; /* 0 */
    uint32_t firmware_ctrl;     /* 36 */
    uint32_t dsdt;              /* 40 */
    uint8_t gap_44[65];         /* 44 */
    uint16_t iapc_boot_arch;    /* 109 */
    uint8_t gap_111;            /* 111 */
    uint32_t flags;             /* 112 */
    struct gas reset_reg;       /* 116 */
    uint8_t reset_value;        /* 128 */
    uint8_t gap_129[11];        /* 129 */
    uint64_t x_dsdt;            /* 140 */
    uint8_t gap_148[96];        /* 148 */
    struct gas sleep_control;   /* 244 */
    struct gas sleep_status;    /* 256 */
    uint64_t hypervisor_vendor; /* 268 */
};
_Static_assert(sizeof(struct fadt) == 276, "FADT, revision 6");
_Static_assert(offsetof(struct fadt, x_dsdt) == 140, "FADT, X_DSDT");

struct packed madt {
    struct table_header header; /* 0 */
    uint32_t lapic;             /* 36 */
    uint32_t flags;             /* 40; bit 0: there are 8259s */
};
_Static_assert(sizeof(struct madt) == 44, "MADT");

struct packed madt_lapic {
    uint8_t type; /* 0 */
    uint8_t length;
    uint8_t uid;
    uint8_t apic_id;
    uint32_t flags; /* bit 0: enabled */
};
_Static_assert(sizeof(struct madt_lapic) == 8, "MADT, Processor Local APIC");
_Static_assert(MAX_CPUS <= 255, "ids from 255 up need Processor Local x2APIC entries");

struct packed madt_ioapic {
    uint8_t type; /* 1 */
    uint8_t length;
    uint8_t id;
    uint8_t reserved;
    uint32_t address;
    uint32_t gsi_base;
};
_Static_assert(sizeof(struct madt_ioapic) == 12, "MADT, I/O APIC");

/* Where each table begins; MADT is last because it alone varies in length. */
enum {
    RSDP_AT = 0,
    XSDT_AT = 64,
    FADT_AT = 128,
    DSDT_AT = 416,
    MADT_AT = (DSDT_AT + sizeof(dsdt_aml) + 15) & ~15ul,
};
_Static_assert(XSDT_AT + sizeof(struct xsdt) <= FADT_AT, "XSDT runs into FADT");
_Static_assert(FADT_AT + sizeof(struct fadt) <= DSDT_AT, "FADT runs into DSDT");

static uint8_t acpi_gen_checksum(const void *data, size_t bytes) {
    const uint8_t *at = data;
    uint8_t sum = 0;

    for (size_t i = 0; i < bytes; i++)
        sum = (uint8_t)(sum + at[i]);
    return (uint8_t)(0 - sum);
}

/* Last step of each table: all but its header's checksum is in place. */
static void acpi_gen_seal(struct table_header *header, const char *signature, uint8_t revision,
                          size_t length) {
    memcpy(header->signature, signature, 4);
    header->length = (uint32_t)length;
    header->revision = revision;
    memcpy(header->oem_id, "MULLIO", 6);
    memcpy(header->oem_table_id, "MULLION ", 8);
    header->oem_revision = 1;
    memcpy(header->creator_id, "MULL", 4);
    header->creator_revision = 1;
    header->checksum = 0;
    header->checksum = acpi_gen_checksum(header, length);
}

static void acpi_gen_rsdp(uint8_t *base, uint64_t base_gpa) {
    struct rsdp *rsdp = (struct rsdp *)(base + RSDP_AT);

    memcpy(rsdp->signature, "RSD PTR ", 8);
    memcpy(rsdp->oem_id, "MULLIO", 6);
    rsdp->revision = 2;
    rsdp->length = sizeof(*rsdp);
    rsdp->xsdt = base_gpa + XSDT_AT;
    rsdp->checksum = acpi_gen_checksum(rsdp, 20);
    rsdp->checksum_of_all = acpi_gen_checksum(rsdp, sizeof(*rsdp));
}

static void acpi_gen_xsdt(uint8_t *base, uint64_t base_gpa) {
    struct xsdt *xsdt = (struct xsdt *)(base + XSDT_AT);

    xsdt->entries[0] = base_gpa + FADT_AT;
    xsdt->entries[1] = base_gpa + MADT_AT;
    acpi_gen_seal(&xsdt->header, "XSDT", 1, sizeof(*xsdt));
}

/* No 8042, no legacy devices and no FACS: those bits and fields stay 0. */
static void acpi_gen_fadt(uint8_t *base, uint64_t base_gpa) {
    struct fadt *fadt = (struct fadt *)(base + FADT_AT);

    fadt->dsdt = (uint32_t)(base_gpa + DSDT_AT);
    fadt->x_dsdt = base_gpa + DSDT_AT;
    fadt->iapc_boot_arch = BOOT_ARCH_NO_VGA | BOOT_ARCH_NO_CMOS_RTC;
    fadt->flags =
        FADT_WBINVD | FADT_PROC_C1 | FADT_PWR_BUTTON | FADT_SLP_BUTTON | FADT_RESET_REG_SUP | FADT_HW_REDUCED;
    fadt->reset_reg = (struct gas){.space = 1, .bits = 8, .access_size = 1, .address = 0xCF9};
    fadt->reset_value = 6;
    fadt->sleep_control = (struct gas){.space = 1, .bits = 8, .access_size = 1, .address = ACPI_SLEEP_PORT};
    fadt->sleep_status =
        (struct gas){.space = 1, .bits = 8, .access_size = 1, .address = ACPI_SLEEP_PORT + 1};
    memcpy(&fadt->hypervisor_vendor, "Mullion", 8);
    acpi_gen_seal(&fadt->header, "FACP", 6, sizeof(*fadt));
}

/* The build's DSDT with VUEN, the value of COM1's _STA, set to "absent" where there is no UART. */
static void acpi_gen_dsdt(uint8_t *base, bool vuart) {
    static const uint8_t name[] = {0x08, 'V', 'U', 'E', 'N', 0x0A}; /* NameOp, BytePrefix */
    uint8_t *dsdt = base + DSDT_AT;
    size_t at = sizeof(struct table_header);

    memcpy(dsdt, dsdt_aml, sizeof(dsdt_aml));
    while (at + sizeof(name) < sizeof(dsdt_aml) && memcmp(dsdt + at, name, sizeof(name)) != 0)
        at++;
    ASSERT(at + sizeof(name) < sizeof(dsdt_aml));
    if (!vuart)
        dsdt[at + sizeof(name)] = 0;
    acpi_gen_seal((struct table_header *)dsdt, "DSDT", 2, sizeof(dsdt_aml));
}

static size_t acpi_gen_madt_bytes(unsigned nr_vcpus) {
    return sizeof(struct madt) + nr_vcpus * sizeof(struct madt_lapic) + sizeof(struct madt_ioapic);
}

static void acpi_gen_madt(uint8_t *base, unsigned nr_vcpus) {
    struct madt *madt = (struct madt *)(base + MADT_AT);
    struct madt_lapic *lapic = (struct madt_lapic *)(madt + 1);
    struct madt_ioapic *ioapic = (struct madt_ioapic *)(lapic + nr_vcpus);

    madt->lapic = LAPIC_ADDRESS;
    for (unsigned i = 0; i < nr_vcpus; i++)
        lapic[i] = (struct madt_lapic){0, sizeof(*lapic), (uint8_t)i, (uint8_t)i, 1};
    *ioapic = (struct madt_ioapic){1, sizeof(*ioapic), 0, 0, IOAPIC_ADDRESS, 0};
    acpi_gen_seal(&madt->header, "APIC", 5, acpi_gen_madt_bytes(nr_vcpus));
}

enum err acpi_gen(const struct acpi_gen_request *request, gpa_t *rsdp) {
    const struct guest_map *map = request->map;
    const struct guest_region *region = NULL;
    uint64_t at, bytes;
    uint8_t *base;

    ASSERT(request->nr_vcpus <= MAX_CPUS);
    for (unsigned i = 0; i < map->count && region == NULL; i++)
        if (map->regions[i].kind == REGION_TABLES)
            region = &map->regions[i];
    if (region == NULL || range_end((struct range){region->gpa.v, region->bytes}) > MIB(1)) {
        log_line("acpi: the guest's memory has no area below 1 MiB for its ACPI tables");
        return ERR_NOT_FOUND;
    }
    at = region->gpa.v > RSDP_SEARCH ? region->gpa.v : RSDP_SEARCH;
    bytes = region->gpa.v + region->bytes - at;
    base = guest_map_ptr(map, gpa(at), bytes);
    if (base == NULL || bytes < MADT_AT + acpi_gen_madt_bytes(request->nr_vcpus)) {
        log_line("acpi: %lu bytes at guest address 0x%lx do not hold the ACPI tables of %u CPUs", bytes, at,
                 request->nr_vcpus);
        return ERR_FULL;
    }
    memset(base, 0, bytes);
    acpi_gen_rsdp(base, at);
    acpi_gen_xsdt(base, at);
    acpi_gen_fadt(base, at);
    acpi_gen_dsdt(base, request->vuart);
    acpi_gen_madt(base, request->nr_vcpus);
    *rsdp = gpa(at + RSDP_AT);
    return ERR_OK;
}
