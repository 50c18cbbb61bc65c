/* SPDX-License-Identifier: Apache-2.0 */
/* A partition's virtual devices, reached from its exits and from the console; the state machines
 * are in core/. Every function takes the partition's lock. */
#pragma once

#include "core/partition.h"

#define VUART_PIN 4

/* Power-on state. No vCPU of the partition runs. */
void devices_reset(struct partition *p);

/* Input has come or output has drained: raise what is to be raised. */
void devices_service(struct vcpu *v);

/* Access to a port of the virtual UART, `reg` 0..7. */
uint8_t devices_uart_read(struct vcpu *v, unsigned reg);
void devices_uart_write(struct vcpu *v, unsigned reg, uint8_t value);

/* Aligned 32-bit access to the virtual IOAPIC's page. */
uint32_t devices_ioapic_read(struct vcpu *v, uint32_t offset);
void devices_ioapic_write(struct vcpu *v, uint32_t offset, uint32_t value);
