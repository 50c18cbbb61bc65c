/* SPDX-License-Identifier: Apache-2.0 */
/* A 16550A between a guest and two byte rings: what the guest sends we put into `tx`, what it receives we
 * take from `rx`. Pure state; the caller holds one lock around all calls for one device, the other ends of
 * the rings need none. */
#pragma once

#include "core/ring.h"

#define VUART_FIFO 16 /* what a 16550A driver may write after it saw THRE */

struct vuart {
    struct ring *tx, *rx; /* we produce; we consume */
    uint8_t regs[8];      /* what plain registers hold, by offset; FCR in IIR's place */
    uint8_t divisor[2];
    bool thre_event; /* the transmitter became empty and nobody acknowledged it */
    bool line;       /* interrupt line as vuart_irq last saw it */
    bool tx_waiting; /* THRE reads 0: fewer than VUART_FIFO bytes of room in tx */
    bool loop_full;
    uint8_t loop_byte; /* sent in loopback, not yet received */
};

/* Power-on state. The rings keep what is in them. */
void vuart_reset(struct vuart *u, struct ring *tx, struct ring *rx);

/* reg is 0..7, the port's offset from the base. */
uint8_t vuart_read(struct vuart *u, unsigned reg);
void vuart_write(struct vuart *u, unsigned reg, uint8_t value);

/* True if the interrupt line rose since the last call: deliver one edge. To be called after every read and
 * write, after bytes were put into rx, and, if tx_waiting, after tx was drained. */
bool vuart_irq(struct vuart *u);
