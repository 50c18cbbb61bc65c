/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual clock against libc's calendar. */
#include <time.h>

#include "core/vrtc.h"
#include "tests/unit/unit.h"

static int bcd(uint8_t v) {
    return (v >> 4) * 10 + (v & 0xf);
}

static void read_all(uint64_t seconds, uint8_t registers[VRTC_REGISTERS]) {
    for (unsigned i = 0; i < VRTC_REGISTERS; i++)
        registers[i] = vrtc_register(seconds, i);
}

/* Every day from 2000 to 2099, at an odd time of day. */
static void test_calendar(void **state) {
    (void)state;
    for (int64_t day = 10957; day < 10957 + 36525; day++) {
        time_t at = day * 86400 + day % 86400;
        struct tm want;
        uint8_t r[VRTC_REGISTERS];

        gmtime_r(&at, &want);
        read_all((uint64_t)at, r);
        assert_int_equal(bcd(r[0]), want.tm_sec);
        assert_int_equal(bcd(r[2]), want.tm_min);
        assert_int_equal(bcd(r[4]), want.tm_hour);
        assert_int_equal(bcd(r[6]), want.tm_wday + 1);
        assert_int_equal(bcd(r[7]), want.tm_mday);
        assert_int_equal(bcd(r[8]), want.tm_mon + 1);
        assert_int_equal(bcd(r[9]), want.tm_year % 100);
        assert_int_equal(vrtc_seconds(r), at);
    }
}

static void test_status(void **state) {
    (void)state;
    assert_int_equal(vrtc_register(0, 10) & 0x80, 0); /* no update in progress */
    assert_int_equal(vrtc_register(0, 13), 0x80);     /* battery good */
    assert_int_equal(vrtc_register(0, 14), 0);
    assert_int_equal(vrtc_register(0, 200), 0);
}

static void test_real_clocks(void **state) {
    uint8_t twelve[VRTC_REGISTERS] = {0x30, 0, 0x59, 0, 0x92, 0, 0, 0x29, 0x02, 0x24, 0, 0};
    uint8_t binary[VRTC_REGISTERS] = {30, 0, 59, 0, 0, 0, 0, 29, 2, 24, 0, 0x06};
    uint8_t nonsense[VRTC_REGISTERS];

    (void)state;
    assert_int_equal(vrtc_seconds(binary), 1709168370);             /* 2024-02-29 00:59:30 */
    assert_int_equal(vrtc_seconds(twelve), 1709168370 + 12 * 3600); /* 12:59:30, as 12 pm */
    for (unsigned i = 0; i < VRTC_REGISTERS; i++)
        nonsense[i] = 0xff;
    assert_int_equal(vrtc_seconds(nonsense), 0);
    twelve[8] = 0; /* month 0 */
    assert_int_equal(vrtc_seconds(twelve), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calendar),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_real_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
