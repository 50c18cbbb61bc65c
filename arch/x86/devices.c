/* SPDX-License-Identifier: Apache-2.0 */
/* Glue: device model -> IOAPIC model -> the real IPI that carries the guest's vector. */
#include "arch/x86/devices.h"

#include "arch/x86/console_io.h"
#include "arch/x86/vcpu.h"

/* With the lock held. */
static void send_raised(struct vcpu *v) {
    struct partition *p = v->partition;
    uint64_t message;

    while (vioapic_next(&p->ioapic, &message)) {
        struct ipi ipi;

        vlapic_route_message(p->lapics, p->nr_vcpus, message, &ipi);
        vcpu_send_ipi(v, &ipi);
    }
}

/* With the lock held, after anything that may have changed the UART. */
static void update_uart(struct vcpu *v) {
    struct partition *p = v->partition;
    bool rose = vuart_irq(&p->uart);

    if (p->uart.tx_waiting && !console_tx_wait(p->id))
        rose |= vuart_irq(&p->uart);
    if (rose)
        vioapic_raise(&p->ioapic, VUART_PIN);
    send_raised(v);
}

void devices_reset(struct partition *p) {
    lock_take(&p->lock);
    vuart_reset(&p->uart, console_tx_ring(p->id), console_rx_ring(p->id));
    vioapic_reset(&p->ioapic);
    lock_release(&p->lock);
}

void devices_service(struct vcpu *v) {
    if (!v->partition->config->vuart)
        return;
    lock_take(&v->partition->lock);
    update_uart(v);
    lock_release(&v->partition->lock);
}

uint8_t devices_uart_read(struct vcpu *v, unsigned reg) {
    uint8_t value;

    lock_take(&v->partition->lock);
    value = vuart_read(&v->partition->uart, reg);
    update_uart(v);
    lock_release(&v->partition->lock);
    return value;
}

void devices_uart_write(struct vcpu *v, unsigned reg, uint8_t value) {
    lock_take(&v->partition->lock);
    vuart_write(&v->partition->uart, reg, value);
    update_uart(v);
    lock_release(&v->partition->lock);
    console_output();
}

uint32_t devices_ioapic_read(struct vcpu *v, uint32_t offset) {
    uint32_t value;

    lock_take(&v->partition->lock);
    value = vioapic_read(&v->partition->ioapic, offset);
    lock_release(&v->partition->lock);
    return value;
}

void devices_ioapic_write(struct vcpu *v, uint32_t offset, uint32_t value) {
    lock_take(&v->partition->lock);
    vioapic_write(&v->partition->ioapic, offset, value);
    send_raised(v);
    lock_release(&v->partition->lock);
}
