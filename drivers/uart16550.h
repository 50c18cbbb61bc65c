/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's serial port, a 16550A or what looks like one. One port, no lock: the caller has the
 * console's. */
#pragma once

#include "core/platform.h"

/* 115200 baud, or in memory, where nobody knows its clock, as firmware left it; 8 bits, no parity, FIFO on,
 * no interrupts. `memory` maps its registers if it has no ports. Address 0, as before the first call: bytes
 * vanish. False if no UART answers there: the one before stays in use. */
bool uart_init(struct uart_place at, void *memory);

/* Send one byte, waiting for the UART as long as it can rightly take. For boot and panic. */
void uart_put(uint8_t byte);

/* Bytes that uart_send may be called with now. */
unsigned uart_tx_room(void);
void uart_send(uint8_t byte);

/* Wait until all is on the wire: before the power goes. */
void uart_drain(void);

/* False if nothing was received. */
bool uart_get(uint8_t *byte);

/* The last act of a handler: interrupt for input and, with tx, for room to send; whatever is pending by now
 * or comes next makes a new edge. tx with nothing to send: an interrupt for ever. */
void uart_irq_arm(bool tx);
