/* SPDX-License-Identifier: Apache-2.0 */
/* Every hypercall's answer and act, and everything that is none. */
#include "core/hypercall.h"
#include "tests/unit/unit.h"

static struct partition_config config = {.name = "partition-15-ch", .vuart = true};
static struct partition partition = {.config = &config, .restarts = 3};
static struct vcpu vcpu = {.partition = &partition,
                           .denied_msrs = 4,
                           .denied_ports = 5,
                           .bad_accesses = 6,
                           .exits = {[10] = 77, [86] = 22}};

static uint64_t call(uint64_t number, uint64_t rbx, uint64_t rcx) {
    uint64_t result;

    assert_true(hypercall(&vcpu, number, rbx, rcx, &result));
    return result;
}

static void left_to_do(uint64_t number, uint64_t rbx, uint64_t rcx) {
    uint64_t result;

    assert_false(hypercall(&vcpu, number, rbx, rcx, &result));
}

static void X16_answers(void **state) {
    uint64_t name[2] = {call(HYPERCALL_NAME, 0, 0), call(HYPERCALL_NAME, 1, 0)};

    assert_int_equal(call(HYPERCALL_VERSION, 0, 0), 2);
    assert_int_equal(call(HYPERCALL_EXITS, 0, 0), 99);
    assert_string_equal((const char *)name, "partition-15-ch");
    assert_int_equal(call(HYPERCALL_NAME, 2, 0), HYPERCALL_EINVAL);
}

static void X16_counters(void **state) {
    static const uint64_t expected[] = {3, 4, 5, 6};

    for (unsigned i = 0; i < ARRAY_SIZE(expected); i++)
        assert_int_equal(call(HYPERCALL_COUNTER, i, 0), expected[i]);
    assert_int_equal(call(HYPERCALL_COUNTER, HYPERCALL_COUNTER_EXIT_REASON + 10, 0), 77);
    assert_int_equal(call(HYPERCALL_COUNTER, 4, 0), HYPERCALL_EINVAL);
    assert_int_equal(call(HYPERCALL_COUNTER, HYPERCALL_COUNTER_EXIT_REASON + VCPU_EXIT_REASONS, 0),
                     HYPERCALL_EINVAL);
    assert_int_equal(call(HYPERCALL_COUNTER, UINT64_MAX, 0), HYPERCALL_EINVAL);
}

static void X16_acts(void **state) {
    left_to_do(HYPERCALL_STOP, 0, 0);
    left_to_do(HYPERCALL_RESTART, 0, 0);
    left_to_do(HYPERCALL_WAIT, 0, 0);
    left_to_do(HYPERCALL_WRITE, 0, 8);
    assert_int_equal(call(HYPERCALL_WRITE, 0, 9), HYPERCALL_EINVAL);
    config.vuart = false;
    assert_int_equal(call(HYPERCALL_WRITE, 0, 1), HYPERCALL_ENODEV);
    config.vuart = true;
}

static void X40_trace_is_bounded(void **state) {
    left_to_do(HYPERCALL_TRACE, 64, 0);
    assert_int_equal(call(HYPERCALL_TRACE, 65, 0), HYPERCALL_EINVAL);
}

static void X16_all_other_numbers(void **state) {
    for (uint64_t number = HYPERCALL_TRACE + 1; number < 100000; number++)
        assert_int_equal(call(number, 0, 0), HYPERCALL_ENOSYS);
    assert_int_equal(call(UINT64_MAX, 0, 0), HYPERCALL_ENOSYS);
    assert_int_equal(call(BIT(32), 0, 0), HYPERCALL_ENOSYS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(X16_answers),
        cmocka_unit_test(X16_counters),
        cmocka_unit_test(X16_acts),
        cmocka_unit_test(X40_trace_is_bounded),
        cmocka_unit_test(X16_all_other_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
