/* SPDX-License-Identifier: Apache-2.0 */
/* A 16550A through its eight registers, ports or memory. Moves bytes; what they mean is decided in
 * core/console.c. */
#include "drivers/uart16550.h"

#include "arch/x86/cpu.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCRATCH, FCR = IIR, DIVISOR_LOW = DATA, DIVISOR_HIGH };

#define IER_RX       0x01
#define IER_TX       0x02
#define IIR_FIFO     0xc0 /* both bits: a FIFO that works */
#define FCR_ON       0x07 /* enable, clear both, interrupt at the first byte received */
#define LCR_8N1      0x03
#define LCR_DIVISOR  0x80
#define MCR_ON       0x0b /* DTR, RTS, and OUT2, which on a PC connects the interrupt line */
#define LSR_RX_READY 0x01
#define LSR_TX_EMPTY 0x20 /* the FIFO is empty */
#define LSR_TX_IDLE  0x40 /* and the shift register too */

#define FIFO_BYTES   16
#define WAIT_READS   100000 /* a full FIFO takes 1.4 ms, a port read about 1 us */

static struct uart_place uart; /* address 0 = none */
static volatile uint8_t *uart_memory;
static unsigned uart_fifo_bytes = 4096;
static unsigned uart_room; /* that uart_put knows of */
static bool uart_stuck;    /* the last wait ran out: do not wait again before it sends */

/* Without a port it is always ready, and sends to nowhere: nobody waits for room for ever. */
static uint8_t uart_read(unsigned reg) {
    if (uart.address == 0)
        return LSR_TX_EMPTY | LSR_TX_IDLE;
    if (uart.stride == 4)
        return (uint8_t)((volatile uint32_t *)uart_memory)[reg];
    return uart.stride == 1 ? uart_memory[reg] : cpu_in8((uint16_t)(uart.address + reg));
}

static void uart_write(unsigned reg, uint8_t value) {
    if (uart.stride == 4)
        ((volatile uint32_t *)uart_memory)[reg] = value;
    else if (uart.stride == 1)
        uart_memory[reg] = value;
    else if (uart.address != 0)
        cpu_out8((uint16_t)(uart.address + reg), value);
}

static bool uart_wait(uint8_t lsr_bit) {
    for (unsigned i = 0; i < WAIT_READS; i++) {
        if ((uart_read(LSR) & lsr_bit) != 0)
            return true;
        cpu_pause();
    }
    return false;
}

bool uart_init(struct uart_place at, void *memory) {
    struct uart_place before = uart;
    volatile uint8_t *memory_before = uart_memory;
    uart = at;
    uart_memory = memory;
    uart_write(SCRATCH, 0x5a);
    if (at.address != 0 && (uart_read(LSR) == 0xff || uart_read(SCRATCH) != 0x5a)) {
        uart = before;
        uart_memory = memory_before;
        return false;
    }
    (void)uart_wait(LSR_TX_IDLE); /* the boot loader's last words, at its own speed */
    uart_write(IER, 0);
    if (at.stride == 0) {
        uart_write(LCR, LCR_8N1 | LCR_DIVISOR);
        uart_write(DIVISOR_LOW, 1);
        uart_write(DIVISOR_HIGH, 0);
    }
    uart_write(LCR, LCR_8N1);
    uart_write(FCR, FCR_ON);
    uart_write(MCR, MCR_ON);
    uart_room = uart_fifo_bytes = (uart_read(IIR) & IIR_FIFO) == IIR_FIFO ? FIFO_BYTES : 1;
    uart_stuck = false;
    return true;
}

unsigned uart_tx_room(void) {
    uart_room = 0;
    return (uart_read(LSR) & LSR_TX_EMPTY) != 0 ? uart_fifo_bytes : 0;
}

void uart_send(uint8_t byte) {
    uart_write(DATA, byte);
}

void uart_put(uint8_t byte) {
    if (uart_room == 0 && (!uart_stuck || uart_tx_room() != 0))
        uart_room = uart_wait(LSR_TX_EMPTY) ? uart_fifo_bytes : 0;
    uart_stuck = uart_room == 0;
    if (!uart_stuck) {
        uart_room--;
        uart_send(byte);
    }
}

void uart_drain(void) {
    (void)uart_wait(LSR_TX_IDLE);
}

bool uart_get(uint8_t *byte) {
    if ((uart_read(LSR) & LSR_RX_READY) == 0)
        return false;
    *byte = uart_read(DATA);
    return true;
}

/* The interrupt controller sees edges only, and the line is the OR of all causes: one that comes while
 * another is still pending makes no edge. With all of them off for a moment the line falls; switched on again
 * it rises if anything is pending. */
void uart_irq_arm(bool tx) {
    uart_write(IER, 0);
    (void)uart_read(IIR);
    uart_write(IER, (uint8_t)(IER_RX | (tx ? IER_TX : 0)));
}
