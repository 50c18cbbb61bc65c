/* SPDX-License-Identifier: Apache-2.0 */
/* The 16550A's registers. May touch its struct and its ends of the two rings, nothing else. No line errors
 * and no modem that changes its mind: those interrupts never come. */
#include "core/vuart.h"

enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };

enum { IER_RX = 0x01, IER_TX = 0x02 };
enum { IIR_NONE = 0x01, IIR_TX = 0x02, IIR_RX = 0x04, IIR_FIFO = 0xc0 };
enum { FCR_ENABLE = 0x01, FCR_CLEAR_RX = 0x02, LCR_DLAB = 0x80, MCR_OUT2 = 0x08, MCR_LOOP = 0x10 };
enum { LSR_READY = 0x01, LSR_TX_EMPTY = 0x60 /* THRE and TEMT */, MSR_CONNECTED = 0xb0 /* CTS, DSR, DCD */ };

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

/* A line that an access brought low is low for the next vuart_irq even if it rises again before that: the
 * controller would have seen both edges. */
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

uint8_t vuart_read(struct vuart *u, unsigned reg) {
    unsigned value = u->regs[reg];
    tx_update(u);
    if (is_divisor(u, reg)) {
        value = u->divisor[reg];
    } else if (reg == REG_DATA) {
        value = data_read(u);
    } else if (reg == REG_IIR_FCR) {
        value = irq_cause(u);
        u->thre_event = u->thre_event && value != IIR_TX;
        value |= (u->regs[REG_IIR_FCR] & FCR_ENABLE) != 0 ? IIR_FIFO : 0;
    } else if (reg == REG_LSR) {
        value = (rx_ready(u) ? LSR_READY : 0) | (tx_empty(u) ? LSR_TX_EMPTY : 0);
    } else if (reg == REG_MSR) {
        value = modem_inputs(u);
    }
    irq_settle(u);
    return (uint8_t)value;
}

/* What a write does besides setting the register. */
static void reg_effect(struct vuart *u, unsigned reg, uint8_t value) {
    uint8_t byte;
    /* Enabling the interrupt of an empty transmitter raises it: so drivers start to send. */
    if (reg == REG_IER)
        u->thre_event |= (value & ~u->regs[REG_IER] & IER_TX) != 0 && tx_empty(u);
    if (reg == REG_MCR)
        u->loop_full = u->loop_full && (value & MCR_LOOP) != 0;
    if (reg == REG_IIR_FCR && (value & FCR_CLEAR_RX) != 0 && (value & FCR_ENABLE) != 0) {
        u->loop_full = false;
        /* What is there now, not until empty: the producer may be faster than we are. */
        for (uint32_t n = ring_used(u->rx); n > 0; n--)
            (void)ring_take(u->rx, &byte);
    }
}

void vuart_write(struct vuart *u, unsigned reg, uint8_t value) {
    static const uint8_t kept[8] = {
        [REG_IER] = 0x0f, [REG_IIR_FCR] = 0xff, [REG_LCR] = 0xff, [REG_MCR] = 0x1f, [REG_SCR] = 0xff};
    tx_update(u);
    if (is_divisor(u, reg)) {
        u->divisor[reg] = value;
    } else if (reg == REG_DATA) {
        data_write(u, value);
    } else {
        reg_effect(u, reg, value);
        u->regs[reg] = value & kept[reg];
    }
    irq_settle(u);
}
