/* SPDX-License-Identifier: Apache-2.0 */
/* A multiboot or multiboot2 kernel: ELF32, ELF64, or any file whose multiboot header gives the
 * addresses itself. Writes guest memory only, keeps no state. */
#pragma once

#include "core/load.h"

/* Does it start with the ELF magic? */
bool load_elf_is(const struct load_image *image);

/* ERR_NOT_FOUND, without a complaint, if it is neither ELF nor has a multiboot header. */
must_check enum err load_elf(const struct load_request *request, struct guest_start *out);
