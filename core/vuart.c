/* SPDX-License-Identifier: Apache-2.0 */
/* The 16550A's registers. May touch its struct and its ends of the two rings, nothing else. */
#include "core/vuart.h"

enum { /* registers, by offset from the base port */
       REG_DATA = 0,
       REG_IER = 1,
       REG_IIR_FCR = 2,
       REG_LCR = 3,
       REG_MCR = 4,
       REG_LSR = 5,
       REG_MSR = 6,
       REG_SCR = 7,
};

#define IER_RX        0x01u
#define IER_TX        0x02u
#define IER_LINE      0x04u
#define IER_MODEM     0x08u
#define IIR_MODEM     0x00u
#define IIR_NONE      0x01u
#define IIR_TX        0x02u
#define IIR_RX        0x04u
#define IIR_LINE      0x06u
#define IIR_TIMEOUT   0x0cu
#define IIR_FIFO      0xc0u
#define FCR_ENABLE    0x01u
#define FCR_CLEAR_RX  0x02u
#define LCR_DLAB      0x80u
#define MCR_OUT2      0x08u
#define MCR_LOOP      0x10u
#define MCR_MASK      0x1fu
#define LSR_READY     0x01u
#define LSR_OVERRUN   0x02u
#define LSR_TX_EMPTY  0x60u /* THRE and TEMT */
#define MSR_CTS       0x10u
#define MSR_DSR       0x20u
#define MSR_RI        0x40u
#define MSR_DCD       0x80u
#define MSR_CONNECTED (MSR_CTS | MSR_DSR | MSR_DCD)

static bool in_loopback(const struct vuart *u) {
    return (u->mcr & MCR_LOOP) != 0;
}

static uint32_t rx_used(const struct vuart *u) {
    return in_loopback(u) ? u->loop_used : ring_used(u->rx);
}

static bool rx_overrun(const struct vuart *u) {
    return __atomic_load_n(&u->rx->dropped, __ATOMIC_RELAXED) != u->rx_dropped;
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
    uint32_t used = rx_used(u);

    if ((u->ier & IER_LINE) != 0 && rx_overrun(u))
        return IIR_LINE;
    if ((u->ier & IER_RX) != 0 && used > 0)
        return u->fifo && used < u->rx_trigger ? IIR_TIMEOUT : IIR_RX;
    if ((u->ier & IER_TX) != 0 && u->thre_event && tx_empty(u))
        return IIR_TX;
    return (u->ier & IER_MODEM) != 0 && u->modem_delta != 0 ? IIR_MODEM : IIR_NONE;
}

/* On a PC the pin OUT2 gates the interrupt, and loopback takes OUT2 off the pin. */
static bool irq_level(const struct vuart *u) {
    return (u->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2 && irq_cause(u) != IIR_NONE;
}

/* A line that an access brought low is low for the next vuart_irq even if it rises again before
 * that: the controller would have seen both edges. */
static void irq_settle(struct vuart *u) {
    u->line = u->line && irq_level(u);
}

bool vuart_irq(struct vuart *u) {
    bool level, rose;

    tx_update(u);
    level = irq_level(u);
    rose = level && !u->line;
    u->line = level;
    return rose;
}

void vuart_reset(struct vuart *u, struct ring *tx, struct ring *rx) {
    *u = (struct vuart){
        .tx = tx,
        .rx = rx,
        .dll = 1, /* 115200 */
        .rx_trigger = 1,
        .thre_event = true,
        .modem_lines = MSR_CONNECTED,
        .rx_dropped = __atomic_load_n(&rx->dropped, __ATOMIC_RELAXED),
        .tx_waiting = ring_room(tx) < VUART_FIFO,
    };
}

static uint8_t data_read(struct vuart *u) {
    uint8_t byte = 0;

    if (!in_loopback(u)) {
        (void)ring_take(u->rx, &byte); /* an empty receiver reads 0 */
    } else if (u->loop_used > 0) {
        byte = u->loop[u->loop_head];
        u->loop_head = (uint8_t)((u->loop_head + 1) % VUART_FIFO);
        u->loop_used--;
    }
    return byte;
}

static void data_write(struct vuart *u, uint8_t value) {
    u->thre_event = false;
    irq_settle(u); /* each byte sent ends in an edge, as if it took time to leave */
    u->thre_event = true;
    if (in_loopback(u)) {
        if (u->loop_used < VUART_FIFO)
            u->loop[(u->loop_head + u->loop_used++) % VUART_FIFO] = value;
        return;
    }
    (void)ring_put(u->tx, value); /* a refusal is counted in the ring */
    if (ring_room(u->tx) < VUART_FIFO) {
        u->thre_event = false;
        u->tx_waiting = true;
    }
}

static void ier_write(struct vuart *u, uint8_t value) {
    /* Enabling the interrupt of an empty transmitter raises it: drivers start sending that way. */
    if ((value & ~u->ier & IER_TX) != 0 && tx_empty(u))
        u->thre_event = true;
    u->ier = value & 0x0f;
}

static uint8_t iir_read(struct vuart *u) {
    unsigned cause = irq_cause(u);

    if (cause == IIR_TX)
        u->thre_event = false;
    return (uint8_t)(cause | (u->fifo ? IIR_FIFO : 0));
}

static void fcr_write(struct vuart *u, uint8_t value) {
    static const uint8_t triggers[] = {1, 4, 8, 14};
    uint8_t byte;

    u->fifo = (value & FCR_ENABLE) != 0;
    if (!u->fifo)
        return; /* the other bits do nothing then */
    u->rx_trigger = triggers[value >> 6];
    if ((value & FCR_CLEAR_RX) != 0) {
        u->loop_used = 0;
        /* What is there now, not until empty: the producer may be faster than we are. */
        for (uint32_t n = ring_used(u->rx); n > 0; n--)
            (void)ring_take(u->rx, &byte);
    }
}

static uint8_t lsr_read(struct vuart *u) {
    unsigned lsr = rx_used(u) > 0 ? LSR_READY : 0;

    if (rx_overrun(u)) {
        lsr |= LSR_OVERRUN;
        u->rx_dropped = __atomic_load_n(&u->rx->dropped, __ATOMIC_RELAXED);
    }
    return (uint8_t)(lsr | (tx_empty(u) ? LSR_TX_EMPTY : 0));
}

/* Loopback wires the modem outputs to the modem inputs; else a modem is always there. */
static uint8_t modem_inputs(const struct vuart *u) {
    if (!in_loopback(u))
        return MSR_CONNECTED;
    return (uint8_t)(((u->mcr & 0x02u) << 3)     /* RTS -> CTS */
                     | ((u->mcr & 0x01u) << 5)   /* DTR -> DSR */
                     | ((u->mcr & 0x0cu) << 4)); /* OUT1 -> RI, OUT2 -> DCD */
}

static void mcr_write(struct vuart *u, uint8_t value) {
    unsigned now, changed, ring_ended;

    if (((u->mcr ^ value) & MCR_LOOP) != 0)
        u->loop_used = 0;
    u->mcr = value & MCR_MASK;
    now = modem_inputs(u);
    changed = (now ^ u->modem_lines) & MSR_CONNECTED;
    ring_ended = u->modem_lines & ~now & MSR_RI;
    u->modem_delta = (uint8_t)(u->modem_delta | (changed | ring_ended) >> 4);
    u->modem_lines = (uint8_t)now;
}

static uint8_t msr_read(struct vuart *u) {
    uint8_t msr = u->modem_lines | u->modem_delta;

    u->modem_delta = 0;
    return msr;
}

static uint8_t reg_read(struct vuart *u, unsigned reg) {
    bool dlab = (u->lcr & LCR_DLAB) != 0;

    switch (reg) {
    case REG_DATA:
        return dlab ? u->dll : data_read(u);
    case REG_IER:
        return dlab ? u->dlm : u->ier;
    case REG_IIR_FCR:
        return iir_read(u);
    case REG_LCR:
        return u->lcr;
    case REG_MCR:
        return u->mcr;
    case REG_LSR:
        return lsr_read(u);
    case REG_MSR:
        return msr_read(u);
    case REG_SCR:
        return u->scr;
    default:
        return 0xff;
    }
}

uint8_t vuart_read(struct vuart *u, unsigned reg) {
    uint8_t value;

    tx_update(u);
    value = reg_read(u, reg);
    irq_settle(u);
    return value;
}

static void divisor_write(struct vuart *u, unsigned reg, uint8_t value) {
    if (reg == REG_DATA)
        u->dll = value;
    else
        u->dlm = value;
}

void vuart_write(struct vuart *u, unsigned reg, uint8_t value) {
    tx_update(u);
    if ((u->lcr & LCR_DLAB) != 0 && reg <= REG_IER)
        divisor_write(u, reg, value);
    else if (reg == REG_DATA)
        data_write(u, value);
    else if (reg == REG_IER)
        ier_write(u, value);
    else if (reg == REG_IIR_FCR)
        fcr_write(u, value);
    else if (reg == REG_LCR)
        u->lcr = value;
    else if (reg == REG_MCR)
        mcr_write(u, value);
    else if (reg == REG_SCR)
        u->scr = value;
    irq_settle(u);
}
