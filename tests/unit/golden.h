/* SPDX-License-Identifier: Apache-2.0 */
/* Text that a test makes, against the file tests/unit/data/KIND_NAME.txt. One that differs is shown
 * as a diff; `make GOLDEN_WRITE=1 unit-test_NAME` records it anew. */
#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/types.h"
#include "tests/unit/unit.h"

static char golden_text[16384];

static inline void golden_clear(void) {
    golden_text[0] = '\0';
}

printf_like(1, 2) static inline void golden_add(const char *format, ...) {
    size_t used = strlen(golden_text);
    va_list args;

    va_start(args, format);
    assert_true((size_t)vsnprintf(golden_text + used, sizeof(golden_text) - used, format, args) <
                sizeof(golden_text) - used);
    va_end(args);
}

static inline void golden_check(const char *kind, const char *name) {
    char path[128], command[160];
    FILE *file;

    snprintf(path, sizeof(path), "tests/unit/data/%s_%s.txt", kind, name);
    snprintf(command, sizeof(command), "diff -u %s -", path);
    file = getenv("GOLDEN_WRITE") != NULL ? fopen(path, "w") : popen(command, "w");
    assert_non_null(file);
    fputs(golden_text, file);
    if (getenv("GOLDEN_WRITE") != NULL)
        assert_int_equal(fclose(file), 0);
    else if (pclose(file) != 0)
        fail_msg("%s: - is what it says, + is what was made now", path);
}
