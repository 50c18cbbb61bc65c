/* SPDX-License-Identifier: Apache-2.0 */
/* One line a call, cut visibly if it is too long. Formats on the caller's stack: no lock, no state.
 */
#include "core/log.h"

#include "core/host.h"
#include "core/str.h"

static void log_end_line(char *line, size_t used) {
    static const char cut[] = "...";

    if (used >= LOG_LINE_MAX - 1) {
        used = LOG_LINE_MAX - 1;
        memcpy(line + used - (sizeof(cut) - 1), cut, sizeof(cut) - 1);
    }
    line[used] = '\n';
    host_write(line, used + 1);
}

void log_line(const char *format, ...) {
    char line[LOG_LINE_MAX];
    va_list args;

    va_start(args, format);
    log_end_line(line, str_vformat(line, sizeof(line), format, args));
    va_end(args);
}

void report_error(struct report *report, const char *file, unsigned line_number, const char *format, ...) {
    char line[LOG_LINE_MAX];
    size_t used;
    va_list args;

    report->errors++;
    used = line_number == 0 ? str_format(line, sizeof(line), "%s: ", file)
                            : str_format(line, sizeof(line), "%s:%u: ", file, line_number);
    va_start(args, format);
    used += str_vformat(line + used, sizeof(line) - used, format, args);
    va_end(args);
    log_end_line(line, used);
}
