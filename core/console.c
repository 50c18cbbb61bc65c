/* SPDX-License-Identifier: Apache-2.0 */
/* Merges many speakers into one serial line. Pure but for the log: works on rings only. */
#include "core/console.h"

#include "core/log.h"
#include "core/str.h"

#define ESCAPE       0x1b
#define COLOUR_RESET "\x1b[m"
#define STAGE_LIMIT  (CONSOLE_STAGE_BYTES / 2) /* begin nothing new above: one step adds less */

/* The most one step adds: erase, a prefix, a line with its colour reset, CR LF, and a byte. */
_Static_assert(STAGE_LIMIT >= 4 + MAX_NAME + 2 + CONSOLE_LINE_BYTES + sizeof(COLOUR_RESET) + 2,
               "stage too small");

static void stage_text(struct console *c, const char *text) {
    for (; *text != '\0'; text++)
        c->stage[c->staged++] = (uint8_t)*text;
}

/* Length of the escape sequence at text[0]. *final is its last byte where it is a CSI sequence without
 * private parameters, ESCAPE where it has no end yet, 0 where it is anything else. */
static unsigned escape_length(const uint8_t *text, unsigned count, uint8_t *final) {
    bool plain = true;
    unsigned i = 2;
    *final = 0;
    if (count > 1 && text[1] != '[')
        return 2;
    for (; i < count && text[i] >= 0x20 && text[i] < 0x40; i++)
        plain = plain && text[i] >= '0' && text[i] <= ';';
    *final = i >= count ? ESCAPE : plain ? text[i] : 0;
    return i < count ? i + 1 : count;
}

/* ESC [ J erases to the end, but with a parameter it may be the whole screen. */
static bool keep_sequence(uint8_t final, unsigned length, bool redraw) {
    bool editing = final == 'C' || final == 'D' || final == 'K' || (final == 'J' && length == 3);
    return final == 'm' || (redraw && (editing || final == ESCAPE));
}

/* Many terminals take U+0080 to U+009F for control characters, of which one is ESC [: in UTF-8 they are C2H
 * and a byte that is harmless behind any other. */
static bool keep_byte(const struct console *c, uint8_t byte, bool redraw) {
    uint8_t last = c->staged > 0 ? c->stage[c->staged - 1] : 0;
    if (byte >= 0x80 && byte < 0xa0)
        return last >= 0x80 && last != 0xc2;
    return (byte >= 0x20 && byte != 0x7f) || byte == '\t' || (redraw && byte == '\b');
}

/* What of a line may reach the terminal when its author does not have the whole of it: text, tabs and
 * colours, which are reset at the end. More could write over another's lines, or make the terminal answer
 * into another's shell. The author's own unfinished line is drawn again with what moves within it and a last
 * sequence that has no end yet, but the screen is not cleared again, nor the terminal asked. */
static void stage_clean(struct console *c, const uint8_t *text, unsigned count, bool redraw) {
    bool colour = false;
    for (unsigned i = 0, length; i < count; i += length) {
        uint8_t final = 0;
        length = text[i] == ESCAPE ? escape_length(text + i, count - i, &final) : 1;
        if (text[i] == ESCAPE ? keep_sequence(final, length, redraw) : keep_byte(c, text[i], redraw))
            for (unsigned k = 0; k < length; k++)
                c->stage[c->staged++] = text[i + k];
        colour |= final == 'm';
    }
    if (colour && !redraw)
        stage_text(c, COLOUR_RESET);
}

static void stage_prefix(struct console *c, const char *name) {
    stage_text(c, name);
    stage_text(c, "| ");
}

/* Take the unfinished line off the screen. It stays in its buffer and is drawn again on its speaker's turn.
 */
static void line_hide(struct console *c) {
    if (c->open != NULL)
        stage_text(c, "\r\x1b[K");
    c->open = NULL;
}

static void line_show(struct console *c, const char *name, const uint8_t *text, unsigned count) {
    line_hide(c);
    stage_prefix(c, name);
    stage_clean(c, text, count, false);
    stage_text(c, "\r\n");
}

static void line_open(struct console *c, struct console_speaker *s) {
    if (c->open == s)
        return;
    line_hide(c);
    stage_prefix(c, s->name);
    stage_clean(c, s->line, s->used, true);
    c->open = s;
}

static void line_end(struct console *c, struct console_speaker *s) {
    if (c->open == s) {
        stage_text(c, "\r\n");
        c->open = NULL;
    } else {
        line_show(c, s->name, s->line, s->used);
    }
    s->used = 0;
    s->cr = false;
}

/* A carriage return with text behind it: the text goes over what is there, right of the prefix. Of a line
 * that nobody sees only the last state is kept, so that a progress bar stays quiet. */
static void line_restart(struct console *c, struct console_speaker *s) {
    s->cr = false;
    s->used = 0;
    if (c->open == s) {
        stage_text(c, "\r");
        stage_prefix(c, s->name);
    }
}

static void line_append(struct console *c, struct console_speaker *s, uint8_t byte) {
    if (s->cr)
        line_restart(c, s);
    if (s->used == CONSOLE_LINE_BYTES)
        line_end(c, s);
    if (c->focus == s)
        line_open(c, s);
    if (c->open == s) /* which may have lost the focus by now */
        c->stage[c->staged++] = byte;
    s->line[s->used++] = byte;
}

/* One line of a speaker, or what there is of it if it has the focus. False: nothing to send. */
static bool speaker_turn(struct console *c, struct console_speaker *s) {
    if (s->tx == NULL)
        return false;
    uint32_t lost = ring_lost(s->tx);
    if (lost > 0) {
        char text[MAX_NAME + 48];
        size_t used = str_format(text, sizeof(text), "%s: %u bytes of output dropped", s->name, lost);
        line_show(c, "mullion", (const uint8_t *)text, (unsigned)used);
        return true;
    }
    if (c->focus == s && s->used > 0)
        line_open(c, s);
    uint8_t byte = 0;
    for (uint32_t left = ring_used(s->tx); left > 0 && byte != '\n' && c->staged < STAGE_LIMIT; left--) {
        ring_take(s->tx, &byte);
        if (byte == '\n')
            line_end(c, s);
        else if (byte == '\r')
            s->cr = true;
        else
            line_append(c, s, byte);
    }
    return c->staged > 0;
}

bool console_next(struct console *c, uint8_t *byte) {
    if (c->sent == c->staged) {
        c->sent = c->staged = 0;
        for (unsigned i = 0; i < CONSOLE_SPEAKERS; i++) {
            struct console_speaker *s = &c->speakers[c->turn];
            c->turn = (c->turn + 1) % CONSOLE_SPEAKERS;
            if (speaker_turn(c, s))
                break;
        }
    }
    if (c->sent == c->staged)
        return false;
    *byte = c->stage[c->sent++];
    return true;
}

static bool takes_input(const struct console_speaker *s) {
    return s->rx != NULL && !__atomic_load_n(&s->stopped, __ATOMIC_RELAXED);
}

static void focus_next(struct console *c) {
    for (unsigned i = 1; i <= CONSOLE_SPEAKERS; i++) {
        struct console_speaker *s = &c->speakers[(size_t)(c->focus - c->speakers + i) % CONSOLE_SPEAKERS];
        if (takes_input(s)) {
            c->focus = s;
            log_line("input goes to %s", s->name);
            return;
        }
    }
}

uint32_t console_input(struct console *c, uint8_t byte) {
    if (byte == CONSOLE_FOCUS_KEY)
        focus_next(c);
    else if (takes_input(c->focus) && ring_put(c->focus->rx, byte))
        return UINT32_C(1) << (c->focus - c->speakers);
    return 0;
}

void console_log(struct console *c, unsigned cpu, const char *line, size_t bytes) {
    struct console_speaker *s = &c->speakers[CONSOLE_LOG(cpu)];
    if (s->busy) { /* this is an NMI, amid the other branch */
        ring_refuse(s->tx, (uint32_t)bytes);
        return;
    }
    s->busy = true;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    (void)ring_put_all(s->tx, (const uint8_t *)line, (uint32_t)bytes); /* a refusal is counted there */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    s->busy = false;
}

void console_stop(struct console *c, unsigned partition) {
    struct console_speaker *s = &c->speakers[partition];
    if (s->tx != NULL && s->tx->head > 0 && s->tx->bytes[(s->tx->head - 1) % RING_BYTES] != '\n')
        ring_put(s->tx, '\n');
    __atomic_store_n(&s->stopped, true, __ATOMIC_RELAXED);
}

void console_init(struct console *c) {
    memset(c, 0, sizeof(*c));
    c->focus = c->speakers;
}

void console_add(struct console *c, unsigned speaker, const char *name, struct ring *tx, struct ring *rx) {
    struct console_speaker *s = &c->speakers[speaker];
    str_copy(s->name, MAX_NAME, name, str_length(name));
    s->tx = tx;
    s->rx = rx;
    if (c->focus->rx == NULL && rx != NULL)
        c->focus = s;
}
