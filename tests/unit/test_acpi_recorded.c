/* SPDX-License-Identifier: Apache-2.0 */
/* Tables recorded from firmware (tests/unit/data/record.py says how and describes the files).
 * What is expected here was read from them with another decoder, iasl. */
#include <stdio.h>
#include <string.h>

#include "core/platform.h"
#include "tests/unit/host_stub.h"
#include "tests/unit/unit.h"

/* Each firmware keeps its tables within 64 KiB; addresses that differ in more fail the test. */
static uint8_t window[65536];

static struct boot_info info;
static struct platform out;

static enum err parse_recorded(const char *path) {
    uint64_t at, base = 0;
    uint32_t length;
    FILE *f = fopen(path, "rb");
    enum err e;

    assert_non_null(f);
    memset(window, 0, sizeof(window));
    memset(&info, 0, sizeof(info));
    while (fread(&at, 8, 1, f) == 1 && fread(&length, 4, 1, f) == 1) {
        uint8_t *to = info.rsdp;

        if (info.rsdp_bytes == 0) {
            assert_true(length == 20 || length == 36);
            info.rsdp_bytes = length;
        } else {
            assert_true(base == 0 || base == (at & ~(sizeof(window) - 1)));
            base = at & ~(sizeof(window) - 1);
            to = window + (at - base);
            assert_true(to + length <= window + sizeof(window));
        }
        assert_int_equal(fread(to, 1, length, f), length);
    }
    fclose(f);
    stub_log_clear();
    stub_phys_set(base, window, sizeof(window));
    e = acpi_parse(&info, &out);
    stub_phys_set(0, NULL, 0);
    return e;
}

static void expect_cpus(unsigned count) {
    assert_int_equal(out.nr_cpus, count);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(out.apic_ids[i], i);
    assert_int_equal(out.lapic.v, 0xfee00000);
    assert_true(out.has_8259);
    assert_int_equal(out.nr_ioapics, 1);
    assert_int_equal(out.ioapics[0].at.v, 0xfec00000);
    assert_int_equal(out.ioapics[0].gsi_base, 0);
    assert_int_equal(out.isa[0].gsi, 2);
}

static void expect_identity_but_0(void) {
    for (unsigned i = 1; i < ISA_IRQS; i++) {
        assert_int_equal(out.isa[i].gsi, i);
        assert_false(out.isa[i].active_low);
    }
}

static void expect_ports(uint64_t pm1a_cnt, uint64_t pm_timer, uint8_t acpi_enable) {
    assert_int_equal(out.smi_port, 0xb2);
    assert_int_equal(out.acpi_enable, acpi_enable);
    assert_int_equal(out.pm_timer_port, pm_timer);
    assert_int_equal(out.pm1a_port, pm1a_cnt);
    assert_int_equal(out.pm1b_port, 0);
    assert_true(out.has_s5);
    assert_int_equal(out.s5_typ_a, 0);
    assert_int_equal(out.s5_typ_b, 0);
    assert_int_equal(out.hpet.v, 0xfed00000);
}

static void expect_q35(void) {
    expect_ports(0x604, 0x608, 0x02);
    expect_identity_but_0();
    assert_int_equal(out.reset_reg.space, SPACE_IO);
    assert_int_equal(out.reset_reg.address, 0xcf9);
    assert_int_equal(out.reset_value, 0xf);
    assert_int_equal(out.nr_ecam, 1);
    assert_int_equal(out.ecam[0].base, 0xb0000000);
    assert_int_equal(out.ecam[0].size, 256 << 20);
}

static void test_recorded_i440fx(void **state) {
    (void)state;
    assert_int_equal(parse_recorded("tests/unit/data/qemu-i440fx.acpi"), ERR_OK);
    assert_string_equal(stub_log, "");
    assert_int_equal(info.rsdp_bytes, 20);
    expect_cpus(3);
    expect_identity_but_0();
    expect_ports(0x604, 0x608, 0xf1);
    assert_int_equal(out.reset_reg.address, 0);
    assert_int_equal(out.nr_ecam, 0);
}

static void test_recorded_q35_dmar(void **state) {
    (void)state;
    assert_int_equal(parse_recorded("tests/unit/data/qemu-q35-dmar.acpi"), ERR_OK);
    assert_string_equal(stub_log, "");
    expect_cpus(4);
    expect_q35();
    assert_int_equal(out.nr_vtd, 1);
    assert_int_equal(out.vtd[0].base, 0xfed90000);
    assert_int_equal(out.vtd[0].size, 4096);
}

static void test_recorded_q35_ovmf(void **state) {
    (void)state;
    assert_int_equal(parse_recorded("tests/unit/data/qemu-q35-ovmf.acpi"), ERR_OK);
    assert_string_equal(stub_log, "");
    assert_int_equal(info.rsdp_bytes, 36);
    expect_cpus(2);
    expect_q35();
}

static void test_recorded_bochs(void **state) {
    (void)state;
    assert_int_equal(parse_recorded("tests/unit/data/bochs.acpi"), ERR_OK);
    assert_string_equal(stub_log, "");
    expect_cpus(4);
    expect_identity_but_0();
    expect_ports(0xb004, 0xb008, 0xf1);
    assert_int_equal(out.reset_reg.address, 0);
    assert_int_equal(out.nr_ecam, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded_i440fx),
        cmocka_unit_test(test_recorded_q35_dmar),
        cmocka_unit_test(test_recorded_q35_ovmf),
        cmocka_unit_test(test_recorded_bochs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
