/* SPDX-License-Identifier: Apache-2.0 */
/* Glue: device model -> IOAPIC model -> the real IPI that carries the guest's vector. */
#include "arch/x86/devices.h"

#include "arch/x86/console_io.h"
#include "arch/x86/system.h"
#include "arch/x86/vcpu.h"
#include "core/vrtc.h"

#define UART_PIN  4
#define UART_REGS 8

void devices_reset(struct partition *p) {
    lock_take(&p->lock);
    vuart_reset(&p->uart, &console_tx[p->id], &console_rx[p->id]);
    vioapic_reset(&p->ioapic);
    lock_release(&p->lock);
}

/* With the lock held, after anything that may have changed a device: send what is raised. */
static void update(struct vcpu *v) {
    struct partition *p = v->partition;
    bool rose = vuart_irq(&p->uart);
    uint64_t message;
    if (p->uart.tx_waiting && !console_tx_wait(p->id))
        rose |= vuart_irq(&p->uart);
    if (rose)
        vioapic_raise(&p->ioapic, UART_PIN);
    while (vioapic_next(&p->ioapic, &message)) {
        struct ipi ipi;
        vlapic_route_message(p->lapics, p->nr_vcpus, message, &ipi);
        vcpu_send_ipi(v, &ipi);
    }
}

void devices_service(struct vcpu *v) {
    if (!v->partition->config->vuart)
        return;
    lock_take(&v->partition->lock);
    update(v);
    lock_release(&v->partition->lock);
}

uint32_t devices_read(struct vcpu *v, enum trap_target target, unsigned at) {
    struct partition *p = v->partition;
    uint32_t value = UINT32_MAX; /* the clock's index too: it is write-only, as on a PC */
    if (target == TRAP_NONE)
        return value;
    lock_take(&p->lock);
    if (target == TRAP_UART)
        value = vuart_read(&p->uart, at % UART_REGS);
    else if (target == TRAP_CLOCK_DATA)
        value = vrtc_register(system_time(), p->cmos_index);
    else if (target == TRAP_IOAPIC)
        value = vioapic_read(&p->ioapic, at);
    update(v);
    lock_release(&p->lock);
    return value;
}

void devices_write(struct vcpu *v, enum trap_target target, unsigned at, uint32_t value) {
    struct partition *p = v->partition;
    if (target == TRAP_NONE)
        return;
    lock_take(&p->lock);
    if (target == TRAP_UART)
        vuart_write(&p->uart, at % UART_REGS, (uint8_t)value);
    else if (target == TRAP_CLOCK_INDEX)
        p->cmos_index = value & 0x7f; /* bit 7 masks NMIs on a PC; not here */
    else if (target == TRAP_IOAPIC)
        vioapic_write(&p->ioapic, at, value);
    update(v);
    lock_release(&p->lock);
    if (target == TRAP_UART)
        console_output(p->id);
}

unsigned devices_console_write(struct vcpu *v, uint64_t text, unsigned bytes) {
    unsigned taken = 0;
    lock_take(&v->partition->lock); /* the ring has one producer: whoever holds this */
    for (; taken < bytes && ring_room(v->partition->uart.tx) > 0; taken++)
        (void)ring_put(v->partition->uart.tx, (uint8_t)(text >> 8 * taken));
    lock_release(&v->partition->lock);
    console_output(v->partition->id);
    return taken;
}
