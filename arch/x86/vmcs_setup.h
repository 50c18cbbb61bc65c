/* SPDX-License-Identifier: Apache-2.0 */
/* Fills the current core's VMCS. */
#pragma once

#include "core/partition.h"

/* Clear and load this core's VMCS, write controls, host state, and the guest state of RESET. */
void vmcs_setup(const struct vcpu *v);

/* Controls as at the start, and the guest state of INIT with this CR0. */
void vmcs_set_init(const struct vcpu *v, uint64_t cr0);

/* Change the guest state to where an image starts, or to where a SIPI sends the vCPU. */
void vmcs_set_start(const struct vcpu *v, const struct guest_start *start, struct guest_regs *regs);
void vmcs_set_sipi(uint8_t vector);
