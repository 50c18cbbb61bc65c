/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/tsc.h"
#include "tests/unit/host_stub.h"
#include "tests/unit/unit.h"

static void test_measured(void **state) {
    (void)state;
    assert_int_equal(tsc_khz_measured(30000000, 35795, 3579545), 3000037);
    assert_int_equal(tsc_khz_measured(1000, 0, 3579545), 0);
    assert_int_equal(tsc_khz_measured(UINT64_MAX / 2, 1, 3), 0);
    assert_int_equal(tsc_khz_measured(0, 5, 3), 0);
}

static void test_claimed(void **state) {
    (void)state;
    assert_int_equal(tsc_khz_claimed(2, 250, 24000000, 3000), 3000000);
    assert_int_equal(tsc_khz_claimed(2, 250, 0, 0xffff0bb8), 3000000);
    assert_int_equal(tsc_khz_claimed(2, 250, 0, 0), 0);
    assert_int_equal(tsc_khz_claimed(0, 250, 24000000, 3000), 0);
    assert_int_equal(tsc_khz_claimed(2, 0, 24000000, 3000), 0);
    assert_int_equal(tsc_khz_claimed(1, UINT32_MAX, UINT32_MAX, 0), 18446744065119617);
}

static void test_choose(void **state) {
    (void)state;
    stub_log_clear();
    assert_int_equal(tsc_khz_choose(0, 0), 0);
    assert_int_equal(tsc_khz_choose(3000000, 0), 3000000);
    assert_int_equal(tsc_khz_choose(0, 2999000), 2999000);
    assert_int_equal(tsc_khz_choose(3000000, 2980000), 3000000);
    assert_int_equal(tsc_khz_choose(3000000, 3030000), 3000000);
    assert_string_equal(stub_log, "");
    assert_int_equal(tsc_khz_choose(3000000, 2960000), 2960000);
    assert_int_equal(tsc_khz_choose(3000000, 3040000), 3040000);
    assert_non_null(strstr(stub_log, "CPUID says 3000000 kHz, measured are 3040000 kHz"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_measured),
        cmocka_unit_test(test_claimed),
        cmocka_unit_test(test_choose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
