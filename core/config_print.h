/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration back into text, in the notation it is written in: for messages and for the
 * summary of what was understood. Pure but for the log. */
#pragma once

#include "core/config.h"

#define CONFIG_TEXT_BYTES 104 /* the longest: 32 single cores, or two ranges of 64-bit numbers */

/* Each returns `to`, which has CONFIG_TEXT_BYTES. */
const char *config_print_cpus(char *to, uint64_t cpus);       /* "1-2,4" */
const char *config_print_size(char *to, uint64_t bytes);      /* in the largest unit that divides it */
const char *config_print_span(char *to, struct range span);   /* "0x2f8-0x2ff" */
const char *config_print_mmio(char *to, struct range window); /* "0xfebf0000+64K" */

/* "s" if there is more than one. */
const char *config_print_plural(uint64_t cpus);

/* Log one line a partition. */
void config_print(const struct system_config *config);
