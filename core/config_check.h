/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that must hold between partitions, and between the configuration and the machine, in one file.
 * What a single value must look like is config_parse's. */
#pragma once

#include "core/boot_info.h"
#include "core/config.h"
#include "core/platform.h"

/* What is known of the machine. A fact that is not known is not checked against. */
struct machine {
    uint64_t cores;                  /* bit n = core n of the boot log runs; 0 = not known */
    uint64_t free_bytes;             /* RAM that partitions can have; 0 = not known */
    const struct boot_info *boot;    /* all zero = not known */
    const struct platform *platform; /* all zero = not known */
};

/* Complain about everything that is wrong, then return ERR_RANGE if anything was. `config` is what
 * config_parse returned with ERR_OK. */
must_check enum err config_check(const struct system_config *config, const struct machine *machine,
                                 struct report *report);
