/* SPDX-License-Identifier: Apache-2.0 */
/* The four functions every C compiler may call by itself. No SSE: the FPU belongs to the guests. */
#include "core/str.h"

#include "arch/x86/cpu.h"

void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
    if ((((uintptr_t)to | (uintptr_t)from | bytes) & 7) == 0)
        cpu_rep_movsq(to, from, bytes / 8);
    else
        cpu_rep_movsb(to, from, bytes);
    return to;
}

void *memmove(void *to, const void *from, size_t bytes) {
    uint8_t *t = to;
    const uint8_t *f = from;
    if (t <= f || t >= f + bytes) {
        cpu_rep_movsb(to, from, bytes);
        return to;
    }
    while (bytes-- > 0)
        ((volatile uint8_t *)t)[bytes] = f[bytes]; /* volatile: must not become memmove again */
    return to;
}

void *memset(void *to, int value, size_t bytes) {
    if ((((uintptr_t)to | bytes) & 7) == 0)
        cpu_rep_stosq(to, 0x0101010101010101 * (uint8_t)value, bytes / 8);
    else
        cpu_rep_stosb(to, (uint8_t)value, bytes);
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes) {
    const uint8_t *x = a, *y = b;
    for (size_t i = 0; i < bytes; i++)
        if (x[i] != y[i])
            return x[i] - y[i];
    return 0;
}
