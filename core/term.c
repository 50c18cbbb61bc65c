/* SPDX-License-Identifier: Apache-2.0 */
/* A filter for terminal lines. Bytes of a partition without the focus could write over another's
 * lines, or make the terminal answer into another's shell; and drawing an unfinished line again
 * must not clear the screen or ask again. Pure. */
#include "core/term.h"

#include "core/str.h"

#define ESCAPE 0x1b

/* Length of the escape sequence at text[0]. *final is its last byte where it is a CSI sequence
 * without private parameters, ESCAPE where it has no end yet, 0 where it is anything else. */
static unsigned escape_length(const uint8_t *text, unsigned count, uint8_t *final) {
    bool plain = true;
    unsigned i = 2;

    *final = count < 2 ? ESCAPE : 0;
    if (count < 2 || text[1] != '[')
        return count < 2 ? count : 2;
    for (; i < count && text[i] >= 0x20 && text[i] < 0x40; i++)
        plain = plain && text[i] >= '0' && text[i] <= ';';
    if (i == count) {
        *final = ESCAPE;
        return count;
    }
    *final = plain ? text[i] : 0;
    return i + 1;
}

/* Colours; of the rest, what stays in its line: ESC [ J erases to the end, but with a parameter it
 * may be the whole screen. */
static bool keep_sequence(uint8_t final, unsigned length, enum term_keep keep) {
    bool editing =
        final == 'C' || final == 'D' || final == 'K' || final == ESCAPE || (final == 'J' && length == 3);

    return final == 'm' || (editing && keep == TERM_EDITING);
}

static bool keep_byte(uint8_t byte, enum term_keep keep) {
    return (byte >= 0x20 && byte != 0x7f) || byte == '\t' || (byte == '\b' && keep == TERM_EDITING);
}

unsigned term_clean(const uint8_t *text, unsigned count, enum term_keep keep, uint8_t *out) {
    unsigned used = 0, length;
    bool colour = false;

    for (unsigned i = 0; i < count; i += length) {
        uint8_t final = 0;

        length = text[i] == ESCAPE ? escape_length(text + i, count - i, &final) : 1;
        if (text[i] == ESCAPE ? keep_sequence(final, length, keep) : keep_byte(text[i], keep)) {
            memcpy(out + used, text + i, length);
            used += length;
        }
        colour |= final == 'm';
    }
    if (colour && keep == TERM_COLOURS) {
        memcpy(out + used, "\x1b[m", TERM_EXTRA);
        used += TERM_EXTRA;
    }
    return used;
}
