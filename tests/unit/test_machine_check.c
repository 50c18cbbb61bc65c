/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine check leaves running, by the SDM's "Machine-Check Error Handling" tables. */
#include "tests/unit/unit.h"

#include "core/machine_check.h"

#define CAP      UINT64_C(1) /* one bank */
#define CAP_SER  (CAP | MCG_SER)
#define MC_FATAL (MC_UC | MC_EN)

static void test_cause(void **state) {
    assert_int_equal(machine_check_cause(0, 0), CHECK_STOPS);   /* a CPU that says nothing */
    assert_int_equal(machine_check_cause(CAP, 0), CHECK_STOPS); /* no way back */
    assert_int_equal(machine_check_cause(CAP, 4), CHECK_STOPS);
    assert_int_equal(machine_check_cause(CAP, 5), CHECK_PASSES); /* another core's */
    assert_int_equal(machine_check_cause(CAP, 7), CHECK_STOPS);  /* this core has met it */
}

static void test_banks(void **state) {
    static const struct {
        uint64_t cap, status;
        enum machine_check want;
    } rows[] = {
        {CAP, 0, CHECK_PASSES},
        {CAP, MC_FATAL | MC_CORRUPT, CHECK_PASSES}, /* not valid */
        {CAP, MC_VALID | MC_EN, CHECK_PASSES},
        {CAP, MC_VALID | MC_EN | MC_CORRUPT, CHECK_PASSES},
        {CAP, MC_VALID | MC_FATAL, CHECK_STOPS},
        {CAP, MC_VALID | MC_UC, CHECK_PASSES}, /* raises none */
        {CAP, MC_VALID | MC_FATAL | MC_CORRUPT, CHECK_BREAKS},
        {CAP, MC_VALID | MC_UC | MC_CORRUPT, CHECK_BREAKS},
        {CAP_SER, MC_VALID | MC_FATAL | MC_CORRUPT | MC_S, CHECK_BREAKS},
        {CAP_SER, MC_VALID | MC_FATAL, CHECK_PASSES},        /* UCNA */
        {CAP_SER, MC_VALID | MC_FATAL | MC_S, CHECK_PASSES}, /* SRAO */
        {CAP_SER, MC_VALID | MC_FATAL | MC_S | MC_OVER, CHECK_STOPS},
        {CAP_SER, MC_VALID | MC_FATAL | MC_S | MC_AR, CHECK_STOPS}, /* SRAR */
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (machine_check_bank(rows[i].cap, rows[i].status) != rows[i].want)
            fail_msg("row %zu", i);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cause),
        cmocka_unit_test(test_banks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
