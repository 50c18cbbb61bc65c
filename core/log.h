/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor's own words, one line a call, and the counted errors of a user's input. */
#pragma once

#include "core/types.h"

#define LOG_LINE_MAX 200 /* bytes of one line with its newline; longer ones end in "..." */

/* Format one line and hand it to host_write with a newline. Any CPU, any context. */
void log_line(const char *format, ...) printf_like(1, 2);

/* Complaints about one input. Everything wrong is reported before anyone gives up. */
struct report {
    const char *file; /* its name in messages */
    unsigned errors;
};

/* "file:line: message"; line 0 leaves the number out. */
void report_error(struct report *report, unsigned line, const char *format, ...) printf_like(3, 4);
