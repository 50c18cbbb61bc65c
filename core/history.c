/* SPDX-License-Identifier: Apache-2.0 */
/* Adding takes its room with one atomic step; nobody waits. */
#include "core/history.h"

void history_add(struct history *h, const char *line, size_t bytes) {
    uint64_t at = __atomic_fetch_add(&h->head, bytes, __ATOMIC_RELAXED);
    for (size_t i = 0; i < bytes; i++)
        h->text[(at + i) % HISTORY_BYTES] = line[i];
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
