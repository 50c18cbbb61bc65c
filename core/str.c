/* SPDX-License-Identifier: Apache-2.0 */
/* Strings, numbers and the printf subset. Pure: no allocation, no state. */
#include "core/str.h"

size_t str_length(const char *s) {
    size_t n = 0;

    while (s[n] != '\0')
        n++;
    return n;
}

bool str_equal(const char *a, const char *b) {
    size_t i = 0;

    while (a[i] != '\0' && a[i] == b[i])
        i++;
    return a[i] == b[i];
}

bool str_copy(char *to, size_t size, const char *from, size_t length) {
    size_t n = length < size ? length : size - 1;

    memcpy(to, from, n);
    to[n] = '\0';
    return n == length;
}

static bool digit_value(char c, unsigned base, unsigned *value) {
    if (c >= '0' && c <= '9')
        *value = (unsigned)(c - '0');
    else if (c >= 'a' && c <= 'f')
        *value = (unsigned)(c - 'a') + 10;
    else if (c >= 'A' && c <= 'F')
        *value = (unsigned)(c - 'A') + 10;
    else
        return false;
    return *value < base;
}

bool str_to_u64(const char *text, size_t length, uint64_t *value) {
    unsigned base = 10;
    uint64_t sum = 0;

    if (length > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
        length -= 2;
    }
    if (length == 0)
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned digit;

        if (!digit_value(text[i], base, &digit) || sum > (UINT64_MAX - digit) / base)
            return false;
        sum = sum * base + digit;
    }
    *value = sum;
    return true;
}

struct sink {
    char *to;
    size_t size, used;
};

static void sink_char(struct sink *s, char c) {
    if (s->used + 1 < s->size)
        s->to[s->used++] = c;
}

struct spec {
    bool left, zero;
    unsigned width;
    size_t precision;
    bool is_long;
};

/* `text` right-justified in the field, or left with '-'; zeros go between a sign and its digits. */
static void sink_field(struct sink *s, const struct spec *spec, const char *text, size_t length) {
    size_t pad = spec->width > length ? spec->width - length : 0;

    if (spec->zero && !spec->left) {
        if (length > 0 && text[0] == '-') {
            sink_char(s, '-');
            text++;
            length--;
        }
        for (; pad > 0; pad--)
            sink_char(s, '0');
    }
    for (; pad > 0 && !spec->left; pad--)
        sink_char(s, ' ');
    for (size_t i = 0; i < length; i++)
        sink_char(s, text[i]);
    for (; pad > 0; pad--)
        sink_char(s, ' ');
}

static void sink_number(struct sink *s, const struct spec *spec, uint64_t v, unsigned base, bool upper,
                        bool negative) {
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[21]; /* 20 decimal digits of 2^64 - 1 and a sign */
    size_t at = sizeof(text);

    do {
        text[--at] = digits[v % base];
        v /= base;
    } while (v != 0);
    if (negative)
        text[--at] = '-';
    sink_field(s, spec, text + at, sizeof(text) - at);
}

static void sink_string(struct sink *s, const struct spec *spec, const char *text) {
    size_t length = 0;
    struct spec field = *spec;

    if (text == NULL)
        text = "(null)";
    while (length < spec->precision && text[length] != '\0')
        length++;
    field.zero = false;
    sink_field(s, &field, text, length);
}

static const char *spec_number(const char *f, va_list *args, size_t *value) {
    if (*f == '*') {
        int n = va_arg(*args, int);

        *value = n < 0 ? 0 : (size_t)n;
        return f + 1;
    }
    for (*value = 0; *f >= '0' && *f <= '9'; f++)
        *value = *value * 10 + (size_t)(*f - '0');
    return f;
}

static const char *spec_parse(const char *f, va_list *args, struct spec *spec) {
    size_t width;

    *spec = (struct spec){.precision = SIZE_MAX};
    for (; *f == '-' || *f == '0'; f++) {
        spec->left |= *f == '-';
        spec->zero |= *f == '0';
    }
    f = spec_number(f, args, &width);
    spec->width = (unsigned)width;
    if (*f == '.')
        f = spec_number(f + 1, args, &spec->precision);
    for (; *f == 'l' || *f == 'z'; f++)
        spec->is_long = true;
    return f;
}

static void sink_conversion(struct sink *s, char conversion, const struct spec *spec, va_list *args) {
    char c;
    long v;

    switch (conversion) {
    case 'c':
        c = (char)va_arg(*args, int);
        sink_field(s, spec, &c, 1);
        break;
    case 's':
        sink_string(s, spec, va_arg(*args, const char *));
        break;
    case 'd':
    case 'i':
        v = spec->is_long ? va_arg(*args, long) : va_arg(*args, int);
        sink_number(s, spec, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10, false, v < 0);
        break;
    case 'u':
    case 'x':
    case 'X':
        sink_number(s, spec, spec->is_long ? va_arg(*args, unsigned long) : va_arg(*args, unsigned),
                    conversion == 'u' ? 10 : 16, conversion == 'X', false);
        break;
    case 'p':
        sink_string(s, &(struct spec){.precision = SIZE_MAX}, "0x");
        sink_number(s, spec, (uintptr_t)va_arg(*args, void *), 16, false, false);
        break;
    default: /* also %%: show what was written */
        sink_char(s, conversion);
        break;
    }
}

size_t str_vformat(char *to, size_t size, const char *format, va_list args) {
    struct sink s = {to, size, 0};
    va_list own;

    va_copy(own, args); /* a va_list parameter may be an array: only a local one has an address */
    for (const char *f = format; *f != '\0'; f++) {
        struct spec spec;

        if (*f != '%') {
            sink_char(&s, *f);
            continue;
        }
        f = spec_parse(f + 1, &own, &spec);
        if (*f == '\0')
            break;
        sink_conversion(&s, *f, &spec, &own);
    }
    va_end(own);
    to[s.used] = '\0';
    return s.used;
}

size_t str_format(char *to, size_t size, const char *format, ...) {
    va_list args;
    size_t used;

    va_start(args, format);
    used = str_vformat(to, size, format, args);
    va_end(args);
    return used;
}
