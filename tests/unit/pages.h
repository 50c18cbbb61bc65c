/* SPDX-License-Identifier: Apache-2.0 */
/* Every page of a table, one after the other. */
#pragma once

#include "core/pagetable.h"

/* The next page from *cursor on, canonical halves low one first. Start with 0; false at the end. */
static inline bool next_page(const struct pagetable *pt, uint64_t *cursor, struct pt_leaf *out) {
    while (*cursor < PT_SPAN) {
        bool high = pt->format->sign_extended && *cursor >= PT_SPAN / 2;
        bool found = pt_lookup(pt, high ? *cursor - PT_SPAN : *cursor, out);

        *cursor += out->bytes; /* always at the start of an entry, whatever its level */
        if (found)
            return true;
    }
    return false;
}
