/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/text.h"
#include "tests/unit/unit.h"

static struct text text(const char *s) {
    return (struct text){s, strlen(s)};
}

static void same(struct text t, const char *s) {
    assert_int_equal(t.length, strlen(s));
    assert_memory_equal(t.at, s, t.length);
}

static void test_trim_and_is(void **state) {
    (void)state;
    same(text_trim(text(" \t a b\t\r")), "a b");
    same(text_trim(text(" \t ")), "");
    same(text_trim(text("")), "");
    assert_true(text_is(text("ab"), "ab"));
    assert_false(text_is(text("ab"), "abc"));
    assert_false(text_is(text("ab"), "a"));
    assert_false(text_is(text("ab"), "ac"));
}

static void test_cut(void **state) {
    struct text t = text(" a , b ,, c");
    bool found;

    (void)state;
    same(text_cut(&t, ',', &found), "a");
    assert_true(found);
    same(t, "b ,, c");
    same(text_cut(&t, ',', &found), "b");
    same(text_cut(&t, ',', &found), "");
    assert_true(found);
    same(text_cut(&t, ',', &found), "c");
    assert_false(found);
    same(t, "");
    same(text_cut(&t, ',', &found), "");
    assert_false(found);
    t = text("a\t b c");
    same(text_cut(&t, ' ', &found), "a");
    same(t, "b c");
    t = text("a,");
    same(text_cut(&t, ',', &found), "a");
    assert_true(found);
    same(t, "");
}

static void test_numbers(void **state) {
    uint64_t v = 0, w = 0;

    (void)state;
    assert_true(text_size(text("0x10"), &v) && v == 16);
    assert_true(text_size(text("3K"), &v) && v == 3 << 10);
    assert_true(text_size(text("3m"), &v) && v == 3 << 20);
    assert_true(text_size(text("0xFg"), &v) && v == UINT64_C(15) << 30);
    assert_true(text_size(text("17179869183G"), &v) && v == UINT64_C(0xffffffffc0000000));
    assert_false(text_size(text("17179869184G"), &v));
    assert_false(text_size(text("3KK"), &v));
    assert_false(text_size(text("K"), &v));
    assert_false(text_size(text(""), &v));
    assert_true(text_span(text("7"), &v, &w) && v == 7 && w == 7);
    assert_true(text_span(text("7 - 9"), &v, &w) && v == 7 && w == 9);
    assert_true(text_span(text("7-7"), &v, &w) && v == 7 && w == 7);
    assert_false(text_span(text("9-7"), &v, &w));
    assert_false(text_span(text("7-"), &v, &w));
    assert_false(text_span(text("-7"), &v, &w));
    assert_false(text_span(text("1-2-3"), &v, &w));
}

static void test_shown(void **state) {
    char longer[TEXT_SHOWN + 1] = {0};

    (void)state;
    assert_int_equal(text_shown(text("abc")), 3);
    assert_int_equal(text_shown((struct text){longer, TEXT_SHOWN + 1}), TEXT_SHOWN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trim_and_is),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
