/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as physical memory from address 0, the RSDP first. What random bytes never hit is put
 * right before parsing: addresses inside the window, signatures, lengths and checksums. */
#include <stdlib.h>
#include <string.h>

#include "tests/probe/report.h"
#include "tests/unit/host_stub.h"

static struct boot_info info;
static struct platform out;

static void require(bool held) {
    if (!held)
        abort();
}

static uint8_t *memory;
static size_t size;

static void checksum(size_t at, size_t bytes, size_t where) {
    uint8_t sum = 0;

    memory[at + where] = 0;
    for (size_t i = 0; i < bytes; i++)
        sum = (uint8_t)(sum + memory[at + i]);
    memory[at + where] = (uint8_t)-sum;
}

/* Bend the address at `field` to where a table header fits, and make one there; 0 stays 0. */
static size_t table_make(size_t field, size_t width, const char *signature) {
    uint64_t at = 0;
    uint32_t length;

    if (field + width > size)
        return 0;
    memcpy(&at, memory + field, width);
    if (at == 0)
        return 0;
    at %= size - 36 + 1;
    memcpy(memory + field, &at, width);
    memcpy(memory + at, signature, 4);
    memcpy(&length, memory + at + 4, 4);
    if (length > size - at) {
        length = (uint32_t)(36 + length % (size - at - 36 + 1));
        memcpy(memory + at + 4, &length, 4);
    }
    return at;
}

static void table_seal(size_t at) {
    uint32_t length;

    memcpy(&length, memory + at + 4, 4);
    if (at != 0 && length <= size - at)
        checksum(at, length, 9);
}

static void dsdt_make(size_t field, size_t width) {
    size_t at = table_make(field, width, "DSDT");

    if (at != 0 && at + 42 <= size && memory[34] % 4 >= 2)
        memcpy(memory + at + 36, "\x08_S5_\x12", 6);
    table_seal(at);
}

static void root_make(size_t field, size_t width, const char *signature) {
    static const char *const names[] = {"APIC", "FACP", "HPET", "MCFG", "DMAR", "SPCR"};
    size_t root = table_make(field, width, signature);

    if (root == 0)
        return;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t at = table_make(root + 36 + i * width, width, names[i]);

        if (i == 1 && at != 0) {
            dsdt_make(at + 40, 4);
            dsdt_make(at + 140, 8);
        }
        table_seal(at);
    }
    table_seal(root);
}

static void check(void) {
    require(out.nr_cpus > 0 && out.nr_cpus <= MAX_CPUS);
    for (unsigned i = 0; i < out.nr_cpus; i++) {
        require(out.apic_ids[i] != 0xffffffff);
        for (unsigned j = 0; j < i; j++)
            require(out.apic_ids[i] != out.apic_ids[j]);
    }
    require(out.nr_ioapics <= MAX_IOAPICS);
    require(!out.has_s5 || (out.s5_typ_a <= 7 && out.s5_typ_b <= 7));
    require(out.pm_timer_port <= 0xfffc && out.pm1a_port <= 0xfffc);
    for (unsigned i = 0; i < 2; i++) {
        struct acpi_address r = i == 0 ? out.reset_reg : out.sleep_control;
        require(r.space != SPACE_MEMORY || r.address <= 0xffffffff);
        require(r.space != SPACE_IO || r.address <= 0xffff);
        require(r.space <= SPACE_IO);
    }
    require(range_contains((struct range){0, BIT(49)}, uart_range(out.uart)) || out.uart.address == 0);
    require(out.uart.stride != 0 || out.uart.address <= 0xfff8);
    require(out.nr_ecam <= sizeof(out.ecam) / sizeof(out.ecam[0]));
    for (unsigned i = 0; i < out.nr_ecam; i++)
        require(range_valid(out.ecam[i]) && out.ecam[i].size > 0);
    require(out.nr_vtd <= sizeof(out.vtd) / sizeof(out.vtd[0]));
    for (unsigned i = 0; i < out.nr_vtd; i++)
        require(range_valid(out.vtd[i]) && out.vtd[i].size > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    if (bytes < 36)
        return 0;
    size = bytes;
    memory = malloc(size);
    memcpy(memory, data, size);
    if (memory[33] % 8 != 0) { /* a reserved byte chooses: as it is, or made plausible */
        memcpy(memory, "RSD PTR ", 8);
        root_make(16, 4, "RSDT");
        if (memory[15] >= 2)
            root_make(24, 8, "XSDT");
        checksum(0, 20, 8);
        checksum(0, 36, 32);
    }
    memcpy(info.rsdp, memory, sizeof(info.rsdp));
    info.rsdp_bytes = memory[34] % 2 == 0 ? 36 : 20;
    stub_phys_set(0, memory, size);
    stub_log_clear();
    if (acpi_parse(&info, &out) == ERR_OK)
        check();
    else
        require(stub_log[0] != '\0');
    probe_log_firmware(&info); /* reads all of what an entry says it has */
    stub_phys_set(0, NULL, 0);
    free(memory);
    return 0;
}
