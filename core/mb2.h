/* SPDX-License-Identifier: Apache-2.0 */
/* The multiboot2 information structure, as a loader such as GRUB leaves it in memory, turned into
 * struct boot_info. Its layout is known to mb2.c alone. */
#pragma once

#include "core/boot_info.h"
#include "core/err.h"

/* Size the structure claims to have; its first 4 bytes must be readable. */
uint64_t mb2_total_size(const void *info);

/* Read info[0..bytes) into *out. On an error the reason is logged. */
must_check enum err mb2_parse(const void *info, uint64_t bytes, struct boot_info *out);
