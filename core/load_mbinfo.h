/* SPDX-License-Identifier: Apache-2.0 */
/* What a multiboot or multiboot2 kernel finds in its memory and registers. Writes guest memory
 * only, knows nothing of the kernel file. */
#pragma once

#include "core/loader.h"

/* Place the initrd as a module, write the information structure, and fill *out but for rip. The
 * kernel's own memory is in room->used by then. */
must_check enum err load_mbinfo(const struct load_request *request, unsigned version,
                                struct loader_room *room, struct guest_start *out);
