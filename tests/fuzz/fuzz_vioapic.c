/* SPDX-License-Identifier: Apache-2.0 */
/* Five bytes an access or an edge: no message ever leaves that a guest must not send. */
#include <stdlib.h>
#include <string.h>

#include "core/vioapic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_message(uint64_t m) {
    unsigned mode = m >> 8 & 7;

    if (mode != 4 && (mode > 1 || (uint8_t)m < 16))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct vioapic io;
    uint64_t m;

    vioapic_reset(&io);
    for (; size >= 5; data += 5, size -= 5) {
        uint32_t value;

        memcpy(&value, data + 1, sizeof(value));
        if (data[0] < 0x80) {
            vioapic_write(&io, data[0] & 0x50, value);
            (void)vioapic_read(&io, data[0]);
        } else if (vioapic_raise(&io, data[0] & 0x1f, &m)) {
            check_message(m);
        }
        while (value % 2 == 0 && vioapic_next(&io, &m))
            check_message(m);
        if (io.pending >> VIOAPIC_PINS != 0)
            abort();
    }
    return 0;
}
