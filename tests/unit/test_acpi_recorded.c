/* SPDX-License-Identifier: Apache-2.0 */
/* Tables recorded from firmware (tests/unit/data/record.py says how and describes the files).
 * What is expected here was read from them with another decoder, iasl. */
#include <stdio.h>
#include <string.h>

#include "core/acpi.h"
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

static void expect_cpus(unsigned count, unsigned disabled) {
    assert_int_equal(out.nr_cpus, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(out.cpus[i].apic_id, i);
        assert_int_equal(out.cpus[i].acpi_uid, i);
    }
    assert_int_equal(out.cpus_disabled, disabled);
    assert_int_equal(out.cpus_duplicate + out.cpus_beyond_limit, 0);
    assert_int_equal(out.lapic.v, 0xfee00000);
    assert_true(out.has_8259);
    assert_int_equal(out.nr_ioapics, 1);
    assert_int_equal(out.ioapics[0].at.v, 0xfec00000);
    assert_int_equal(out.ioapics[0].gsi_base, 0);
    assert_int_equal(out.overrides[0].isa_irq, 0);
    assert_int_equal(out.overrides[0].gsi, 2);
}

static void expect_qemu_overrides(void) {
    static const uint8_t irqs[] = {0, 5, 9, 10, 11};

    assert_int_equal(out.nr_overrides, 5);
    for (int i = 1; i < 5; i++) {
        assert_int_equal(out.overrides[i].isa_irq, irqs[i]);
        assert_int_equal(out.overrides[i].gsi, irqs[i]);
        assert_true(out.overrides[i].level);
        assert_false(out.overrides[i].active_low);
    }
}

static void expect_ports(uint64_t pm1a_cnt, uint64_t pm_timer) {
    assert_true(out.has_fadt);
    assert_false(out.hw_reduced || out.pm_timer_32bit);
    assert_int_equal(out.pm_timer.space, SPACE_IO);
    assert_int_equal(out.pm_timer.address, pm_timer);
    assert_int_equal(out.pm1a_cnt.space, SPACE_IO);
    assert_int_equal(out.pm1a_cnt.address, pm1a_cnt);
    assert_int_equal(out.pm1b_cnt.address, 0);
    assert_true(out.has_s5);
    assert_int_equal(out.s5_typ_a, 0);
    assert_int_equal(out.s5_typ_b, 0);
    assert_int_equal(out.hpet.v, 0xfed00000);
}

static void expect_q35(void) {
    expect_ports(0x604, 0x608);
    expect_qemu_overrides();
    assert_true(out.has_reset_reg);
    assert_int_equal(out.reset_reg.space, SPACE_IO);
    assert_int_equal(out.reset_reg.address, 0xcf9);
    assert_int_equal(out.reset_value, 0xf);
    assert_int_equal(out.nr_ecam, 1);
    assert_int_equal(out.ecam[0].base.v, 0xb0000000);
    assert_int_equal(out.ecam[0].segment, 0);
    assert_int_equal(out.ecam[0].bus_first, 0);
    assert_int_equal(out.ecam[0].bus_last, 255);
}

static void test_recorded_i440fx(void **state) {
    (void)state;
    assert_int_equal(parse_recorded("tests/unit/data/qemu-i440fx.acpi"), ERR_OK);
    assert_string_equal(stub_log, "");
    assert_int_equal(info.rsdp_bytes, 20);
    expect_cpus(3, 2);
    expect_qemu_overrides();
    expect_ports(0x604, 0x608);
    assert_false(out.has_reset_reg || out.has_dmar);
    assert_int_equal(out.nr_ecam, 0);
}

static void test_recorded_q35_dmar(void **state) {
    (void)state;
    assert_int_equal(parse_recorded("tests/unit/data/qemu-q35-dmar.acpi"), ERR_OK);
    assert_string_equal(stub_log, "");
    expect_cpus(4, 0);
    expect_q35();
    assert_true(out.has_dmar);
}

static void test_recorded_q35_ovmf(void **state) {
    (void)state;
    assert_int_equal(parse_recorded("tests/unit/data/qemu-q35-ovmf.acpi"), ERR_OK);
    assert_string_equal(stub_log, "");
    assert_int_equal(info.rsdp_bytes, 36);
    expect_cpus(2, 0);
    expect_q35();
    assert_false(out.has_dmar);
}

static void test_recorded_bochs(void **state) {
    (void)state;
    assert_int_equal(parse_recorded("tests/unit/data/bochs.acpi"), ERR_OK);
    assert_string_equal(stub_log, "");
    expect_cpus(4, 0);
    assert_int_equal(out.ioapics[0].id, 4);
    assert_int_equal(out.nr_overrides, 1);
    expect_ports(0xb004, 0xb008);
    assert_false(out.has_reset_reg || out.has_dmar);
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
