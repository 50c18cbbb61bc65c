/* SPDX-License-Identifier: Apache-2.0 */
/* Five bytes an access or an edge: no message of a masked pin ever leaves. */
#include <stdlib.h>
#include <string.h>

#include "core/vioapic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
        } else {
            vioapic_raise(&io, data[0] % VIOAPIC_PINS);
        }
        while (value % 2 == 0 && vioapic_next(&io, &m))
            if ((m & BIT(16)) != 0)
                abort();
        if (io.pending >> VIOAPIC_PINS != 0)
            abort();
    }
    return 0;
}
