/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/history.h"
#include "tests/unit/unit.h"

static struct history h;

static int setup(void **state) {
    (void)state;
    memset(&h, 0, sizeof(h));
    return 0;
}

static void add(const char *line) {
    history_add(&h, line, strlen(line));
}

static void expect(unsigned lines, const char *text) {
    char line[LOG_LINE_MAX], all[1024] = "";

    for (uint64_t at = history_tail(&h, lines); history_next(&h, &at, line);)
        sprintf(all + strlen(all), "%s;", line);
    assert_string_equal(all, text);
}

static void test_lines(void **state) {
    (void)state;
    expect(5, "");
    add("one\n");
    add("\n");
    add("thr\x1b\xc3\n");
    expect(0, "");
    expect(1, "thr??;");
    expect(2, ";thr??;");
    expect(3, "one;;thr??;");
    expect(UINT32_MAX, "one;;thr??;");
}

/* The oldest lines make room; the first one left has lost its start. */
static void test_wraps(void **state) {
    char text[LOG_LINE_MAX];

    (void)state;
    for (unsigned i = 0; i <= 2 * HISTORY_BYTES / 10; i++) {
        sprintf(text, "line %04u\n", i);
        add(text);
    }
    expect(2, "line 1624;line 1625;");
    assert_int_equal(h.head - history_tail(&h, UINT32_MAX), HISTORY_BYTES);
    uint64_t at = history_tail(&h, UINT32_MAX);
    assert_true(history_next(&h, &at, text));
    assert_string_equal(text, "ne 0813");
}

/* What another one wrote there need not have lines. */
static void test_no_newline(void **state) {
    char line[LOG_LINE_MAX];
    unsigned pieces = 0;

    (void)state;
    memset(&h, 'x', sizeof(h));
    for (uint64_t at = history_tail(&h, 3); history_next(&h, &at, line); pieces++)
        assert_true(strlen(line) < LOG_LINE_MAX);
    assert_int_equal(pieces, (HISTORY_BYTES + LOG_LINE_MAX - 2) / (LOG_LINE_MAX - 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_lines, setup),
        cmocka_unit_test_setup(test_wraps, setup),
        cmocka_unit_test_setup(test_no_newline, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
