/* SPDX-License-Identifier: Apache-2.0 */
/* Two partitions say anything at all. The one with the focus may do what it likes with the screen;
 * while it is silent, nothing but whole, prefixed, tame lines may come out. */
#include <stdlib.h>
#include <string.h>

#include "core/console.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool true_thing) {
    if (!true_thing)
        abort();
}

/* Length of the colour sequence at text[0], 0 if there is none. */
static size_t colour_length(const uint8_t *text, size_t count) {
    size_t i = 2;

    if (count < 3 || text[0] != 0x1b || text[1] != '[')
        return 0;
    while (i < count && text[i] >= '0' && text[i] <= ';')
        i++;
    return i < count && text[i] == 'm' ? i + 1 : 0;
}

static size_t prefix_length(const uint8_t *text, size_t count) {
    static const char *const prefixes[] = {"quiet| ", "loud| ", "mullion| "};

    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
        size_t length = strlen(prefixes[i]);

        if (count >= length && memcmp(text, prefixes[i], length) == 0)
            return length;
    }
    return 0;
}

static void check_tame(const uint8_t *text, size_t count) {
    for (size_t i = 0; i < count; i += 2) {
        size_t length = prefix_length(text + i, count - i);

        require(length > 0);
        for (i += length; i < count && text[i] != '\r'; i += length) {
            length = colour_length(text + i, count - i);
            require(length > 0 || (text[i] >= 0x20 && text[i] != 0x7f) || text[i] == '\t');
            require(text[i] != 0xc2 || i + 1 == count || text[i + 1] < 0x80 || text[i + 1] >= 0xa0);
            length += length == 0;
        }
        require(i + 1 < count && text[i + 1] == '\n');
    }
}

static void put(struct ring *r, const uint8_t *data, size_t count) {
    for (size_t i = 0; i < count; i++)
        (void)ring_put(r, data[i]);
}

static unsigned pump(struct console *c, uint8_t *to, unsigned room) {
    unsigned used = 0;

    while (used < room && console_next(c, &to[used]))
        used++;
    return used;
}

/* data[0]: who speaks, and how the console is set. Then pieces: length, room to pump, bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct console con;
    static struct ring tx[2], rx[2], log;
    static uint8_t out[1 << 16];
    unsigned used = 0;
    uint8_t mode = size > 0 ? data[0] : 0;

    memset(tx, 0, sizeof(tx));
    memset(rx, 0, sizeof(rx));
    memset(&log, 0, sizeof(log));
    tx[1].head = tx[1].tail = UINT32_MAX - 100; /* short inputs pass the wrap of the counters too */
    console_init(&con);
    console_add(&con, 0, "quiet", &tx[0], &rx[0]);
    console_add(&con, 1, "loud", &tx[1], &rx[1]);
    console_add(&con, CONSOLE_LOG(0), "mullion", &log, NULL);
    for (size_t i = 1; i + 2 < size && used < sizeof(out) / 2;) {
        size_t count = data[i] < size - i - 2 ? data[i] : size - i - 2;
        unsigned room = data[i + 1];

        put(&tx[(mode & 2) == 0 || (count & 1) != 0], data + i + 2, count);
        if ((mode & 4) != 0 && count > 0)
            (void)console_input(&con, data[i + 2]);
        if (count == 7)
            console_log(&con, 0, "a log line\n", 11);
        used += pump(&con, out + used, room);
        i += 2 + count;
    }
    used += pump(&con, out + used, (unsigned)sizeof(out) - used);
    require(used < sizeof(out));
    require(ring_used(&tx[0]) + ring_used(&tx[1]) + ring_used(&log) == 0);
    if ((mode & 6) == 0) /* the quiet one silent, the focus stays with it */
        check_tame(out, used);
    return 0;
}
