/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of the configuration's text: name, form and parse function of each. For config.c alone.
 */
#pragma once

#include "core/config.h"
#include "core/text.h"

struct config_parser {
    struct system_config *out;
    struct report *report;
    unsigned line;
    struct text key, value;             /* of this line */
    const struct config_keys *keys;     /* of the section this line is in; NULL = no section */
    unsigned *line_of;                  /* for each key of the section, 0 = not given yet */
    struct partition_config *partition; /* what the section speaks of; NULL = the system */
    unsigned line_of_system_key[KEY_COUNT];
    unsigned system_line; /* of [system] */
    bool skip;            /* the section is unknown and has been complained about */
};

enum config_times { AT_MOST_ONCE, ONCE, ANY_TIMES };

struct config_key_row {
    const char *name;
    const char *form; /* completes "must be ..." */
    /* False: the value has not that form. About anything else it complains itself. */
    bool (*parse)(struct config_parser *p);
    enum config_times times;
};

struct config_keys {
    const char *section; /* as the user writes it */
    const struct config_key_row *rows;
    unsigned count;
};

extern const struct config_keys config_keys_system;
extern const struct config_keys config_keys_partition; /* rows by enum config_key */

/* "file:line: key = value: ..." */
void config_keys_complain(const struct config_parser *p, const char *format, ...) printf_like(2, 3);
