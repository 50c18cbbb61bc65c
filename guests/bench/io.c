/* SPDX-License-Identifier: Apache-2.0 */
/* Ports, and an interrupt from behind one. */
#include "guests/bench/bench.h"

#define NOTHING      0x2E0 /* on a PC without GPIB cards nothing answers there */
#define COM1         0x3F8
#define IER          (COM1 + 1)
#define IIR          (COM1 + 2)
#define MCR          (COM1 + 4)
#define SCRATCH      (COM1 + 7) /* the only register of a UART that does nothing */
#define IER_THRE     0x02
#define MCR_OUT2     0x08 /* lets the interrupt out of the UART */

#define IOAPIC_INDEX (*(volatile uint32_t *)UINT64_C(0xFEC00000))
#define IOAPIC_DATA  (*(volatile uint32_t *)UINT64_C(0xFEC00010))
#define COM1_PIN     4u
#define PIN_MASKED   0x10000u
#define VECTOR       0x41

static volatile bool fired;
static volatile uint64_t fired_at;

BENCH_LOOP(out_nothing, outb(NOTHING, 0))
BENCH_LOOP(out_uart, outb(SCRATCH, 0x5A))
BENCH_LOOP(in_uart, inb(SCRATCH))

static void on_uart(const struct guest_frame *frame) {
    fired_at = frame->tsc;
    fired = true;
    inb(IIR); /* takes the interrupt back */
    outb(IER, 0);
    bench_eoi();
}

static void pin_write(uint32_t low) {
    IOAPIC_INDEX = 0x10 + 2 * COM1_PIN + 1;
    IOAPIC_DATA = 0; /* to APIC id 0 */
    IOAPIC_INDEX = 0x10 + 2 * COM1_PIN;
    IOAPIC_DATA = low;
}

/* The transmitter is empty all the time, so that the UART has reason to interrupt as soon as it may. */
static bool uart_interrupt(uint64_t *late) {
    uint64_t start;

    fired = false;
    start = rdtsc();
    outb(IER, IER_THRE);
    if (!bench_wait(&fired))
        return false;
    *late += fired_at - start;
    return true;
}

static uint64_t run_uart_interrupt(unsigned turns) {
    uint64_t sum = 0;

    while (turns > 0 && uart_interrupt(&sum))
        turns--;
    return turns == 0 ? sum : BENCH_FAILED;
}

static const char *no_uart_interrupt(void) {
    const char *no_x2apic = bench_no_x2apic();
    uint64_t late = 0;

    if (no_x2apic != NULL)
        return no_x2apic;
    guest_on_irq(VECTOR, on_uart);
    outb(MCR, MCR_OUT2);
    pin_write(VECTOR);
    return uart_interrupt(&late) ? NULL : "no interrupt from the UART";
}

const struct bench_row bench_io[] = {
    {.name = "out-unclaimed", out_nothing, .loop = true},
    {.name = "out-uart", out_uart, .loop = true},
    {.name = "in-uart", in_uart, .loop = true},
    {.name = "uart-irq",
     run_uart_interrupt,
     no_uart_interrupt}, /* from the write that lets it come to the handler */
    {.name = NULL},
};
