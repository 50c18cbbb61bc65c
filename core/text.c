/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of a text that is not ours to change: cut, compared, turned into numbers. Pure. */
#include "core/text.h"

#include "core/str.h"

struct text text_trim(struct text t) {
    while (t.length > 0 && text_blank(t.at[0])) {
        t.at++;
        t.length--;
    }
    while (t.length > 0 && text_blank(t.at[t.length - 1]))
        t.length--;
    return t;
}

struct text text_cut(struct text *rest, char separator, bool *found) {
    struct text head = *rest;
    size_t i = 0;

    while (i < rest->length && (separator == ' ' ? !text_blank(rest->at[i]) : rest->at[i] != separator))
        i++;
    *found = i < rest->length;
    head.length = i;
    i += *found;
    *rest = text_trim((struct text){rest->at + i, rest->length - i});
    return text_trim(head);
}

bool text_is(struct text t, const char *word) {
    return t.length == str_length(word) && memcmp(t.at, word, t.length) == 0;
}

bool text_number(struct text t, uint64_t *value) {
    return str_to_u64(t.at, t.length, value);
}

bool text_size(struct text t, uint64_t *value) {
    static const char units[] = {'K', 'M', 'G'};
    unsigned shift = 0;

    for (unsigned i = 0; t.length > 0 && shift == 0 && i < ARRAY_SIZE(units); i++) {
        if ((t.at[t.length - 1] & ~0x20) == units[i]) { /* either case */
            shift = 10 * (i + 1);
            t.length--;
        }
    }
    if (!text_number(t, value) || *value > UINT64_MAX >> shift)
        return false;
    *value <<= shift;
    return true;
}

bool text_span(struct text t, uint64_t *first, uint64_t *last) {
    bool found;
    struct text head = text_cut(&t, '-', &found);

    if (!text_number(head, first))
        return false;
    *last = *first;
    return !found || (text_number(t, last) && *first <= *last);
}

bool text_pick(struct text t, const char *const *words, unsigned count, unsigned *choice) {
    for (unsigned i = 0; i < count; i++) {
        if (text_is(t, words[i])) {
            *choice = i;
            return true;
        }
    }
    return false;
}

int text_shown(struct text t) {
    return t.length > TEXT_SHOWN ? TEXT_SHOWN : (int)t.length;
}
