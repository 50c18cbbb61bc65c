/* SPDX-License-Identifier: Apache-2.0 */
/* The multiboot2 information structure, as a loader such as GRUB leaves it in memory, turned into struct
 * boot_info. Its layout is known to mb2.c alone. */
#pragma once

#include "core/boot_info.h"
#include "core/err.h"

/* Read what lies at `info` into *out. On an error the reason is logged. */
must_check enum err mb2_parse(hpa_t info, struct boot_info *out);
