/* SPDX-License-Identifier: Apache-2.0 */
#include "core/platform.h"
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uart_route),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
