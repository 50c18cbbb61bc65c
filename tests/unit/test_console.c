/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/console.h"
#include "tests/unit/host_stub.h"
#include "tests/unit/unit.h"

enum { LINUX = 2, JITTER = 5, THIRD = 9 };

static struct console con;
static struct ring linux_tx, linux_rx, jitter_tx, jitter_rx, third_tx, third_rx, log0, log3;
static uint8_t sent[1 << 16];

static int setup_linux(void **state) {
    struct ring *all[] = {&linux_tx, &linux_rx, &jitter_tx, &jitter_rx, &third_tx, &third_rx, &log0, &log3};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        memset(all[i], 0, sizeof(*all[i]));
    console_init(&con);
    console_add(&con, CONSOLE_LOG(0), "mullion", &log0, NULL);
    console_add(&con, LINUX, "linux", &linux_tx, &linux_rx);
    console_add(&con, CONSOLE_LOG(3), "mullion", &log3, NULL);
    stub_log_clear();
    return 0;
}

static int setup(void **state) {
    setup_linux(state);
    console_add(&con, JITTER, "jitter", &jitter_tx, &jitter_rx);
    return 0;
}

static void put(struct ring *r, const char *text) {
    for (; *text != '\0'; text++)
        assert_true(ring_put(r, (uint8_t)*text));
}

static void say(unsigned cpu, const char *line) {
    console_log(&con, cpu, line, strlen(line));
}

static unsigned pump_to(uint8_t *to, unsigned room) {
    unsigned used = 0;

    while (used < room && console_next(&con, &to[used]))
        used++;
    return used;
}

static const char *pump(unsigned room) {
    sent[pump_to(sent, room)] = '\0';
    return (char *)sent;
}

/* Everything there is to send now, and it is exactly this. */
static void expect(const char *text) {
    assert_string_equal(pump(sizeof(sent) - 1), text);
    assert_string_equal(pump(sizeof(sent) - 1), "");
}

/* Input has gone elsewhere, and the log says so; not yet on this console. */
static void focus_key(const char *log) {
    stub_log_clear();
    assert_int_equal(console_input(&con, CONSOLE_FOCUS_KEY), 0);
    assert_string_equal(stub_log, log);
}

static void test_lines_of_all(void **state) {
    (void)state;
    put(&linux_tx, "one\r\ntwo\n");
    put(&jitter_tx, "1\n2\n");
    say(0, "from 0\n");
    say(3, "from 3\n");
    expect("linux| one\r\njitter| 1\r\nmullion| from 0\r\nmullion| from 3\r\n"
           "linux| two\r\njitter| 2\r\n");
    expect("");
}

static void test_focused_line_grows(void **state) {
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

static void test_other_line_waits(void **state) {
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

static void test_carriage_returns(void **state) {
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

static void test_line_editing(void **state) {
    (void)state;
    put(&linux_tx, "\a/ # \x1b[6nls\b\x1b[J\x1b[1;32m\x1b[Dx\x1b[C\x1b[");
    expect("linux| \a/ # \x1b[6nls\b\x1b[J\x1b[1;32m\x1b[Dx\x1b[C\x1b[");
    say(0, "x\n"); /* again without the bell and the question, but with the unfinished sequence */
    expect("\r\x1b[Kmullion| x\r\nlinux| / # ls\b\x1b[J\x1b[1;32m\x1b[Dx\x1b[C\x1b[");
    put(&linux_tx, "0m\n\x1b[H\x1b[2J# ");
    expect("0m\r\nlinux| \x1b[H\x1b[2J# ");
    say(0, "x\n"); /* the screen is not cleared again */
    expect("\r\x1b[Kmullion| x\r\nlinux| # ");
}

static void test_other_line_is_tame(void **state) {
    (void)state;
    put(&jitter_tx, "a\x1b[2Jb\x1b[6nc\bd\a\x1b]e\x1b\x1b\x7f\x1b[?4mf\x1b[31mg\th\x1b[5\n");
    expect("jitter| abcdef\x1b[31mg\th\x1b[m\r\n");
    put(&jitter_tx, "\xc3\x9c \xe2\x82\xac \xf0\x9f\x98\x80 \xc2\xb5\n"); /* in two, three, four bytes */
    expect("jitter| \xc3\x9c \xe2\x82\xac \xf0\x9f\x98\x80 \xc2\xb5\r\n");
    put(&jitter_tx, "\x9b"
                    "2J\xc2\x9b"
                    "6n\xc2\x9b\x9b"
                    "6n\xc2\a\x9b"
                    "c\n"); /* CSI as one character */
    expect("jitter| 2J\xc2"
           "6n\xc2"
           "6n\xc2"
           "c\r\n");
}

static void test_focus(void **state) {
    (void)state;
    put(&linux_tx, "/ # ");
    put(&jitter_tx, "menu:");
    expect("linux| / # ");
    assert_int_equal(console_input(&con, 'a'), 1u << LINUX);
    focus_key("input goes to jitter\n");
    expect("\r\x1b[Kjitter| menu:");
    assert_int_equal(console_input(&con, 'b'), 1u << JITTER);
    put(&linux_tx, "a");
    expect("");
    focus_key("input goes to linux\n");
    expect("\r\x1b[Klinux| / # a");
    assert_int_equal(ring_used(&linux_rx), 1);
    assert_int_equal(linux_rx.bytes[0], 'a');
    assert_int_equal(ring_used(&jitter_rx), 1);
    assert_int_equal(jitter_rx.bytes[0], 'b');
}

/* Until another line needs the screen, that of the one who had the focus grows on. */
static void test_focus_lost_amid_a_line(void **state) {
    (void)state;
    put(&linux_tx, "/ # ");
    expect("linux| / # ");
    focus_key("input goes to jitter\n");
    put(&linux_tx, "ls");
    expect("ls");
    put(&linux_tx, "\nbin\n");
    expect("\r\nlinux| bin\r\n");
}

static void test_focus_skips_stopped(void **state) {
    (void)state;
    console_add(&con, THIRD, "third", &third_tx, &third_rx);
    put(&jitter_tx, "last words");
    console_stop(&con, JITTER);
    expect("jitter| last words\r\n");
    focus_key("input goes to third\n");
    console_stop(&con, THIRD);
    expect("");
    assert_int_equal(console_input(&con, 'x'), 0);
    assert_int_equal(ring_used(&third_rx), 0);
    focus_key("input goes to linux\n");
    focus_key("input goes to linux\n"); /* nobody else */
    console_stop(&con, LINUX);
    focus_key(""); /* nobody left: it stays */
    assert_int_equal(console_input(&con, 'x'), 0);
}

static void test_input_overflows(void **state) {
    (void)state;
    for (unsigned i = 0; i < RING_BYTES; i++)
        assert_int_equal(console_input(&con, 'x'), 1u << LINUX);
    assert_int_equal(console_input(&con, 'x'), 0);
    assert_int_equal(linux_rx.dropped, 1);
}

static void test_long_lines(void **state) {
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
    put(&linux_tx, "b"); /* the same where it grows on screen */
    snprintf(want, sizeof(want), "linux| %s\r\nlinux| b", line);
    expect(want);
    say(0, "x\n");
    expect("\r\x1b[Kmullion| x\r\nlinux| b");
}

static void test_flood_starves_nobody(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        while (ring_put(&linux_tx, i % 2 == 0 ? 'x' : '\n')) { /* one endless line, or none at all */
        }
        put(&jitter_tx, "here\n");
        assert_non_null(strstr(pump(2 * CONSOLE_STAGE_BYTES), "jitter| here\r\n"));
    }
}

static void test_losses_are_told(void **state) {
    (void)state;
    while (ring_put(&jitter_tx, '\n')) {
    }
    ring_put(&jitter_tx, 'x');
    while (log3.dropped == 0)
        say(3, "0123456789abcde\n");
    pump(sizeof(sent) - 1);
    assert_non_null(strstr((char *)sent, "\r\nmullion| jitter: 2 bytes of output dropped\r\n"));
    assert_non_null(strstr((char *)sent, "\r\nmullion| mullion: 16 bytes of output dropped\r\n"));
    put(&jitter_tx, "y\n");
    expect("jitter| y\r\n"); /* once */
}

static void test_log_is_whole_or_dropped(void **state) {
    (void)state;
    while (ring_room(&log0) > 8)
        say(0, "1234567\n");
    ring_put(&log0, '\n'); /* 7 are free: 8 must not go in by half */
    say(0, "abcdefg\n");
    assert_int_equal(log0.dropped, 8);
    assert_int_equal(ring_used(&log0) % 8, 1);
    con.speakers[CONSOLE_LOG(3)].busy = true; /* an NMI amid console_log */
    say(3, "nested\n");
    assert_int_equal(log3.dropped, 7);
    assert_int_equal(ring_used(&log3), 0);
}

/* ---- Any speakers, any room: what a terminal of endless width shows ---- */

enum { SPEAKERS = 5, LINES = 500, TEXT_MAX = 600 };

static struct speaker {
    const char *prefix;
    struct ring *ring;
    bool log;
    unsigned cpu;
    char waiting[TEXT_MAX + 8]; /* a line not yet all in the ring */
    size_t next;                /* the byte of it that goes first */
    unsigned said, shown;       /* lines */
    size_t at;                  /* bytes of line `shown` that are shown already */
} speakers[SPEAKERS];

static unsigned dice(unsigned sides) {
    return (unsigned)rand() % sides;
}

/* Line `n` of a speaker, the same at every call; some are too long for the console's buffer. */
static size_t line_text(const struct speaker *s, unsigned n, char *text) {
    uint32_t seed = (n + 1) * 2654435761u + (uint32_t)(s - speakers) * 40503u;
    size_t length = 12 + seed / 7 % 50;

    if (!s->log && seed % 9 == 0)
        length = 150 + seed / 11 % (TEXT_MAX - 150);
    for (size_t i = 0; i < length; i++) {
        seed = seed * 1664525 + 1013904223;
        text[i] = (char)('!' + (seed >> 16) % 90);
    }
    text[0] = (char)('A' + (s - speakers)); /* tells the two logs apart */
    text[length] = '\0';
    return length;
}

static void speaker_go_on(struct speaker *s) {
    char text[TEXT_MAX];

    if (s->waiting[s->next] == '\0' && s->said < LINES) {
        line_text(s, s->said++, text);
        snprintf(s->waiting, sizeof(s->waiting), "%s%s%s\n", !s->log && dice(4) == 0 ? "99%\r" : "", text,
                 !s->log && dice(2) == 0 ? "\r" : "");
        s->next = 0;
    }
    if (s->log && ring_room(s->ring) >= strlen(s->waiting + s->next)) {
        say(s->cpu, s->waiting + s->next);
        s->next = strlen(s->waiting);
    }
    for (unsigned n = s->log ? 0 : dice(120); n > 0 && s->waiting[s->next] != '\0'; n--)
        s->next += ring_room(s->ring) > 0 && ring_put(s->ring, (uint8_t)s->waiting[s->next]);
}

/* A row is the whole of its speaker's next line, or a piece of it if that is too long. */
static void row_check(const char *row) {
    struct speaker *s = speakers;
    char text[TEXT_MAX];
    size_t length, piece;

    while (strncmp(row, s->prefix, strlen(s->prefix)) != 0 ||
           (s->log && row[strlen(s->prefix)] != 'A' + (s - speakers)))
        assert_true(++s < speakers + SPEAKERS);
    row += strlen(s->prefix);
    piece = strlen(row);
    if (piece == 0)
        return; /* a too long line was broken just before its end */
    assert_true(s->shown < s->said);
    length = line_text(s, s->shown, text);
    assert_true(piece == length || (length > CONSOLE_LINE_BYTES && s->at + piece <= length));
    assert_memory_equal(row, text + s->at, piece);
    s->at += piece;
    if (s->at == length) {
        s->at = 0;
        s->shown++;
    }
}

static void terminal_byte(uint8_t byte) {
    static char row[4096];
    static size_t column;
    static unsigned escape;

    if (byte == 0x1b || escape > 0) {
        assert_int_equal(byte, "\x1b[K"[escape]);
        escape = (escape + 1) % 3;
        if (escape == 0)
            memset(row + column, 0, sizeof(row) - column);
    } else if (byte == '\r') {
        column = 0;
    } else if (byte == '\n') {
        assert_int_equal(column, 0);
        row_check(row);
        memset(row, 0, sizeof(row));
    } else {
        assert_true(column < sizeof(row) - 1);
        row[column++] = (char)byte;
    }
}

static void random_run(unsigned seed) {
    static const unsigned rooms[] = {1, 3, 16, 400};
    bool done = false;

    srand(seed);
    for (unsigned i = 0; !done; i++) {
        unsigned pumped, room = rooms[dice(ARRAY_SIZE(rooms))];

        speaker_go_on(&speakers[dice(SPEAKERS)]);
        if (dice(300) == 0)
            console_input(&con, CONSOLE_FOCUS_KEY);
        pumped = pump_to(sent, room);
        for (unsigned k = 0; k < pumped; k++)
            terminal_byte(sent[k]);
        assert_true(i < 1000000);
        done = pumped < room;
        for (unsigned k = 0; k < SPEAKERS; k++) {
            done = done && speakers[k].said == LINES && ring_used(speakers[k].ring) == 0 &&
                   speakers[k].waiting[speakers[k].next] == '\0';
        }
    }
    for (unsigned k = 0; k < SPEAKERS; k++) {
        assert_int_equal(speakers[k].shown, LINES);
        assert_int_equal(speakers[k].ring->dropped, 0);
    }
}

static void test_random(void **state) {
    for (unsigned seed = 1; seed <= 8; seed++) {
        setup(state);
        console_add(&con, THIRD, "third", &third_tx, &third_rx);
        memset(speakers, 0, sizeof(speakers));
        speakers[0] = (struct speaker){.prefix = "linux| ", .ring = &linux_tx};
        speakers[1] = (struct speaker){.prefix = "jitter| ", .ring = &jitter_tx};
        speakers[2] = (struct speaker){.prefix = "third| ", .ring = &third_tx};
        speakers[3] = (struct speaker){.prefix = "mullion| ", .ring = &log0, .log = true};
        speakers[4] = (struct speaker){.prefix = "mullion| ", .ring = &log3, .log = true, .cpu = 3};
        random_run(seed);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_lines_of_all, setup),
        cmocka_unit_test_setup(test_focused_line_grows, setup),
        cmocka_unit_test_setup(test_other_line_waits, setup),
        cmocka_unit_test_setup(test_carriage_returns, setup),
        cmocka_unit_test_setup(test_line_editing, setup),
        cmocka_unit_test_setup(test_other_line_is_tame, setup),
        cmocka_unit_test_setup(test_focus, setup),
        cmocka_unit_test_setup(test_focus_lost_amid_a_line, setup),
        cmocka_unit_test_setup(test_focus_skips_stopped, setup),
        cmocka_unit_test_setup(test_input_overflows, setup),
        cmocka_unit_test_setup(test_long_lines, setup),
        cmocka_unit_test_setup(test_flood_starves_nobody, setup),
        cmocka_unit_test_setup(test_losses_are_told, setup),
        cmocka_unit_test_setup(test_log_is_whole_or_dropped, setup),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
