/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/str.h"
#include "tests/unit/unit.h"

/* Every format the code base may use must print what libc prints. */
#define same(...)                                                                                            \
    do {                                                                                                     \
        char ours[256], theirs[256];                                                                         \
        size_t n = str_format(ours, sizeof(ours), __VA_ARGS__);                                              \
        assert_int_equal(n, snprintf(theirs, sizeof(theirs), __VA_ARGS__));                                  \
        assert_string_equal(ours, theirs);                                                                   \
    } while (0)

static void test_format_like_libc(void **state) {
    (void)state;
    same("plain");
    same("%u", UINT_MAX);
    same("%lu %zu", ULONG_MAX, (size_t)7);
    same("%x %lx", 0xbeefu, 0xfedcba9876543210ul);
    same("[%8x] [%-8x] [%08x]", 0x12u, 0x12u, 0x12u);
    same("[%5u] [%-5u] [%016lx]", 12u, 12u, 0x12ul);
    same("[%s] [%6s] [%-6s] [%2s]", "abc", "abc", "abc", "abc");
    same("[%.*s] [%.*s] [%-4.*s]", 2, "xyz", 4, "xyz", 1, "xyz");
    same("100%%");
}

static void test_format_cuts(void **state) {
    char small[4];

    (void)state;
    assert_int_equal(str_format(small, sizeof(small), "%s", "abcdef"), 3);
    assert_string_equal(small, "abc");
    assert_int_equal(str_format(small, 1, "x"), 0);
    assert_string_equal(small, "");
}

static void test_numbers(void **state) {
    uint64_t v = 1;

    (void)state;
    assert_true(str_to_u64("0", 1, &v) && v == 0);
    assert_true(str_to_u64("18446744073709551615", 20, &v) && v == UINT64_MAX);
    assert_false(str_to_u64("18446744073709551616", 20, &v));
    assert_true(str_to_u64("0xfFfFfFfFfFfFfFfF", 18, &v) && v == UINT64_MAX);
    assert_false(str_to_u64("0x10000000000000000", 19, &v));
    assert_false(str_to_u64("", 0, &v));
    assert_false(str_to_u64("0x", 2, &v));
    assert_false(str_to_u64("12a", 3, &v));
    assert_false(str_to_u64("0x1g", 4, &v));
    assert_false(str_to_u64("1\x12", 2, &v));
    assert_false(str_to_u64("-1", 2, &v));
}

static void test_copy_and_equal(void **state) {
    char to[4];

    (void)state;
    assert_true(str_copy(to, sizeof(to), "abcxyz", 3));
    assert_string_equal(to, "abc");
    assert_false(str_copy(to, sizeof(to), "abcd", 4));
    assert_string_equal(to, "abc");
    assert_true(str_equal("", ""));
    assert_false(str_equal("a", "ab"));
    assert_false(str_equal("ab", "a"));
    assert_int_equal(str_length("four"), 4);
}

static struct text text(const char *s) {
    return (struct text){s, strlen(s)};
}

static void reads(struct text t, const char *s) {
    assert_int_equal(t.length, strlen(s));
    assert_memory_equal(t.at, s, t.length);
}

static void test_trim_and_is(void **state) {
    (void)state;
    reads(text_trim(text(" \t a b\t\r")), "a b");
    reads(text_trim(text(" \t ")), "");
    reads(text_trim(text("")), "");
    assert_true(text_is(text("ab"), "ab"));
    assert_false(text_is(text("ab"), "abc"));
    assert_false(text_is(text("ab"), "a"));
    assert_false(text_is(text("ab"), "ac"));
}

static void test_cut(void **state) {
    struct text t = text(" a , b ,, c");
    bool found;

    (void)state;
    reads(text_cut(&t, ',', &found), "a");
    assert_true(found);
    reads(t, "b ,, c");
    reads(text_cut(&t, ',', &found), "b");
    reads(text_cut(&t, ',', &found), "");
    assert_true(found);
    reads(text_cut(&t, ',', &found), "c");
    assert_false(found);
    reads(t, "");
    reads(text_cut(&t, ',', &found), "");
    assert_false(found);
    t = text("a\t b c");
    reads(text_cut(&t, ' ', &found), "a");
    reads(t, "b c");
    t = text("a,");
    reads(text_cut(&t, ',', &found), "a");
    assert_true(found);
    reads(t, "");
}

static void test_text_numbers(void **state) {
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
        cmocka_unit_test(test_format_like_libc), cmocka_unit_test(test_format_cuts),
        cmocka_unit_test(test_numbers),          cmocka_unit_test(test_copy_and_equal),
        cmocka_unit_test(test_trim_and_is),      cmocka_unit_test(test_cut),
        cmocka_unit_test(test_text_numbers),     cmocka_unit_test(test_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
