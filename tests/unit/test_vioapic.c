/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/vioapic.h"
#include "tests/unit/unit.h"

static struct vioapic io;

static int setup(void **state) {
    (void)state;
    memset(&io, 0xa5, sizeof(io));
    vioapic_reset(&io);
    return 0;
}

static uint32_t get(unsigned reg) {
    vioapic_write(&io, 0x00, reg);
    return vioapic_read(&io, 0x10);
}

static void put(unsigned reg, uint32_t value) {
    vioapic_write(&io, 0x00, reg);
    vioapic_write(&io, 0x10, value);
}

static void put_entry(unsigned pin, uint32_t high, uint32_t low) {
    put(0x11 + 2 * pin, high);
    put(0x10 + 2 * pin, low);
}

static void test_registers(void **state) {
    (void)state;
    assert_int_equal(get(1), 0x00170020);
    put(1, 0xffffffff);
    assert_int_equal(get(1), 0x00170020);
    put(0, 0xffffffff);
    assert_int_equal(get(0), 0x0f000000);
    assert_int_equal(get(2), 0x0f000000);
    for (unsigned pin = 0; pin < 24; pin++) {
        assert_int_equal(get(0x10 + 2 * pin), 0x10000);
        assert_int_equal(get(0x11 + 2 * pin), 0);
        put_entry(pin, 0xffffffff, 0xffffffff);
        assert_int_equal(get(0x10 + 2 * pin), 0x0001afff); /* RO: delivery status, Remote IRR */
        assert_int_equal(get(0x11 + 2 * pin), 0xff000000);
        put(0x10 + 2 * pin, 0x10000 + pin); /* one half leaves the other */
        assert_int_equal(get(0x11 + 2 * pin), 0xff000000);
        put(0x11 + 2 * pin, 0);
        assert_int_equal(get(0x10 + 2 * pin), 0x10000 + pin);
    }
}

static void test_absent_registers(void **state) {
    static const unsigned offsets[] = {0x04, 0x0c, 0x11, 0x14, 0x20, 0x40, 0xffc, 0xffffffff};

    (void)state;
    for (unsigned reg = 0; reg < 256; reg++) {
        if (reg > 2 && (reg < 0x10 || reg >= 0x10 + 48)) {
            put(reg, 0xffffffff);
            assert_int_equal(get(reg), 0);
        }
    }
    vioapic_write(&io, 0x00, 0x10);
    for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
        vioapic_write(&io, offsets[i], 0xffffffff);
        assert_int_equal(vioapic_read(&io, offsets[i]), 0);
    }
    assert_int_equal(vioapic_read(&io, 0x00), 0x10);
    assert_int_equal(vioapic_read(&io, 0x10), 0x10000);
}

/* The entry that leaves when `pin` is raised; 0 = none. */
static uint64_t raise(unsigned pin) {
    uint64_t m = 0, other;

    vioapic_raise(&io, pin);
    if (!vioapic_next(&io, &m))
        return 0;
    assert_false(vioapic_next(&io, &other));
    return m;
}

static void test_message(void **state) {
    (void)state;
    put_entry(4, 0x03000000, 0xa034); /* level, active low, physical, fixed */
    assert_int_equal(raise(4), 0x030000000000a034);
    put_entry(4, 0xff000000, 0x0931);
    assert_int_equal(raise(4), 0xff00000000000931);
    put_entry(23, 0, 0x0400);
    assert_int_equal(raise(23), 0x400);
    assert_int_equal(get(0x10 + 2 * 4) & 0x5000, 0);
}

static void test_latched_while_masked(void **state) {
    uint64_t m;

    (void)state;
    put_entry(4, 0, 0x10034);
    put_entry(9, 0, 0x10039);
    assert_int_equal(raise(4), 0);
    assert_int_equal(raise(4), 0);
    assert_int_equal(raise(9), 0);
    put_entry(9, 0, 0x39);
    assert_true(vioapic_next(&io, &m));
    assert_int_equal((uint8_t)m, 0x39);
    assert_false(vioapic_next(&io, &m));
    put_entry(4, 0, 0x34);
    assert_true(vioapic_next(&io, &m));
    assert_int_equal((uint8_t)m, 0x34);
    assert_false(vioapic_next(&io, &m)); /* two edges while masked are one */
    assert_int_equal(raise(4), 0x34);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_registers, setup),
        cmocka_unit_test_setup(test_absent_registers, setup),
        cmocka_unit_test_setup(test_message, setup),
        cmocka_unit_test_setup(test_latched_while_masked, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
