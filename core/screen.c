/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be seen is kept in RAM and drawn by difference. */
#include "core/screen.h"

#include "gen/font.h" /* static const uint8_t font[128 * 16]: GNU Unifont's ASCII, a row of 8 pixels a byte */

#define GLYPH_WIDTH  8
#define GLYPH_HEIGHT 16
#define INK          0xaaaaaa /* grey, whatever the order of the colours */
#define TEXT_GREY    0x0700   /* the attribute of a VGA text character */
#define ESCAPE       0x1b

enum { NO_ESCAPE, AFTER_ESCAPE, IN_SEQUENCE };

/* Pixels a dot of the font: as few as leave no more columns than there are cells for. */
static unsigned scale_of(const struct framebuffer *f) {
    return f->kind == FRAMEBUFFER_TEXT ? 1 : 1 + (f->width - 1) / (GLYPH_WIDTH * SCREEN_COLUMNS);
}

struct range screen_range(const struct framebuffer *f) {
    const struct range reach = {0, BIT(48)}, none = {0, 0};
    struct range r = {f->at.v, (uint64_t)f->pitch * f->height};
    bool text = f->kind == FRAMEBUFFER_TEXT, pixels = f->kind == FRAMEBUFFER_RGB && f->bits == 32;
    bool sane = f->width >= (text ? 1 : GLYPH_WIDTH) &&
                f->height >= (text ? 1 : GLYPH_HEIGHT * scale_of(f)) &&
                f->pitch >= (uint64_t)f->width * (text ? 2 : 4) && (f->at.v | f->pitch) % 4 == 0;
    return (text || pixels) && sane && r.base != 0 && r.size <= SCREEN_MAX_BYTES && range_contains(reach, r)
               ? r
               : none;
}

static unsigned at_most(unsigned value, unsigned limit) {
    return value < limit ? value : limit;
}

void screen_init(struct screen *s, const struct framebuffer *f, void *memory) {
    memset(s, 0, sizeof(*s));
    s->memory = memory;
    s->pitch = f->pitch;
    s->text = f->kind == FRAMEBUFFER_TEXT;
    s->scale = scale_of(f);
    s->columns = at_most(s->text ? f->width : f->width / (GLYPH_WIDTH * s->scale), SCREEN_COLUMNS);
    s->rows = at_most(s->text ? f->height : f->height / (GLYPH_HEIGHT * s->scale), SCREEN_ROWS);
    memset(s->cells, ' ', sizeof(s->cells));
    memset(s->shown, ' ', sizeof(s->shown));
    for (uint32_t y = 0; y < f->height; y++)
        for (uint32_t x = 0; x < f->pitch; x += 4)
            *(volatile uint32_t *)(s->memory + (size_t)y * s->pitch + x) =
                s->text ? (TEXT_GREY | ' ') * 0x10001u : 0;
}

static void row_changed(struct screen *s, unsigned from, unsigned to) {
    bool none = s->changed_from == s->changed_to;
    s->changed_from = none || from < s->changed_from ? from : s->changed_from;
    s->changed_to = none || to > s->changed_to ? to : s->changed_to;
}

/* Moving a picture costs as much as drawing it: up by a quarter, then there is room for a while. */
static void line_feed(struct screen *s) {
    unsigned up = s->text || s->rows < 4 ? 1 : s->rows / 4;
    if (++s->row < s->rows)
        return;
    s->row = s->rows - up;
    memmove(s->cells[0], s->cells[up], s->row * sizeof(s->cells[0]));
    memset(s->cells[s->row], ' ', up * sizeof(s->cells[0]));
    row_changed(s, 0, s->rows);
}

static void put_character(struct screen *s, uint8_t c) {
    if (s->column == s->columns) {
        s->column = 0;
        line_feed(s);
    }
    s->cells[s->row][s->column++] = c;
    row_changed(s, s->row, s->row + 1);
}

/* The byte that ends a sequence says what it is. */
static void sequence(struct screen *s, uint8_t final) {
    unsigned by = s->parameter > 0 ? s->parameter : 1;
    if (final == 'C')
        s->column = at_most(s->column + by, s->columns);
    else if (final == 'D')
        s->column -= at_most(s->column, by);
    else if (final == 'K' ||
             final == 'J') /* to the end of the row, and perhaps all below, where nothing is */
        memset(&s->cells[s->row][s->column], ' ', s->columns - s->column);
    row_changed(s, s->row, s->row + 1);
}

static void escape_step(struct screen *s, uint8_t byte) {
    if (byte == ESCAPE || (s->escape == AFTER_ESCAPE && byte == '[')) {
        s->escape = byte == ESCAPE ? AFTER_ESCAPE : IN_SEQUENCE;
        s->parameter = 0;
    } else if (s->escape == IN_SEQUENCE && byte >= 0x20 && byte < 0x40) {
        if (byte >= '0' && byte <= '9')
            s->parameter = at_most(s->parameter * 10 + byte - '0', SCREEN_COLUMNS);
    } else {
        if (s->escape == IN_SEQUENCE)
            sequence(s, byte);
        s->escape = NO_ESCAPE;
    }
}

void screen_put(struct screen *s, uint8_t byte) {
    if (s->memory == NULL)
        return;
    if (s->escape != NO_ESCAPE || byte == ESCAPE)
        escape_step(s, byte);
    else if (byte == '\r')
        s->column = 0;
    else if (byte == '\n')
        line_feed(s);
    else if (byte == '\b')
        s->column -= s->column > 0;
    else if (byte == '\t')
        s->column = at_most((s->column / 8 + 1) * 8, s->columns);
    else if (byte >= 0x20 && byte < 0x7f)
        put_character(s, byte);
    else if (byte >= 0xc0) /* of several bytes in UTF-8, this is the first */
        put_character(s, '?');
}

static void draw_pixels(const struct screen *s, unsigned row, unsigned column, uint8_t c) {
    volatile uint8_t *line = s->memory + (size_t)row * GLYPH_HEIGHT * s->scale * s->pitch +
                             (size_t)column * GLYPH_WIDTH * s->scale * 4;
    for (unsigned y = 0; y < GLYPH_HEIGHT * s->scale; y++, line += s->pitch) {
        uint8_t bits = font[c * GLYPH_HEIGHT + y / s->scale];
        for (unsigned x = 0; x < GLYPH_WIDTH * s->scale; x++)
            ((volatile uint32_t *)line)[x] = (bits << x / s->scale & 0x80) != 0 ? INK : 0;
    }
}

void screen_draw(struct screen *s) {
    for (; s->changed_from < s->changed_to; s->changed_from++) {
        unsigned row = s->changed_from;
        for (unsigned column = 0; column < s->columns; column++) {
            uint8_t c = s->cells[row][column];
            if (c == s->shown[row][column])
                continue;
            s->shown[row][column] = c;
            if (s->text)
                *(volatile uint16_t *)(s->memory + (size_t)row * s->pitch + column * 2) = TEXT_GREY | c;
            else
                draw_pixels(s, row, column, c);
        }
    }
}
