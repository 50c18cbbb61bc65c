/* SPDX-License-Identifier: Apache-2.0 */
/* The few string and memory functions the hypervisor needs. The four mem* are what a C compiler calls by
 * itself: libc has them on the host, arch/x86/string.c in the hypervisor. */
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

/* printf into a buffer, as far as we need it: %s %d %u %x %%, a width with - or 0 before it, .* for %s,
 * length l and z. Always terminates (size > 0); returns the bytes written without the NUL, so a result of
 * size - 1 may be cut. */
size_t str_format(char *to, size_t size, const char *format, ...) printf_like(3, 4);
size_t str_vformat(char *to, size_t size, const char *format, va_list args) printf_like(3, 0);
