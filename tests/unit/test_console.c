/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/console.h"
#include "tests/unit/unit.h"

enum { LINUX = 2, JITTER = 5, THIRD = 9 };

static struct console con;
static struct ring linux_tx, linux_rx, jitter_tx, jitter_rx, third_tx, third_rx, log0, log3;
static uint8_t sent[1 << 16];

static int setup_prefix(bool prefix)
{
    struct ring *all[] = {&linux_tx, &linux_rx, &jitter_tx, &jitter_rx,
                          &third_tx, &third_rx, &log0,      &log3};

    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        memset(all[i], 0, sizeof(*all[i]));
    }
    console_init(&con, prefix);
    console_add_partition(&con, LINUX, "linux", &linux_tx, &linux_rx);
    console_add_log(&con, 0, &log0);
    console_add_log(&con, 3, &log3);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    setup_prefix(true);
    console_add_partition(&con, JITTER, "jitter", &jitter_tx, &jitter_rx);
    return 0;
}

static int setup_raw(void **state)
{
    (void)state;
    return setup_prefix(false);
}

static void put(struct ring *r, const char *text)
{
    for (; *text != '\0'; text++) {
        assert_true(ring_put(r, (uint8_t)*text));
    }
}

static void say(unsigned cpu, const char *line)
{
    assert_true(console_log(&con, cpu, line, strlen(line)));
}

static const char *pump(unsigned room)
{
    unsigned used = console_pump(&con, sent, room);

    assert_true(used <= room);
    sent[used] = '\0';
    return (char *)sent;
}

/* Everything there is to send now, and it is exactly this. */
#define expect(text)                                                                               \
    do {                                                                                           \
        assert_string_equal(pump(sizeof(sent) - 1), text);                                         \
        assert_false(console_wants_output(&con));                                                  \
    } while (0)

static void test_lines_of_all(void **state)
{
    (void)state;
    assert_false(console_wants_output(&con));
    put(&linux_tx, "one\r\ntwo\n");
    put(&jitter_tx, "1\n2\n");
    say(0, "from 0\n");
    say(3, "from 3\n");
    assert_true(console_wants_output(&con));
    expect("linux| one\r\njitter| 1\r\nmullion| from 0\r\nmullion| from 3\r\n"
           "linux| two\r\njitter| 2\r\n");
    expect("");
}

static void test_any_room(void **state)
{
    unsigned n = 0;

    (void)state;
    put(&linux_tx, "# ");
    put(&jitter_tx, "tick\n");
    while (console_wants_output(&con)) {
        assert_int_equal(console_pump(&con, sent + n, 0), 0);
        assert_int_equal(console_pump(&con, sent + n, 1), 1);
        n++;
    }
    sent[n] = '\0';
    assert_string_equal((char *)sent, "linux| # \r\x1b[Kjitter| tick\r\nlinux| # ");
}

static void test_focused_line_grows(void **state)
{
    (void)state;
    put(&linux_tx, "/ # ");
    expect("linux| / # ");
    put(&linux_tx, "l");
    expect("l");
    put(&jitter_tx, "tick\n");
    expect("\r\x1b[Kjitter| tick\r\nlinux| / # l");
    put(&linux_tx, "s\r\n");
    expect("s\r\n");
    put(&linux_tx, "bin\r");
    expect("linux| bin");
    put(&linux_tx, "\n");
    expect("\r\n");
}

static void test_other_line_waits(void **state)
{
    (void)state;
    put(&jitter_tx, "half");
    expect("");
    put(&linux_tx, "x\n");
    expect("linux| x\r\n");
    put(&jitter_tx, " whole\r");
    expect("");
    put(&jitter_tx, "\n");
    expect("jitter| half whole\r\n");
}

static void test_carriage_returns(void **state)
{
    (void)state;
    put(&linux_tx, "10%\r");
    expect("linux| 10%");
    put(&linux_tx, "20%");
    expect("\rlinux| 20%");
    say(0, "x\n");
    expect("\r\x1b[Kmullion| x\r\nlinux| 20%");
    put(&linux_tx, "\r\r\n");
    expect("\r\n");
    put(&jitter_tx, "10%\r20%\r");
    expect("");
    put(&jitter_tx, "\n\rnext\n");
    expect("jitter| 20%\r\njitter| next\r\n");
}

static void test_line_editing(void **state)
{
    (void)state;
    put(&linux_tx, "\a/ # \x1b[6nls\b\x1b[J\x1b[1;32m\x1b[Dx\x1b[");
    expect("linux| \a/ # \x1b[6nls\b\x1b[J\x1b[1;32m\x1b[Dx\x1b[");
    say(0, "x\n"); /* again without the bell and the question, but with the unfinished sequence */
    expect("\r\x1b[Kmullion| x\r\nlinux| / # ls\b\x1b[J\x1b[1;32m\x1b[Dx\x1b[");
    put(&linux_tx, "0m\n\x1b[H\x1b[2J# ");
    expect("0m\r\nlinux| \x1b[H\x1b[2J# ");
    say(0, "x\n"); /* the screen is not cleared again */
    expect("\r\x1b[Kmullion| x\r\nlinux| # ");
}

static void test_other_line_is_tame(void **state)
{
    (void)state;
    put(&jitter_tx, "a\x1b[2Jb\x1b[6nc\bd\a\x1b]e\x1b\x1b\x7f\x1b[?4mf\x1b[31mg\th\x1b[5\n");
    expect("jitter| abcdef\x1b[31mg\th\x1b[m\r\n");
}

static void test_focus(void **state)
{
    (void)state;
    put(&linux_tx, "/ # ");
    put(&jitter_tx, "menu:");
    expect("linux| / # ");
    assert_int_equal(console_input(&con, 'a'), 1u << LINUX);
    assert_int_equal(console_input(&con, CONSOLE_FOCUS_KEY), 0);
    assert_true(console_wants_output(&con));
    expect("\r\x1b[Kmullion| input goes to jitter\r\njitter| menu:");
    assert_int_equal(console_input(&con, 'b'), 1u << JITTER);
    put(&linux_tx, "a");
    expect("");
    assert_int_equal(console_input(&con, CONSOLE_FOCUS_KEY), 0);
    expect("\r\x1b[Kmullion| input goes to linux\r\nlinux| / # a");
    assert_int_equal(ring_used(&linux_rx), 1);
    assert_int_equal(linux_rx.bytes[0], 'a');
    assert_int_equal(ring_used(&jitter_rx), 1);
    assert_int_equal(jitter_rx.bytes[0], 'b');
}

static void test_focus_skips_stopped(void **state)
{
    (void)state;
    console_add_partition(&con, THIRD, "third", &third_tx, &third_rx);
    put(&jitter_tx, "last words");
    console_set_stopped(&con, JITTER, true);
    expect("jitter| last words\r\n");
    console_input(&con, CONSOLE_FOCUS_KEY);
    expect("mullion| input goes to third\r\n");
    console_set_stopped(&con, THIRD, true);
    expect("");
    assert_int_equal(console_input(&con, 'x'), 0);
    assert_int_equal(ring_used(&third_rx), 0);
    console_set_stopped(&con, LINUX, true);
    console_input(&con, CONSOLE_FOCUS_KEY);
    expect(""); /* nobody left: it stays */
    console_set_stopped(&con, JITTER, false);
    console_input(&con, CONSOLE_FOCUS_KEY);
    expect("mullion| input goes to jitter\r\n");
}

static void test_input_overflows(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RING_BYTES; i++) {
        assert_int_equal(console_input(&con, 'x'), 1u << LINUX);
    }
    assert_int_equal(console_input(&con, 'x'), 0);
    assert_int_equal(linux_rx.dropped, 1);
}

static void test_long_lines(void **state)
{
    char line[CONSOLE_LINE_BYTES + 1] = {0}, want[1024];

    (void)state;
    memset(line, 'a', CONSOLE_LINE_BYTES);
    put(&jitter_tx, line);
    expect("");
    put(&jitter_tx, "\r\n"); /* fits exactly: no break */
    snprintf(want, sizeof(want), "jitter| %s\r\n", line);
    expect(want);
    put(&jitter_tx, line);
    put(&jitter_tx, "b"); /* one too many: broken */
    expect(want);
    put(&jitter_tx, "\n");
    expect("jitter| b\r\n");

    put(&linux_tx, line);
    put(&linux_tx, "b"); /* the focused line is broken only where another needs the screen */
    snprintf(want, sizeof(want), "linux| %sb", line);
    expect(want);
    put(&linux_tx, "c");
    expect("c");
    say(0, "x\n");
    expect("\r\nmullion| x\r\n");
    put(&linux_tx, "d\n");
    expect("linux| d\r\n");
}

static void test_flood_starves_nobody(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        while (
            ring_put(&linux_tx, i % 2 == 0 ? 'x' : '\n')) { /* one endless line, or none at all */
        }
        put(&jitter_tx, "here\n");
        assert_non_null(strstr(pump(2 * CONSOLE_STAGE_BYTES), "jitter| here\r\n"));
    }
}

static void test_losses_are_told(void **state)
{
    (void)state;
    while (ring_put(&jitter_tx, '\n')) {
    }
    ring_put(&jitter_tx, 'x');
    while (console_log(&con, 3, "0123456789abcde\n", 16)) {
    }
    pump(sizeof(sent) - 1);
    assert_non_null(strstr((char *)sent, "\r\nmullion| jitter: 2 bytes of output dropped\r\n"));
    assert_non_null(strstr((char *)sent, "\r\nmullion| cpu 3: 16 bytes of output dropped\r\n"));
    put(&jitter_tx, "y\n");
    expect("jitter| y\r\n"); /* once */
}

static void test_log_is_whole_or_dropped(void **state)
{
    (void)state;
    assert_false(console_log(&con, 1, "no ring\n", 8));
    while (ring_room(&log0) >= 8) {
        say(0, "1234567\n");
    }
    ring_put(&log0, '\n'); /* 4095 used, then 7 must not go in by half */
    assert_false(console_log(&con, 0, "abcdef\n", RING_BYTES));
    assert_int_equal(ring_used(&log0) % 8, 0);
    con.logs[3].busy = true; /* an NMI amid console_log */
    assert_false(console_log(&con, 3, "nested\n", 7));
    assert_int_equal(log3.dropped, 7);
    assert_int_equal(ring_used(&log3), 0);
}

static void test_raw(void **state)
{
    (void)state;
    put(&linux_tx, "a\nb\r\n\x1b[6n\x1b[2Jc\rd");
    expect("a\nb\r\n\x1b[6n\x1b[2Jc\rd");
    say(0, "x\n");
    expect("\r\nx\r\n");
    put(&linux_tx, "\n");
    expect("\n");
    say(0, "x\n");
    expect("x\r\n");
    assert_int_equal(console_input(&con, CONSOLE_FOCUS_KEY), 1u << LINUX);
    assert_int_equal(linux_rx.bytes[0], CONSOLE_FOCUS_KEY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_lines_of_all, setup),
        cmocka_unit_test_setup(test_any_room, setup),
        cmocka_unit_test_setup(test_focused_line_grows, setup),
        cmocka_unit_test_setup(test_other_line_waits, setup),
        cmocka_unit_test_setup(test_carriage_returns, setup),
        cmocka_unit_test_setup(test_line_editing, setup),
        cmocka_unit_test_setup(test_other_line_is_tame, setup),
        cmocka_unit_test_setup(test_focus, setup),
        cmocka_unit_test_setup(test_focus_skips_stopped, setup),
        cmocka_unit_test_setup(test_input_overflows, setup),
        cmocka_unit_test_setup(test_long_lines, setup),
        cmocka_unit_test_setup(test_flood_starves_nobody, setup),
        cmocka_unit_test_setup(test_losses_are_told, setup),
        cmocka_unit_test_setup(test_log_is_whole_or_dropped, setup),
        cmocka_unit_test_setup_teardown(test_raw, setup_raw, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
