/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes on a picture of any shape: what a loader says of it is refused or kept to, every write is within
 * it, and what is drawn is what the cells hold. */
#include <stdlib.h>
#include <string.h>

#include "core/screen.h"

static struct screen s;

static void require(bool held) {
    if (!held)
        abort();
}

static void check_text(const struct framebuffer *f, const uint8_t *memory) {
    for (unsigned row = 0; row < s.rows; row++)
        for (unsigned column = 0; column < s.columns; column++)
            require(memory[row * f->pitch + column * 2] == s.cells[row][column] &&
                    s.cells[row][column] >= 0x20 && s.cells[row][column] < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct framebuffer f;

    if (size < 28)
        return 0;
    memcpy(&f.at, data, 8);
    memcpy(&f.pitch, data + 8, 4);
    memcpy(&f.width, data + 12, 4);
    memcpy(&f.height, data + 16, 4);
    f.bits = data[20];
    f.kind = data[21];
    struct range r = screen_range(&f);
    require(range_valid(r) && r.size <= SCREEN_MAX_BYTES && (r.size == 0 || r.base == f.at.v));
    if ((data[22] & 1) != 0) { /* as loaders mean it, mostly */
        f.kind = data[21] % 2 == 0 ? FRAMEBUFFER_RGB : FRAMEBUFFER_TEXT;
        f.bits = 32;
        f.width = f.width % 2000;
        f.height = f.height % 50;
        f.pitch = f.width * 4 + f.pitch % 64 * 4;
        r = screen_range(&f);
    }
    if (r.size == 0 || r.size > MIB(4))
        return 0;
    uint8_t *memory = malloc(r.size);
    screen_init(&s, &f, memory);
    require(s.columns > 0 && s.columns <= SCREEN_COLUMNS && s.rows > 0 && s.rows <= SCREEN_ROWS);
    for (size_t i = 28; i < size; i++) {
        screen_put(&s, data[i]);
        require(s.row < s.rows && s.column <= s.columns);
    }
    screen_draw(&s);
    if (s.text)
        check_text(&f, memory);
    free(memory);
    return 0;
}
