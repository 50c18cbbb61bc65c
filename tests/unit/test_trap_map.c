/* SPDX-License-Identifier: Apache-2.0 */
/* All 65536 ports and the edges of the trapped pages. */
#include "core/trap_map.h"
#include "tests/unit/unit.h"

static const struct partition_config with_uart = {.vuart = true}, without = {0};

static enum trap_target expected(uint32_t port, bool uart) {
    if (uart && port >= 0x3f8 && port <= 0x3ff)
        return TRAP_UART;
    return port == 0x70 ? TRAP_CLOCK_INDEX : port == 0x71 ? TRAP_CLOCK_DATA : TRAP_NONE;
}

static void test_every_port(void **state) {
    (void)state;
    for (uint32_t port = 0; port < 0x10000; port++) {
        assert_int_equal(trap_map_in(&with_uart, (uint16_t)port), expected(port, true));
        assert_int_equal(trap_map_in(&without, (uint16_t)port), expected(port, false));
        assert_int_equal(trap_map_out(&with_uart, (uint16_t)port, 0), expected(port, true));
    }
}

static void test_ways_to_end(void **state) {
    (void)state;
    assert_int_equal(trap_map_out(&without, 0xcf9, 6), TRAP_RESET);
    assert_int_equal(trap_map_out(&without, 0xcf9, 2), TRAP_NONE); /* only says which reset it will be */
    assert_int_equal(trap_map_out(&without, 0x64, 0xfe), TRAP_RESET);
    assert_int_equal(trap_map_out(&without, 0x64, 0xfd), TRAP_NONE);
    assert_int_equal(trap_map_out(&without, 0x600, 0x34), TRAP_POWER_OFF);
    assert_int_equal(trap_map_out(&without, 0x600, 0x14), TRAP_NONE); /* SLP_TYP without SLP_EN */
    assert_int_equal(trap_map_out(&without, 0x601, 0x34), TRAP_NONE);
}

static void test_memory(void **state) {
    (void)state;
    assert_int_equal(trap_map_memory(VLAPIC_XAPIC, gpa(0xfee00000), 4), TRAP_APIC);
    assert_int_equal(trap_map_memory(VLAPIC_XAPIC, gpa(0xfee00ffc), 4), TRAP_APIC);
    assert_int_equal(trap_map_memory(VLAPIC_XAPIC, gpa(0xfee01000), 4), TRAP_NONE);
    assert_int_equal(trap_map_memory(VLAPIC_X2APIC, gpa(0xfee00000), 4), TRAP_NONE);
    assert_int_equal(trap_map_memory(VLAPIC_DISABLED, gpa(0xfee00000), 4), TRAP_NONE);
    assert_int_equal(trap_map_memory(VLAPIC_XAPIC, gpa(0xfee00002), 4), TRAP_NONE);
    assert_int_equal(trap_map_memory(VLAPIC_XAPIC, gpa(0xfee00000), 8), TRAP_NONE);
    assert_int_equal(trap_map_memory(VLAPIC_DISABLED, gpa(0xfec00010), 4), TRAP_IOAPIC);
    assert_int_equal(trap_map_memory(VLAPIC_XAPIC, gpa(0xfebffffc), 4), TRAP_NONE);
    assert_int_equal(trap_map_memory(VLAPIC_XAPIC, gpa(0), 4), TRAP_NONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_port),
        cmocka_unit_test(test_ways_to_end),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
