/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's ACPI tables: well-formed for every number of CPUs, the UART only where asked for,
 * and nothing written outside their area. Leaves the tables in build/gen/acpi for iasl to read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/acpi_gen.h"
#include "tests/unit/host_stub.h"
#include "tests/unit/unit.h"

#define AREA_GPA 0xE0000u
#define AREA     KIB(128)

static uint8_t memory[AREA + 2 * PAGE_SIZE]; /* a page that must stay as it is on either side */
static struct guest_map map;

static uint64_t value(const uint8_t *at, unsigned bytes) {
    uint64_t v = 0;

    memcpy(&v, at, bytes);
    return v;
}

static const uint8_t *at_gpa(uint64_t at) {
    assert_in_range(at, AREA_GPA, AREA_GPA + AREA - 1);
    return memory + PAGE_SIZE + (at - AREA_GPA);
}

static uint8_t sum(const uint8_t *at, size_t bytes) {
    uint8_t s = 0;

    while (bytes-- > 0)
        s = (uint8_t)(s + at[bytes]);
    return s;
}

static const uint8_t *table(uint64_t at, const char *signature) {
    const uint8_t *t = at_gpa(at);

    assert_memory_equal(t, signature, 4);
    assert_int_equal(sum(t, value(t + 4, 4)), 0);
    return t;
}

static int set_up(void **state) {
    (void)state;
    memset(memory, 0xA5, sizeof(memory));
    memset(&map, 0, sizeof(map));
    stub_log_clear();
    stub_phys_set(0x100000000, memory, sizeof(memory));
    assert_int_equal(guest_map_add(&map, (struct guest_region){gpa(AREA_GPA), hpa(0x100000000 + PAGE_SIZE),
                                                               AREA, REGION_TABLES}),
                     ERR_OK);
    return 0;
}

static enum err generate(unsigned nr_vcpus, bool vuart, const uint8_t **xsdt) {
    memset(memory + PAGE_SIZE, 0, AREA);
    enum err err = acpi_gen(&map, nr_vcpus, vuart);

    if (err == ERR_OK) {
        const uint8_t *r = at_gpa(ACPI_RSDP);

        assert_memory_equal(r, "RSD PTR ", 8);
        assert_int_equal(r[15], 2);
        assert_int_equal(sum(r, 20), 0);
        assert_int_equal(sum(r, 36), 0);
        *xsdt = table(value(r + 24, 8), "XSDT");
        assert_int_equal(value(*xsdt + 4, 4), 36 + 2 * 8);
    }
    for (size_t i = 0; i < PAGE_SIZE; i++) {
        assert_int_equal(memory[i], 0xA5);
        assert_int_equal(memory[PAGE_SIZE + AREA + i], 0xA5);
    }
    return err;
}

static void test_fadt(void **state) {
    const uint8_t *xsdt, *fadt;

    (void)state;
    assert_int_equal(generate(1, true, &xsdt), ERR_OK);
    fadt = table(value(xsdt + 36, 8), "FACP");
    assert_int_equal(value(fadt + 4, 4), 276);
    assert_int_equal(fadt[8], 6);
    assert_int_equal(value(fadt + 109, 2), 0x24);        /* no VGA, no RTC, no 8042 */
    assert_int_equal(value(fadt + 112, 4) >> 20 & 1, 1); /* hardware-reduced */
    assert_int_equal(value(fadt + 112, 4) >> 10 & 1, 1); /* reset register */
    assert_int_equal(value(fadt + 116, 4), 0x01000801);  /* one byte of I/O space */
    assert_int_equal(value(fadt + 120, 8), 0xCF9);
    assert_int_equal(fadt[128], 6);
    assert_int_equal(value(fadt + 140, 8), value(fadt + 40, 4));
    table(value(fadt + 140, 8), "DSDT");
    assert_int_equal(value(fadt + 244, 4), 0x01000801); /* sleep control: a byte-wide port */
    assert_int_equal(value(fadt + 248, 8), ACPI_SLEEP_PORT);
    assert_int_equal(value(fadt + 260, 8), ACPI_SLEEP_PORT + 1);
}

static void test_madt(void **state) {
    (void)state;
    for (unsigned n = 1; n <= MAX_CPUS; n++) {
        const uint8_t *xsdt, *madt;

        assert_int_equal(generate(n, true, &xsdt), ERR_OK);
        madt = table(value(xsdt + 44, 8), "APIC");
        assert_int_equal(value(madt + 4, 4), 44 + 8 * n + 12);
        assert_int_equal(value(madt + 36, 4), 0xFEE00000);
        assert_int_equal(value(madt + 40, 4), 0); /* no 8259 */
        for (unsigned i = 0; i < n; i++) {
            const uint8_t entry[] = {0, 8, (uint8_t)i, (uint8_t)i, 1, 0, 0, 0};

            assert_memory_equal(madt + 44 + 8 * i, entry, 8);
        }
        assert_memory_equal(madt + 44 + 8 * n, "\x01\x0c\x00\x00\x00\x00\xc0\xfe\x00\x00\x00\x00", 12);
    }
}

/* One byte of AML and the checksum tell the two DSDTs apart. */
static void test_uart_shows_only_where_there_is_one(void **state) {
    static uint8_t with[4096];
    const uint8_t *xsdt, *dsdt;
    size_t bytes;
    unsigned changed = 0;

    (void)state;
    assert_int_equal(generate(1, true, &xsdt), ERR_OK);
    dsdt = table(value(at_gpa(value(xsdt + 36, 8)) + 140, 8), "DSDT");
    bytes = value(dsdt + 4, 4);
    assert_in_range(bytes, 36, sizeof(with));
    memcpy(with, dsdt, bytes);
    assert_int_equal(generate(1, false, &xsdt), ERR_OK);
    dsdt = table(value(at_gpa(value(xsdt + 36, 8)) + 140, 8), "DSDT");
    assert_int_equal(value(dsdt + 4, 4), bytes);
    for (size_t i = 36; i < bytes; i++) {
        if (dsdt[i] != with[i]) {
            changed++;
            assert_memory_equal(dsdt + i - 5, "VUEN\x0A\x00", 6);
            assert_int_equal(with[i], 0x0F);
        }
    }
    assert_int_equal(changed, 1);
}

static void test_a_map_without_room(void **state) {
    const uint8_t *xsdt;

    (void)state;
    map.regions[0].kind = REGION_DEVICE;
    assert_int_equal(generate(1, true, &xsdt), ERR_NOT_FOUND);
    map.regions[0].kind = REGION_TABLES;
    map.regions[0].gpa = gpa(ACPI_RSDP + PAGE_SIZE);
    assert_int_equal(generate(1, true, &xsdt), ERR_NOT_FOUND);
    map.regions[0].gpa = gpa(ACPI_RSDP);
    map.regions[0].bytes = AREA - PAGE_SIZE;
    assert_int_equal(generate(1, true, &xsdt), ERR_NOT_FOUND);
    assert_non_null(strstr(stub_log, "acpi: no memory at guest address 0xe0000 for the ACPI tables"));
}

static void dump(const uint8_t *t) {
    char path[64];
    FILE *file;

    snprintf(path, sizeof(path), "build/gen/acpi/%.4s.aml", (const char *)t);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(t, 1, value(t + 4, 4), file), value(t + 4, 4));
    fclose(file);
}

/* A reader that is not ours: iasl takes every table apart and finds nothing to complain about. */
static void test_iasl_reads_the_tables(void **state) {
    const uint8_t *xsdt, *fadt;

    (void)state;
    assert_int_equal(generate(3, true, &xsdt), ERR_OK);
    mkdir("build/gen/acpi", 0777);
    fadt = at_gpa(value(xsdt + 36, 8));
    dump(xsdt);
    dump(fadt);
    dump(at_gpa(value(xsdt + 44, 8)));
    dump(at_gpa(value(fadt + 140, 8)));
    assert_int_equal(system("cd build/gen/acpi && for t in XSDT FACP APIC DSDT; do "
                            "iasl -d $t.aml > $t.log 2>&1 && ! grep -iE "
                            "'error|warning|invalid|incorrect|unknown' $t.log $t.dsl || exit 1; "
                            "done; iasl -p again DSDT.dsl > again.log 2>&1"),
                     0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_fadt, set_up),
        cmocka_unit_test_setup(test_madt, set_up),
        cmocka_unit_test_setup(test_uart_shows_only_where_there_is_one, set_up),
        cmocka_unit_test_setup(test_a_map_without_room, set_up),
        cmocka_unit_test_setup(test_iasl_reads_the_tables, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
