/* SPDX-License-Identifier: Apache-2.0 */
/* The 16550A's registers. May touch its struct and its ends of the two rings, nothing else. No line
 * errors and no modem that changes its mind: those interrupts never come. */
#include "core/vuart.h"

enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };

#define IER_RX        0x01u
#define IER_TX        0x02u
#define IER_MASK      0x0fu
#define IIR_NONE      0x01u
#define IIR_TX        0x02u
#define IIR_RX        0x04u
#define IIR_FIFO      0xc0u
#define FCR_ENABLE    0x01u
#define FCR_CLEAR_RX  0x02u
#define LCR_DLAB      0x80u
#define MCR_OUT2      0x08u
#define MCR_LOOP      0x10u
#define MCR_MASK      0x1fu
#define LSR_READY     0x01u
#define LSR_TX_EMPTY  0x60u /* THRE and TEMT */
#define MSR_CONNECTED 0xb0u /* CTS, DSR, DCD */

static bool in_loopback(const struct vuart *u) {
    return (u->regs[REG_MCR] & MCR_LOOP) != 0;
}

static bool rx_ready(const struct vuart *u) {
    return in_loopback(u) ? u->loop_full : ring_used(u->rx) > 0;
}

static bool tx_empty(const struct vuart *u) {
    return in_loopback(u) || !u->tx_waiting;
}

/* Room that the consumer made becomes "the transmitter is empty". */
static void tx_update(struct vuart *u) {
    if (u->tx_waiting && ring_room(u->tx) >= VUART_FIFO) {
        u->tx_waiting = false;
        u->thre_event = true;
    }
}

/* The highest interrupt that is enabled and pending, as IIR names it. */
static unsigned irq_cause(const struct vuart *u) {
    if ((u->regs[REG_IER] & IER_RX) != 0 && rx_ready(u))
        return IIR_RX;
    return (u->regs[REG_IER] & IER_TX) != 0 && u->thre_event && tx_empty(u) ? IIR_TX : IIR_NONE;
}

/* On a PC the pin OUT2 gates the interrupt, and loopback takes OUT2 off the pin. */
static bool irq_level(const struct vuart *u) {
    return (u->regs[REG_MCR] & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2 && irq_cause(u) != IIR_NONE;
}

/* A line that an access brought low is low for the next vuart_irq even if it rises again before
 * that: the controller would have seen both edges. */
static void irq_settle(struct vuart *u) {
    u->line = u->line && irq_level(u);
}

bool vuart_irq(struct vuart *u) {
    bool was = u->line;

    tx_update(u);
    u->line = irq_level(u);
    return u->line && !was;
}

void vuart_reset(struct vuart *u, struct ring *tx, struct ring *rx) {
    *u = (struct vuart){
        .tx = tx,
        .rx = rx,
        .divisor = {1, 0}, /* 115200 */
        .thre_event = true,
        .tx_waiting = ring_room(tx) < VUART_FIFO,
    };
}

static uint8_t data_read(struct vuart *u) {
    uint8_t byte = 0; /* what an empty receiver reads */

    if (!in_loopback(u))
        (void)ring_take(u->rx, &byte);
    else if (u->loop_full)
        byte = u->loop_byte;
    u->loop_full = false;
    return byte;
}

static void data_write(struct vuart *u, uint8_t value) {
    u->thre_event = false;
    irq_settle(u); /* each byte sent ends in an edge, as if it took time to leave */
    if (in_loopback(u)) {
        u->loop_byte = value;
        u->loop_full = true;
    } else {
        (void)ring_put(u->tx, value); /* a refusal is counted in the ring */
        u->tx_waiting = ring_room(u->tx) < VUART_FIFO;
    }
    u->thre_event = tx_empty(u);
}

static uint8_t iir_read(struct vuart *u) {
    unsigned cause = irq_cause(u);

    if (cause == IIR_TX)
        u->thre_event = false;
    return (uint8_t)(cause | ((u->regs[REG_IIR_FCR] & FCR_ENABLE) != 0 ? IIR_FIFO : 0));
}

static void fcr_write(struct vuart *u, uint8_t value) {
    uint8_t byte;

    u->regs[REG_IIR_FCR] = value;
    if ((value & FCR_ENABLE) == 0 || (value & FCR_CLEAR_RX) == 0)
        return; /* without a FIFO the other bits do nothing */
    u->loop_full = false;
    /* What is there now, not until empty: the producer may be faster than we are. */
    for (uint32_t n = ring_used(u->rx); n > 0; n--)
        (void)ring_take(u->rx, &byte);
}

/* Loopback wires the modem outputs to the modem inputs; else a modem is always there. */
static uint8_t modem_inputs(const struct vuart *u) {
    unsigned mcr = u->regs[REG_MCR];

    if (!in_loopback(u))
        return MSR_CONNECTED;
    return (uint8_t)((mcr & 0x02) << 3     /* RTS -> CTS */
                     | (mcr & 0x01) << 5   /* DTR -> DSR */
                     | (mcr & 0x0c) << 4); /* OUT1 -> RI, OUT2 -> DCD */
}

static bool is_divisor(const struct vuart *u, unsigned reg) {
    return (u->regs[REG_LCR] & LCR_DLAB) != 0 && reg <= REG_IER;
}

static uint8_t reg_read(struct vuart *u, unsigned reg) {
    if (is_divisor(u, reg))
        return u->divisor[reg];
    switch (reg) {
    case REG_DATA:
        return data_read(u);
    case REG_IIR_FCR:
        return iir_read(u);
    case REG_LSR:
        return (uint8_t)((rx_ready(u) ? LSR_READY : 0) | (tx_empty(u) ? LSR_TX_EMPTY : 0));
    case REG_MSR:
        return modem_inputs(u);
    default:
        return u->regs[reg];
    }
}

uint8_t vuart_read(struct vuart *u, unsigned reg) {
    uint8_t value;

    tx_update(u);
    value = reg_read(u, reg);
    irq_settle(u);
    return value;
}

static void reg_write(struct vuart *u, unsigned reg, uint8_t value) {
    if (is_divisor(u, reg)) {
        u->divisor[reg] = value;
        return;
    }
    switch (reg) {
    case REG_DATA:
        data_write(u, value);
        break;
    case REG_IER: /* enabling the interrupt of an empty transmitter raises it: so drivers start to send */
        u->thre_event |= (value & ~u->regs[REG_IER] & IER_TX) != 0 && tx_empty(u);
        u->regs[REG_IER] = value & IER_MASK;
        break;
    case REG_IIR_FCR:
        fcr_write(u, value);
        break;
    case REG_MCR:
        u->loop_full = u->loop_full && (value & MCR_LOOP) != 0;
        u->regs[REG_MCR] = value & MCR_MASK;
        break;
    default: /* in LSR and MSR's place nobody reads it */
        u->regs[reg] = value;
        break;
    }
}

void vuart_write(struct vuart *u, unsigned reg, uint8_t value) {
    tx_update(u);
    reg_write(u, reg, value);
    irq_settle(u);
}
