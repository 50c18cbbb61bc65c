/* SPDX-License-Identifier: Apache-2.0 */
/* "Conditions for Generating a Double Fault": every pair of exceptions against the table in the SDM. */
#include "tests/unit/unit.h"

#include "core/event.h"

#define FIRST(type, vector) (EVENT_VALID | (type) | (vector))

static const uint8_t contributory[] = {0, 10, 11, 12, 13, 21};
static const uint8_t page_faults[] = {14, 20};

static bool among(const uint8_t *set, size_t count, unsigned vector) {
    for (size_t i = 0; i < count; i++)
        if (set[i] == vector)
            return true;
    return false;
}

static bool is_contributory(unsigned vector) {
    return among(contributory, ARRAY_SIZE(contributory), vector);
}

static bool is_page_fault(unsigned vector) {
    return among(page_faults, ARRAY_SIZE(page_faults), vector);
}

static void V051_every_pair_of_exceptions(void **state) {
    for (unsigned first = 0; first < 32; first++) {
        for (unsigned second = 0; second < 32; second++) {
            bool bad = is_contributory(second) || is_page_fault(second);
            enum event_outcome want = EVENT_SECOND;

            if (second == 8) /* nobody raises #DF second */
                continue;
            if (first == 8 && bad)
                want = EVENT_TRIPLE_FAULT;
            else if ((is_contributory(first) && is_contributory(second)) || (is_page_fault(first) && bad))
                want = EVENT_DOUBLE_FAULT;
            if (first == 2)
                continue; /* an NMI is no exception */
            assert_int_equal(event_meet(FIRST(EVENT_EXCEPTION, first), (uint8_t)second), want);
        }
    }
}

static void V052_nothing_was_being_delivered(void **state) {
    assert_int_equal(event_meet(EVENT_EXCEPTION | 13, 13), EVENT_SECOND);
}

static void V052_what_nobody_repeats_is_held(void **state) {
    assert_int_equal(event_meet(FIRST(EVENT_INTERRUPT, 0xd), 13), EVENT_SECOND_THEN_HELD);
    assert_int_equal(event_meet(FIRST(EVENT_NMI, 2), 17), EVENT_SECOND_THEN_HELD);
}

static void V052_instructions_that_raise_events_are_run_again(void **state) {
    assert_int_equal(event_meet(FIRST(EVENT_SOFT_INT, 13), 13), EVENT_SECOND);
    assert_int_equal(event_meet(FIRST(EVENT_SOFT_EXC, 3), 14), EVENT_SECOND);
    assert_int_equal(event_meet(FIRST(EVENT_PRIV_EXC, 1), 14), EVENT_SECOND);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(V051_every_pair_of_exceptions),
        cmocka_unit_test(V052_nothing_was_being_delivered),
        cmocka_unit_test(V052_what_nobody_repeats_is_held),
        cmocka_unit_test(V052_instructions_that_raise_events_are_run_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
