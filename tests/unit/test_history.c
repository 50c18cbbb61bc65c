/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/history.h"
#include "tests/unit/host_stub.h"
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
    expect(2, "line 1634;line 1635;");
    assert_int_equal(h.head - history_tail(&h, UINT32_MAX), HISTORY_BYTES);
    uint64_t at = history_tail(&h, UINT32_MAX);
    assert_true(history_next(&h, &at, text));
    assert_string_equal(text, " 0818");
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

/* ---- Over a reset ---------------------------------------------------------------------------- */

#define BASE  MIB(62)
#define BYTES MIB(8)

static uint8_t *memory;
static struct frames frames;

static struct history *at(uint64_t place) {
    return (struct history *)(memory + place - BASE);
}

/* RAM from 62 to 70 MiB. */
static int setup_memory(void **state) {
    const struct memory_range map = {{BASE, BYTES}, MEMORY_RAM};

    setup(state);
    memory = calloc(1, BYTES);
    stub_phys_set(BASE, memory, BYTES);
    assert_int_equal(frames_init(&frames, &map, 1), ERR_OK);
    stub_log_clear();
    return 0;
}

static int teardown_memory(void **state) {
    (void)state;
    free(memory);
    stub_phys_set(0, NULL, 0);
    return 0;
}

static void leave(uint64_t place) {
    for (unsigned i = 0; i < HISTORY_BYTES / 32; i++) /* more than there is room for */
        add("one of many lines of one and the same length\n");
    add("last| PANIC of the boot before\n");
    add("PANIC on core 2: #UD in the hypervisor\n");
    add("RIP ffffffff80012345\n");
    h.magic = HISTORY_MAGIC;
    memcpy(at(place), &h, sizeof(h));
}

static void test_place(void **state) {
    struct history *last;

    (void)state;
    assert_int_equal(history_place(&frames, &last).v, MIB(64));
    assert_null(last);
    assert_int_equal(frames_reserve(&frames, (struct range){MIB(64) + PAGE_SIZE, 1}), ERR_OK); /* a module */
    leave(MIB(64)); /* not free: not even looked at */
    assert_int_equal(history_place(&frames, &last).v, MIB(66));
    assert_null(last);
    assert_int_equal(frames_reserve(&frames, (struct range){MIB(66), MIB(4) - PAGE_SIZE}), ERR_OK);
    assert_int_equal(history_place(&frames, &last).v, 0);
}

static void test_told_at_the_next_boot(void **state) {
    struct history *last;
    char *told;

    (void)state;
    leave(MIB(64));
    assert_int_equal(history_place(&frames, &last).v, MIB(64));
    assert_ptr_equal(last, at(MIB(64)));
    history_tell(last);
    assert_null(strstr(stub_log, "boot before"));
    told = strstr(stub_log, "last| PANIC");
    assert_string_equal(told, "last| PANIC on core 2: #UD in the hypervisor\nlast| RIP ffffffff80012345\n"
                              "last boot ended: PANIC on core 2: #UD in the hypervisor\n");
    assert_int_equal(
        (size_t)(told - stub_log) / strlen("last| one of many lines of one and the same length\n"), 37);
    history_place(&frames, &last);
    assert_null(last);
}

static void test_reset_without_a_panic(void **state) {
    struct history *last;

    (void)state;
    add("fine\n");
    h.magic = HISTORY_MAGIC;
    memcpy(at(MIB(64)), &h, sizeof(h));
    history_place(&frames, &last);
    history_tell(last);
    assert_string_equal(stub_log, "last| fine\nlast boot ended: no panic, but a reset\n");
}

/* A magic number and then anything: it ends, and nothing but text comes out. */
static void test_damaged(void **state) {
    struct history *last;

    (void)state;
    memset(at(MIB(64)), 0xa5, sizeof(h));
    history_place(&frames, &last);
    assert_null(last);
    at(MIB(64))->magic = HISTORY_MAGIC;
    history_place(&frames, &last);
    assert_non_null(last);
    history_tell(last);
    for (const char *c = stub_log; *c != '\0'; c++)
        assert_true(*c == '\n' || (*c >= ' ' && *c < 0x7f));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_lines, setup),
        cmocka_unit_test_setup(test_wraps, setup),
        cmocka_unit_test_setup(test_no_newline, setup),
        cmocka_unit_test_setup_teardown(test_place, setup_memory, teardown_memory),
        cmocka_unit_test_setup_teardown(test_told_at_the_next_boot, setup_memory, teardown_memory),
        cmocka_unit_test_setup_teardown(test_reset_without_a_panic, setup_memory, teardown_memory),
        cmocka_unit_test_setup_teardown(test_damaged, setup_memory, teardown_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
