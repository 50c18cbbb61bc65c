/* SPDX-License-Identifier: Apache-2.0 */
/* Strings and the printf subset. Pure: no allocation, no state. */
#include "core/str.h"

size_t str_length(const char *s) {
    size_t n = 0;
    while (s[n] != '\0')
        n++;
    return n;
}

bool str_equal(const char *a, const char *b) {
    for (; *a != '\0' && *a == *b; a++)
        b++;
    return *a == *b;
}

bool str_copy(char *to, size_t size, const char *from, size_t length) {
    size_t n = length < size ? length : size - 1;
    memcpy(to, from, n);
    to[n] = '\0';
    return n == length;
}

static unsigned digit(char c) {
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    c |= 0x20; /* lower case */
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : UINT8_MAX;
}

bool str_to_u64(const char *text, size_t length, uint64_t *value) {
    unsigned base = length > 2 && text[0] == '0' && (text[1] | 0x20) == 'x' ? 16 : 10;
    *value = 0;
    for (size_t i = base == 16 ? 2 : 0; i < length; i++) {
        unsigned d = digit(text[i]);
        if (d >= base || *value > (UINT64_MAX - d) / base)
            return false;
        *value = *value * base + d;
    }
    return length > 0;
}

struct sink {
    char *to;
    size_t size, used;
    size_t width; /* of the field to come */
    char pad;     /* ' ' or '0' before it, or, for '-', blanks behind it */
};

static void sink_char(struct sink *s, char c) {
    if (s->used + 1 < s->size)
        s->to[s->used++] = c;
}

static void sink_field(struct sink *s, const char *text, size_t length) {
    size_t pad = s->width > length ? s->width - length : 0;
    for (; pad > 0 && s->pad != '-'; pad--)
        sink_char(s, s->pad);
    for (size_t i = 0; i < length; i++)
        sink_char(s, text[i]);
    for (; pad > 0; pad--)
        sink_char(s, ' ');
}

static void sink_number(struct sink *s, uint64_t v, unsigned base) {
    char text[20]; /* decimal digits of 2^64 - 1 */
    size_t at = sizeof(text);
    do {
        text[--at] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v != 0);
    sink_field(s, text + at, sizeof(text) - at);
}

static void sink_string(struct sink *s, const char *text, size_t most) {
    size_t length = 0;
    while (length < most && text[length] != '\0')
        length++;
    sink_field(s, text, length);
}

size_t str_vformat(char *to, size_t size, const char *format, va_list args) {
    struct sink s = {to, size, 0, 0, ' '};
    for (const char *f = format; *f != '\0'; f += *f != '\0') {
        if (*f != '%') {
            sink_char(&s, *f);
            continue;
        }
        s.pad = *++f == '-' || *f == '0' ? *f++ : ' ';
        for (s.width = 0; *f >= '0' && *f <= '9'; f++)
            s.width = s.width * 10 + (size_t)(*f - '0');
        size_t most = SIZE_MAX;
        if (*f == '.') { /* always ".*" */
            most = (size_t)va_arg(args, int);
            f += 2;
        }
        bool is_long = *f == 'l' || *f == 'z';
        f += is_long;
        if (*f == 's') {
            sink_string(&s, va_arg(args, const char *), most);
        } else if (*f == 'u' || *f == 'x') {
            uint64_t v = is_long ? va_arg(args, unsigned long) : va_arg(args, unsigned);
            sink_number(&s, v, *f == 'u' ? 10 : 16);
        } else {
            sink_char(&s, *f); /* %%; the compiler has seen to the rest */
        }
    }
    to[s.used] = '\0';
    return s.used;
}

size_t str_format(char *to, size_t size, const char *format, ...) {
    va_list args;
    va_start(args, format);
    size_t used = str_vformat(to, size, format, args);
    va_end(args);
    return used;
}

/* ---- Texts ---- */

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
