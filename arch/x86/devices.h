/* SPDX-License-Identifier: Apache-2.0 */
/* A partition's virtual devices, reached from its exits and from the console; the state machines
 * are in core/. Every function takes the partition's lock. */
#pragma once

#include "core/partition.h"
#include "core/trap_map.h"

/* Power-on state. No vCPU of the partition runs. */
void devices_reset(struct partition *p);

/* Input has come or output has drained: raise what is to be raised. */
void devices_service(struct vcpu *v);

/* Access to what core/trap_map found: a byte of a UART or clock port, of which `at` is the port's number,
 * or an aligned 32-bit register of the IOAPIC, `at` its offset in the page. Elsewhere: all ones, nothing. */
uint32_t devices_read(struct vcpu *v, enum trap_target target, unsigned at);
void devices_write(struct vcpu *v, enum trap_target target, unsigned at, uint32_t value);

/* Bytes of `text`, lowest first, that found room in the console's ring. */
unsigned devices_console_write(struct vcpu *v, uint64_t text, unsigned bytes);
