/* SPDX-License-Identifier: Apache-2.0 */
/* The last lines of the log, from the first one on: for a console that comes up later. A new line overwrites
 * the oldest ones. Pure. */
#pragma once

#include "core/log.h"

#define HISTORY_BYTES 8128

struct history {
    uint64_t head; /* bytes ever added */
    char text[HISTORY_BYTES];
};

/* A line with its newline. Any CPU, any context, on top of itself too. */
void history_add(struct history *h, const char *line, size_t bytes);

/* Where the last `lines` lines begin, or what is left of them. */
uint64_t history_tail(const struct history *h, unsigned lines);

/* The line at *at, without its newline and with '?' for what is not ASCII text; *at goes to the next. False:
 * there is none. */
bool history_next(const struct history *h, uint64_t *at, char line[LOG_LINE_MAX]);
