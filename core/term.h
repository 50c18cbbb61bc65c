/* SPDX-License-Identifier: Apache-2.0 */
/* What of one line may reach the terminal when its author does not have the whole of it. Pure. */
#pragma once

#include "core/types.h"

#define TERM_EXTRA 3 /* bytes term_clean may add: the colour reset at the end */

enum term_keep {
    TERM_COLOURS, /* text, tabs and colours, which are reset at the end */
    TERM_EDITING, /* also backspace, cursor left and right, erase to the end; a last sequence that
                     has no end yet */
};

/* Copy text[0..count) to `out`, which has room for count + TERM_EXTRA, without what could leave
 * its line or would make the terminal answer. Returns the bytes written. */
unsigned term_clean(const uint8_t *text, unsigned count, enum term_keep keep, uint8_t *out);
