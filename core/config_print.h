/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration back into text, in the notation it is written in: for messages and for the summary of
 * what was understood. Pure but for the log. */
#pragma once

#include "core/config.h"

struct config_text {
    char s[40];
};

struct config_cores {
    char s[104]; /* the longest: 32 single cores */
};

struct config_cores config_print_cores(uint64_t cores); /* "core 4", "cores 0-2,4" */
struct config_text config_print_size(uint64_t bytes);   /* in the largest unit that divides it */
struct config_text config_print_ports(struct range ports);
struct config_text config_print_mmio(struct range window); /* "0xfebf0000+64K" */

/* Log one line a partition. */
void config_print(const struct system_config *config);
