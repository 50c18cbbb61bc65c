/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/platform.h"
#include "tests/unit/host_stub.h"
#include "tests/unit/unit.h"

static void test_uart_route(void **state) {
    static struct platform p;
    struct irq_route r;

    (void)state;
    p.isa[3].gsi = 29;
    p.isa[3].active_low = true;
    p.isa[4].gsi = 4;
    assert_false(platform_uart_route(&p, 0x3f8, &r)); /* no IOAPIC at all */
    p.nr_ioapics = 2;
    p.ioapics[0] = (struct platform_ioapic){.gsi_base = 24};
    p.ioapics[1] = (struct platform_ioapic){.gsi_base = 0};
    assert_true(platform_uart_route(&p, 0x3f8, &r));
    assert_int_equal(r.ioapic, 1);
    assert_int_equal(r.pin, 4);
    assert_false(r.active_low);

    assert_true(platform_uart_route(&p, 0x2f8, &r));
    assert_int_equal(r.ioapic, 0);
    assert_int_equal(r.pin, 5);
    assert_true(r.active_low);
    assert_true(platform_uart_route(&p, 0x3f8, &r));
    assert_int_equal(r.pin, 4);

    assert_true(platform_uart_route(&p, 0x3e8, &r));
    assert_int_equal(r.pin, 4);
    assert_true(platform_uart_route(&p, 0x2e8, &r));
    assert_int_equal(r.pin, 5);
    assert_false(platform_uart_route(&p, 0xe000, &r)); /* a PCI card's: nobody has said */

    p.ioapics[1].gsi_base = 8;
    assert_false(platform_uart_route(&p, 0x3f8, &r)); /* below every base */
}

static void expect_ids(const struct platform *p, const uint32_t *ids, unsigned count) {
    assert_int_equal(p->nr_cpus, count);
    assert_memory_equal(p->apic_ids, ids, count * sizeof(*ids));
}

/* Wherever the MADT lists the boot core, or not at all, or behind more cores than there is room for. */
static void test_boot_core_first(void **state) {
    static struct platform p = {.apic_ids = {4, 2, 0}, .nr_cpus = 3};

    (void)state;
    stub_log_clear();
    platform_boot_core_first(&p, 0);
    expect_ids(&p, (uint32_t[]){0, 4, 2}, 3);
    platform_boot_core_first(&p, 0);
    expect_ids(&p, (uint32_t[]){0, 4, 2}, 3);
    platform_boot_core_first(&p, 4);
    expect_ids(&p, (uint32_t[]){4, 0, 2}, 3);
    assert_string_equal(stub_log, "");
    platform_boot_core_first(&p, 9);
    expect_ids(&p, (uint32_t[]){9, 4, 0, 2}, 4);
    assert_non_null(strstr(stub_log, "APIC id 9, is not among the CPUs known from the MADT"));

    for (uint32_t i = 0; i < MAX_CPUS; i++)
        p.apic_ids[i] = 100 + i;
    p.nr_cpus = MAX_CPUS;
    platform_boot_core_first(&p, 7);
    assert_int_equal(p.nr_cpus, MAX_CPUS);
    assert_int_equal(p.apic_ids[0], 7);
    assert_int_equal(p.apic_ids[1], 100);
    assert_int_equal(p.apic_ids[MAX_CPUS - 1], 100 + MAX_CPUS - 2);
    assert_non_null(strstr(stub_log, "the CPU with APIC id 163 is left out for it"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uart_route),
        cmocka_unit_test(test_boot_core_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
