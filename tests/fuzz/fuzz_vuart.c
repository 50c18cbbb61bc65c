/* SPDX-License-Identifier: Apache-2.0 */
/* Pairs of bytes as accesses: whatever a guest does, a byte it sent when THRE allowed it arrives.
 */
#include <stdlib.h>
#include <string.h>

#include "core/vuart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool true_thing) {
    if (!true_thing)
        abort();
}

/* Guest accesses: bit 3 of `op` is the direction. `credit` = bytes THRE still allows. */
static void access_reg(struct vuart *u, uint8_t op, uint8_t value, unsigned *credit) {
    unsigned reg = op & 7;

    if ((op & 8) == 0) {
        uint8_t got = vuart_read(u, reg);

        if (reg == 5) {
            require((got & ~0x61u) == 0);
            *credit = (got & 0x20) != 0 && (u->regs[4] & 0x10) == 0 ? VUART_FIFO : 0;
        }
    } else {
        uint32_t dropped = u->tx->dropped;

        vuart_write(u, reg, value);
        require(u->tx->dropped == dropped || *credit == 0);
        *credit -= reg == 0 && *credit > 0;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct ring tx, rx;
    struct vuart u;
    unsigned credit = 0;
    uint8_t byte;

    memset(&tx, 0, sizeof(tx));
    memset(&rx, 0, sizeof(rx));
    tx.head = RING_BYTES - 40; /* nearly full, so that short inputs reach back-pressure */
    vuart_reset(&u, &tx, &rx);
    for (size_t i = 0; i + 1 < size; i += 2) {
        if (data[i] < 0x10) {
            access_reg(&u, data[i], data[i + 1], &credit);
        } else if (data[i] < 0x20) {
            (void)ring_put(&rx, data[i + 1]);
        } else {
            for (unsigned n = data[i + 1]; n > 0 && ring_take(&tx, &byte); n--) {
            }
        }
        if (data[i + 1] % 3 == 0) {
            (void)vuart_irq(&u);
            require(!vuart_irq(&u) && u.tx_waiting == (ring_room(&tx) < VUART_FIFO));
        }
    }
    return 0;
}
