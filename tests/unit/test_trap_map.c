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

static void X05_G11_every_port(void **state) {
    (void)state;
    for (uint32_t port = 0; port < 0x10000; port++) {
        assert_int_equal(trap_map_in(&with_uart, (uint16_t)port), expected(port, true));
        assert_int_equal(trap_map_in(&without, (uint16_t)port), expected(port, false));
        assert_int_equal(trap_map_out(&with_uart, (uint16_t)port, 0), expected(port, true));
    }
}

static void C06_every_bit_of_the_bitmap(void **state) {
    static struct partition_config config;
    static uint8_t bitmap[TRAP_IO_BITMAP_BYTES];

    (void)state;
    config.ports.count = 3;
    config.ports.at[0] = (struct range){0x60, 1};
    config.ports.at[1] = (struct range){0x7ffe, 4};
    config.ports.at[2] = (struct range){0xfff9, 7};
    trap_map_io_bitmap(&config, bitmap);
    for (uint32_t port = 0; port < 0x10000; port++) {
        bool granted = port == 0x60 || (port >= 0x7ffe && port < 0x8002) || port >= 0xfff9;

        assert_int_equal(bitmap[port / 8] >> port % 8 & 1, !granted);
    }
}

static void X05_ways_to_end(void **state) {
    (void)state;
    assert_int_equal(trap_map_out(&without, 0xcf9, 6), TRAP_RESET);
    assert_int_equal(trap_map_out(&without, 0xcf9, 2), TRAP_NONE); /* only says which reset it will be */
    assert_int_equal(trap_map_out(&without, 0x64, 0xfe), TRAP_RESET);
    assert_int_equal(trap_map_out(&without, 0x64, 0xfd), TRAP_NONE);
    assert_int_equal(trap_map_out(&without, 0x600, 0x34), TRAP_POWER_OFF);
    assert_int_equal(trap_map_out(&without, 0x600, 0x14), TRAP_NONE); /* SLP_TYP without SLP_EN */
    assert_int_equal(trap_map_out(&without, 0x601, 0x34), TRAP_NONE);
}

/* All accesses of all sizes around the two pages, in all modes. */
static void X27_X36_G11_every_offset(void **state) {
    static const enum vlapic_mode modes[] = {VLAPIC_DISABLED, VLAPIC_XAPIC, VLAPIC_X2APIC};

    (void)state;
    for (unsigned m = 0; m < ARRAY_SIZE(modes); m++)
        for (uint64_t offset = 0; offset < 0x1000; offset++)
            for (unsigned bytes = 1; bytes <= 8; bytes++)
                for (unsigned write = 0; write < 2; write++) {
                    bool part = offset % 16 + bytes <= 4; /* of a register */
                    bool ok = write ? offset % 16 == 0 && bytes == 4 : part;
                    gpa_t apic = gpa(0xfee00000 + offset), ioapic = gpa(0xfec00000 + offset);

                    assert_int_equal(trap_map_memory(modes[m], apic, bytes, write),
                                     ok && modes[m] == VLAPIC_XAPIC ? TRAP_APIC : TRAP_NONE);
                    assert_int_equal(trap_map_memory(modes[m], ioapic, bytes, write),
                                     ok ? TRAP_IOAPIC : TRAP_NONE);
                }
    assert_int_equal(trap_map_memory(VLAPIC_XAPIC, gpa(0xfee01000), 4, true), TRAP_NONE);
    assert_int_equal(trap_map_memory(VLAPIC_XAPIC, gpa(0xfebff000), 4, true), TRAP_NONE);
    assert_int_equal(trap_map_memory(VLAPIC_XAPIC, gpa(0), 4, false), TRAP_NONE);
    assert_int_equal(trap_map_memory(VLAPIC_XAPIC, gpa(UINT64_MAX - 3), 4, false), TRAP_NONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(X05_G11_every_port),
        cmocka_unit_test(C06_every_bit_of_the_bitmap),
        cmocka_unit_test(X05_ways_to_end),
        cmocka_unit_test(X27_X36_G11_every_offset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
