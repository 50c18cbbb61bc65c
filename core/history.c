/* SPDX-License-Identifier: Apache-2.0 */
/* Adding takes its room with one atomic step; nobody waits. */
#include "core/history.h"

#include "core/host.h"
#include "core/str.h"

#define PLACE_FROM MIB(64) /* boot loaders and firmware use what is below, and the top */
#define TOLD_LINES 40      /* a panic with its backtrace, and a little before */
#define TOLD       "last| "

_Static_assert(sizeof(struct history) == 2 * PAGE_SIZE, "whole pages are reserved");

void history_add(struct history *h, const char *line, size_t bytes) {
    uint64_t at = __atomic_fetch_add(&h->head, bytes, __ATOMIC_RELAXED);
    for (size_t i = 0; i < bytes; i++)
        h->text[(at + i) % HISTORY_BYTES] = line[i];
}

hpa_t history_place(const struct frames *frames, struct history **last) {
    *last = NULL;
    for (unsigned i = 0; i < frames->free.count; i++) {
        struct range r = range_clip(frames->free.ranges[i], PLACE_FROM, GIB(4));
        struct range at = {align_up(r.base, PAGE_2M), sizeof(struct history)};
        struct history *h = range_contains(r, at) ? host_phys(hpa(at.base), at.size) : NULL;
        if (h == NULL)
            continue;
        *last = h->magic == HISTORY_MAGIC ? h : NULL;
        return hpa(at.base);
    }
    return hpa(0);
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
