/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of a text that is not ours to change: cut, compared, turned into numbers. Pure. */
#include "core/text.h"

#include "core/str.h"

struct text text_trim(struct text t) {
    for (; t.length > 0 && text_blank(t.at[0]); t.length--)
        t.at++;
    while (t.length > 0 && text_blank(t.at[t.length - 1]))
        t.length--;
    return t;
}

struct text text_cut(struct text *rest, char separator, bool *found) {
    const char *at = rest->at;
    size_t i = 0;
    while (i < rest->length && (separator == ' ' ? !text_blank(at[i]) : at[i] != separator))
        i++;
    *found = i < rest->length;
    *rest = text_trim((struct text){at + i + *found, rest->length - i - *found});
    return text_trim((struct text){at, i});
}

bool text_is(struct text t, const char *word) {
    return t.length == str_length(word) && memcmp(t.at, word, t.length) == 0;
}

bool text_size(struct text t, uint64_t *value) {
    char unit = t.length > 0 ? t.at[t.length - 1] & ~0x20 : '\0'; /* upper case */
    unsigned shift = unit == 'K' ? 10 : unit == 'M' ? 20 : unit == 'G' ? 30 : 0;
    t.length -= shift != 0;
    if (!str_to_u64(t.at, t.length, value) || *value > UINT64_MAX >> shift)
        return false;
    *value <<= shift;
    return true;
}

bool text_span(struct text t, uint64_t *first, uint64_t *last) {
    bool found;
    if (!text_size(text_cut(&t, '-', &found), first))
        return false;
    *last = *first;
    return !found || (text_size(t, last) && *first <= *last);
}

int text_shown(struct text t) {
    return t.length > TEXT_SHOWN ? TEXT_SHOWN : (int)t.length;
}
