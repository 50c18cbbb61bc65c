/* SPDX-License-Identifier: Apache-2.0 */
/* The last lines of the log, from the first one on: for a console that comes up later, and for the next boot,
 * if a reset leaves memory alone. A new line overwrites the oldest ones. Pure but for the log. */
#pragma once

#include "core/frames.h"
#include "core/log.h"

#define HISTORY_BYTES (2 * PAGE_SIZE - 16)
#define HISTORY_MAGIC UINT64_C(0x676f4c6e6f696c75) /* this is one, and its boot has not ended in peace */

struct history {
    uint64_t magic;
    uint64_t head; /* bytes ever added */
    char text[HISTORY_BYTES];
};

/* A line with its newline. Any CPU, any context, on top of itself too. */
void history_add(struct history *h, const char *line, size_t bytes);

/* Where to keep one: two free pages, at the same address in every boot that finds them free; 0 = nowhere.
 * *last is what an earlier boot left there, NULL if that is nothing. */
hpa_t history_place(const struct frames *frames, struct history **last);

/* Log how the boot that left it ended, which makes it nothing. */
void history_tell(struct history *last);

/* Where the last `lines` lines begin, or what is left of them. */
uint64_t history_tail(const struct history *h, unsigned lines);

/* The line at *at, without its newline and with '?' for what is not ASCII text; *at goes to the next. False:
 * there is none. */
bool history_next(const struct history *h, uint64_t *at, char line[LOG_LINE_MAX]);
