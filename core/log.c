/* SPDX-License-Identifier: Apache-2.0 */
/* One line a call, cut visibly if it is too long. Formats on the caller's stack: no lock, no state. */
#include "core/log.h"

#include "core/host.h"
#include "core/str.h"

/* line[0..used) is there already. */
static void write_line(char *line, size_t used, const char *format, va_list args) {
    used += str_vformat(line + used, LOG_LINE_MAX - used, format, args);
    if (used == LOG_LINE_MAX - 1)
        memcpy(line + used - 3, "...", 3);
    line[used] = '\n';
    host_write(line, used + 1);
}

void log_line(const char *format, ...) {
    char line[LOG_LINE_MAX];
    va_list args;
    va_start(args, format);
    write_line(line, 0, format, args);
    va_end(args);
}

void report_error(struct report *report, unsigned number, const char *format, ...) {
    char line[LOG_LINE_MAX];
    size_t used = str_format(line, sizeof(line), number == 0 ? "%s: " : "%s:%u: ", report->file, number);
    va_list args;
    report->errors++;
    va_start(args, format);
    write_line(line, used, format, args);
    va_end(args);
}
