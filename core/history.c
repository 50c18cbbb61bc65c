/* SPDX-License-Identifier: Apache-2.0 */
/* Adding takes its room with one atomic step; nobody waits. */
#include "core/history.h"

#include "core/host.h"
#include "core/str.h"

#define PLACE_FROM                                                                                           \
    MIB(64) /* above what boot loaders and firmware use first, below what they take from the top */
#define HEAD_WEIGHT UINT64_C(0x9e3779b97f4a7c15)
#define TOLD_LINES  40 /* a panic with its backtrace, and a little before */
#define TOLD        "last| "

_Static_assert(sizeof(struct history) == 2 * PAGE_SIZE, "whole pages are reserved");

static uint64_t weight(uint64_t index, char c) {
    return (2 * index + 1) * (uint8_t)c;
}

void history_add(struct history *h, const char *line, size_t bytes) {
    uint64_t at = __atomic_fetch_add(&h->head, bytes, __ATOMIC_RELAXED);
    uint64_t more = bytes * HEAD_WEIGHT;
    for (size_t i = 0; i < bytes; i++) {
        uint64_t index = (at + i) % HISTORY_BYTES;
        more += weight(index, line[i]) - weight(index, h->text[index]);
        h->text[index] = line[i];
    }
    __atomic_fetch_add(&h->sum, more, __ATOMIC_RELAXED);
}

static bool sound(const struct history *h) {
    uint64_t sum = h->head * HEAD_WEIGHT;
    for (uint64_t i = 0; i < HISTORY_BYTES && h->magic == HISTORY_MAGIC; i++)
        sum += weight(i, h->text[i]);
    return h->magic == HISTORY_MAGIC && sum == h->sum;
}

hpa_t history_place(const struct frames *frames, struct history **last) {
    hpa_t first = hpa(0);
    *last = NULL;
    for (unsigned i = 0; i < frames->free.count; i++) {
        struct range r = range_clip(frames->free.ranges[i], PLACE_FROM, GIB(4));
        struct range at = {align_up(r.base, PAGE_2M), sizeof(struct history)};
        for (; range_contains(r, at); at.base += PAGE_2M) {
            struct history *h = host_phys(hpa(at.base), at.size);
            if (h != NULL && first.v == 0)
                first = hpa(at.base);
            if (h != NULL && *last == NULL && sound(h))
                *last = h;
        }
    }
    return first;
}

void history_tell(struct history *last) {
    char line[LOG_LINE_MAX], end[LOG_LINE_MAX] = "no panic, but a reset";
    for (uint64_t at = history_tail(last, TOLD_LINES); history_next(last, &at, line);) {
        if (memcmp(line, TOLD, sizeof(TOLD) - 1) == 0)
            continue; /* of the one before it */
        log_line(TOLD "%s", line);
        if (memcmp(line, "PANIC", 5) == 0)
            str_copy(end, sizeof(end), line, str_length(line));
    }
    log_line("last boot ended: %s", end);
    last->magic = 0;
}

static char text_at(const struct history *h, uint64_t at) {
    return h->text[at % HISTORY_BYTES];
}

uint64_t history_tail(const struct history *h, unsigned lines) {
    uint64_t oldest = h->head > HISTORY_BYTES ? h->head - HISTORY_BYTES : 0, at = h->head;
    while (at > oldest && (text_at(h, at - 1) != '\n' || lines-- > 0))
        at--;
    return at;
}

bool history_next(const struct history *h, uint64_t *at, char line[LOG_LINE_MAX]) {
    unsigned used = 0;
    bool more = *at < h->head;
    while (*at < h->head && used < LOG_LINE_MAX - 1) {
        char c = text_at(h, (*at)++);
        if (c == '\n')
            break;
        line[used++] = c >= ' ' && c < 0x7f ? c : '?';
    }
    line[used] = '\0';
    return more;
}
