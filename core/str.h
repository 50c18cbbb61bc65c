/* SPDX-License-Identifier: Apache-2.0 */
/* The few string and memory functions the hypervisor needs, all pure. The four mem* are what a C compiler
 * calls by itself: libc has them on the host, arch/x86/string.c in the hypervisor. */
#pragma once

#include <stdarg.h>

#include "core/types.h"

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

size_t str_length(const char *s);
bool str_equal(const char *a, const char *b);

/* Copy at most `size - 1` bytes and always terminate. False if it did not fit. */
bool str_copy(char *to, size_t size, const char *from, size_t length);

/* The whole of text[0..length) as a number, decimal or 0x hexadecimal. False on anything else or overflow. */
bool str_to_u64(const char *text, size_t length, uint64_t *value);

/* printf into a buffer, as far as we need it: %s %u %x %%, a width with - or 0 before it, .* for %s,
 * length l and z. Always terminates (size > 0); returns the bytes written without the NUL, so a result of
 * size - 1 may be cut. */
size_t str_format(char *to, size_t size, const char *format, ...) printf_like(3, 4);
size_t str_vformat(char *to, size_t size, const char *format, va_list args) printf_like(3, 0);

/* ---- Pieces of a text that is not ours to change: cut, compared, turned into numbers ---- */

#define TEXT_SHOWN 40 /* bytes of the user's text that a message repeats */

struct text { /* not terminated */
    const char *at;
    size_t length;
};

static inline bool text_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

bool text_is(struct text t, const char *word);

/* Without the blanks at both ends. */
struct text text_trim(struct text t);

/* Cut *rest at the first `separator` (' ' stands for any blank): returns what is before it, leaves what is
 * behind it, both trimmed. Without one everything is before it. */
struct text text_cut(struct text *rest, char separator, bool *found);

/* A number, decimal or 0x hexadecimal, perhaps with K, M or G behind it. */
bool text_size(struct text t, uint64_t *value);

/* "first" or "first-last", in this order. */
bool text_span(struct text t, uint64_t *first, uint64_t *last);

/* For %.*s. */
int text_shown(struct text t);
