/* SPDX-License-Identifier: Apache-2.0 */
/* The header by which a kernel file says that it is a multiboot kernel (specifications 0.6.96 and
 * 2.0). Touches no guest memory, knows nothing of ELF. */
#pragma once

#include "core/loader.h"

struct multiboot_header {
    unsigned version; /* 1 or 2 */
    uint64_t at;      /* in the file */
    bool has_address; /* the next four replace what the file format says */
    uint32_t header_addr, load_addr, load_end_addr, bss_end_addr;
    bool has_entry;
    uint32_t entry_addr;
};

/* ERR_NOT_FOUND: no header, nothing said. ERR_MALFORMED, ERR_UNSUPPORTED: said. */
must_check enum err load_multiboot_header(const struct load_request *request, struct multiboot_header *out);
