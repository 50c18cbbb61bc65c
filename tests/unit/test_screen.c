/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/golden.h"

#include "core/screen.h"

#define INK 0xaaaaaa

static struct screen s;
static uint8_t *memory; /* exactly what screen_range says, so that a write past it is seen */
static struct framebuffer f;

static void start(struct framebuffer picture) {
    struct range r = screen_range(&picture);

    f = picture;
    assert_int_equal(r.base, picture.at.v);
    assert_int_equal(r.size, (uint64_t)picture.pitch * picture.height);
    free(memory);
    memory = malloc(r.size);
    memset(memory, 0x55, r.size); /* what the loader left there */
    screen_init(&s, &picture, memory);
}

static void start_text(unsigned columns, unsigned rows) {
    start((struct framebuffer){hpa(0xb8000), columns * 2, columns, rows, 16, FRAMEBUFFER_TEXT});
}

static void start_pixels(unsigned width, unsigned height) {
    start((struct framebuffer){hpa(0xc0000000), width * 4 + 16, width, height, 32, FRAMEBUFFER_RGB});
}

static int teardown(void **state) {
    (void)state;
    free(memory);
    memory = NULL;
    return 0;
}

static void say(const char *text) {
    for (; *text != '\0'; text++)
        screen_put(&s, (uint8_t)*text);
    screen_draw(&s);
}

/* All rows, without the blanks at their ends, with a '\n' behind each. */
static void expect_text(const char *text) {
    char all[4096];
    size_t used = 0;

    for (unsigned row = 0; row < f.height; row++) {
        size_t end = used;

        for (unsigned column = 0; column < f.width; column++) {
            const uint8_t *cell = memory + row * f.pitch + column * 2;

            assert_int_equal(cell[1], 0x07);
            all[used++] = (char)cell[0];
            end = cell[0] != ' ' ? used : end;
        }
        used = end;
        all[used++] = '\n';
    }
    all[used] = '\0';
    assert_string_equal(all, text);
}

static uint32_t pixel(unsigned x, unsigned y) {
    uint32_t value;

    memcpy(&value, memory + (size_t)y * f.pitch + x * 4, sizeof(value));
    return value;
}

static void test_text_and_wrap(void **state) {
    (void)state;
    start_text(10, 4);
    expect_text("\n\n\n\n");
    say("one\r\n0123456789\r\nabcdefghijkl");
    expect_text("one\n0123456789\nabcdefghij\nkl\n");
}

static void test_text_scrolls_by_one(void **state) {
    (void)state;
    start_text(10, 4);
    say("1\r\n2\r\n3\r\n4\r\n");
    expect_text("2\n3\n4\n\n");
    say("5\r\n6\r\n\r\n");
    expect_text("5\n6\n\n\n");
}

static void test_cursor_and_erasing(void **state) {
    (void)state;
    start_text(12, 2);
    say("linux| abc\b\bX\r\n\ty");
    expect_text("linux| aXc\n        y\n");
    say("\r\x1b[Kmullion| z");
    expect_text("linux| aXc\nmullion| z\n");
    say("\x1b[3D\x1b[K\x1b[2Cw\x1b[99D!\x1b[99C\x1b[K");
    expect_text("linux| aXc\n!ullion  w\n");
    say("\r\x1b[J");
    expect_text("linux| aXc\n\n");
}

static void test_what_is_no_text_leaves_nothing(void **state) {
    (void)state;
    start_text(12, 2);
    say("a\x1b[1;31mb\x1b[m\x1b[2Hc\x1b(d\x1b\x1b[31me\a\x7f\x1b[?25h\x1b[\xc3\xbc");
    expect_text("abcde\n\n"); /* the last sequence swallowed the first byte of two, the second is none */
    say("\xc3\xbc\xe2\x82\xac");
    expect_text("abcde??\n\n");
    say("\x1b[99999999999999999999Cz"); /* beyond the end of the row */
    expect_text("abcde??\nz\n");
}

static void test_pixels(void **state) {
    (void)state;
    start_pixels(46, 34); /* 5 columns and 2 rows, and a margin */
    say("Ag|\r\ny{.~");
    golden_clear();
    for (unsigned y = 0; y < f.height; y++) {
        for (unsigned x = 0; x < f.width; x++) {
            assert_true(pixel(x, y) == 0 || pixel(x, y) == INK);
            golden_add("%c", pixel(x, y) != 0 ? '#' : '.');
        }
        golden_add("\n");
    }
    golden_check("screen", "pixels");
}

static void test_pixels_scroll_by_a_quarter(void **state) {
    (void)state;
    start_pixels(16, 8 * 16);
    for (unsigned i = 0; i < 8; i++)
        say("|\r\n");
    for (unsigned row = 0; row < 8; row++)
        for (unsigned y = 0; y < 16; y++)
            assert_int_equal(pixel(4, row * 16 + y) != 0, row < 6 && y < 14);
}

/* A wide picture has bigger characters, so that no more columns are needed than there are. */
static void test_scale(void **state) {
    uint32_t small[16][8];

    (void)state;
    start_pixels(SCREEN_COLUMNS * 8, 32);
    assert_int_equal(s.columns, SCREEN_COLUMNS);
    say("A");
    for (unsigned y = 0; y < 16; y++)
        for (unsigned x = 0; x < 8; x++)
            small[y][x] = pixel(x, y);
    start_pixels(SCREEN_COLUMNS * 8 + 8, 64);
    assert_int_equal(s.columns, (SCREEN_COLUMNS + 1) / 2);
    assert_int_equal(s.rows, 2);
    say("\r\n A");
    for (unsigned y = 0; y < 32; y++)
        for (unsigned x = 0; x < 16; x++)
            assert_int_equal(pixel(16 + x, 32 + y), small[y / 2][x / 2]);
}

/* A graphics card is slow to write: only the cells that changed are. */
static void test_draws_what_changed(void **state) {
    (void)state;
    start_pixels(80, 64);
    say("some text\r\nhere");
    memset(memory, 0xee, (size_t)f.pitch * f.height);
    say("\rth\x1b[C\x1b[Cx"); /* "here" -> "there" -> of it t, h, e stay as they are now: "thre" + "x" */
    for (unsigned y = 0; y < f.height; y++)
        for (unsigned x = 0; x < f.width; x++)
            assert_int_equal(pixel(x, y) != 0xeeeeeeee,
                             y / 16 == 1 && (x / 8 == 0 || x / 8 == 1 || x / 8 == 4));
}

static void test_no_screen(void **state) {
    (void)state;
    memset(&s, 0, sizeof(s));
    say("nothing\r\n");
}

/* A loader that lies, and pictures that are not for us. */
static void test_range_refuses(void **state) {
    static const struct framebuffer bad[] = {
        {{0}, 0, 0, 0, 0, 0},                        /* no tag */
        {{0}, 4096, 1024, 768, 32, FRAMEBUFFER_RGB}, /* nowhere */
        {{0xc0000002}, 4096, 1024, 768, 32, FRAMEBUFFER_RGB},
        {{0xc0000000}, 4098, 1024, 768, 32, FRAMEBUFFER_RGB},
        {{0xc0000000}, 4092, 1024, 768, 32, FRAMEBUFFER_RGB},     /* rows overlap */
        {{0xc0000000}, 16, 0x40000004, 768, 32, FRAMEBUFFER_RGB}, /* width * 4 = 16 in 32 bits */
        {{0xc0000000}, 4096, 1024, 768, 24, FRAMEBUFFER_RGB},
        {{0xc0000000}, 4096, 1024, 768, 8, 0},
        {{0xc0000000}, 4096, 1024, 768, 32, 3},
        {{0xc0000000}, 4096, 7, 768, 32, FRAMEBUFFER_RGB},
        {{0xc0000000}, 4096, 1024, 15, 32, FRAMEBUFFER_RGB},
        {{0xc0000000}, 4096, 1024, 40449, 32, FRAMEBUFFER_RGB},            /* 158 MiB and a row */
        {{0xc0000000}, 0xfffffffc, 1024, 0xffffffff, 32, FRAMEBUFFER_RGB}, /* 2^64, about */
        {{BIT(48) - 4096}, 4096, 1024, 768, 32, FRAMEBUFFER_RGB},
        {{UINT64_MAX - 4095}, 4096, 1024, 768, 32, FRAMEBUFFER_RGB}, /* wraps round */
        {{0xc0000000}, 7712, 1928, 31, 32, FRAMEBUFFER_RGB},         /* characters 32 pixels high */
        {{0xb8000}, 160, 0, 25, 16, FRAMEBUFFER_TEXT},
        {{0xb8000}, 160, 81, 25, 16, FRAMEBUFFER_TEXT},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (screen_range(&bad[i]).size != 0)
            fail_msg("picture %zu is taken", i);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_and_wrap),
        cmocka_unit_test(test_text_scrolls_by_one),
        cmocka_unit_test(test_cursor_and_erasing),
        cmocka_unit_test(test_what_is_no_text_leaves_nothing),
        cmocka_unit_test(test_pixels),
        cmocka_unit_test(test_pixels_scroll_by_a_quarter),
        cmocka_unit_test(test_scale),
        cmocka_unit_test(test_draws_what_changed),
        cmocka_unit_test(test_no_screen),
        cmocka_unit_test(test_range_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
