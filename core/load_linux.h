/* SPDX-License-Identifier: Apache-2.0 */
/* A Linux kernel (bzImage) by the 64-bit boot protocol of Documentation/arch/x86/boot.rst. Writes
 * guest memory only, keeps no state. */
#pragma once

#include "core/load.h"

/* Does it carry a setup header? */
bool load_linux_is(const struct load_image *image);

must_check enum err load_linux(const struct load_request *request, struct guest_start *out);
