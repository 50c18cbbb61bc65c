/* SPDX-License-Identifier: Apache-2.0 */
/* A terminal on the picture the boot loader left: text in, characters or pixels out. Writes only into the
 * memory it is given and never reads it: reading a graphics card is slow. One caller at a time. */
#pragma once

#include "core/boot_info.h"

#define SCREEN_COLUMNS   240 /* what is used of a bigger one, with bigger characters */
#define SCREEN_ROWS      68
#define SCREEN_MAX_BYTES MIB(158)

struct screen {
    volatile uint8_t *memory; /* NULL = no screen: all is ignored */
    uint32_t pitch;
    unsigned columns, rows, scale;
    bool text;
    unsigned column, row; /* where the next character goes; column == columns: at the start of the next row */
    unsigned changed_from, changed_to; /* rows to look at when drawing */
    unsigned escape, parameter;        /* how far into an escape sequence, and its number */
    uint8_t cells[SCREEN_ROWS][SCREEN_COLUMNS], shown[SCREEN_ROWS][SCREEN_COLUMNS];
};

/* Where this picture lies in memory. Empty if it is not text or 32 bits a pixel, or if it cannot be true. */
struct range screen_range(const struct framebuffer *f);

/* `memory` maps screen_range(f), which is not empty. Clears it. */
void screen_init(struct screen *s, const struct framebuffer *f, void *memory);

/* Text, \r, \n, \b, \t and the escape sequences that move or erase within a line; other sequences and what is
 * not ASCII leave nothing or a '?'. Nothing is seen before screen_draw. */
void screen_put(struct screen *s, uint8_t byte);

/* Write what has changed. */
void screen_draw(struct screen *s);
