/* SPDX-License-Identifier: Apache-2.0 */
/* The vCPU of this core: building its VMCS, putting it into a start state, running and parking it.
 */
#pragma once

#include "arch/x86/lapic.h"
#include "boot/layout.h"
#include "core/partition.h"
#include "core/types.h"

/* Where the exit stub keeps the guest's registers while we are in root mode. */
static inline struct guest_regs *vcpu_regs(void) {
    return (struct guest_regs *)(PERCPU_STACK_TOP - GUEST_REGS_BYTES);
}

/* Everything that lasts: CPUID, MSR and CR policy, local APIC. On its own core, before the seal. */
void vcpu_init(struct vcpu *v, uint32_t tsc_khz, bool invariant_tsc);

/* Run this core's vCPU, or nothing; never returns. After the seal. */
_Noreturn void vcpu_run(void);

/* Stop the partition of this core's vCPU and park. `why` was logged. */
_Noreturn void vcpu_stop(struct vcpu *v, enum stop_cause cause);

/* Look at what other cores want of this one; may park and so not return. */
void vcpu_kicked(void);

/* Exit after so many ticks of the VMX-preemption timer in the guest, then never again; 0: never. */
void vcpu_set_timer(uint64_t count);

/* If it is in HYPERCALL_WAIT, this vCPU goes on; a HLT of its own lasts. */
void vcpu_end_wait(const struct vcpu *v);

/* Make the MSR bitmaps. Boot core, once. */
void vcpu_bitmaps_init(void);

/* After each change of the mode of the guest's APIC, of its TSC or of its CR4: which MSRs exit and what CPUID
 * says follow. */
void vcpu_mode_changed(struct vcpu *v);

/* Send a fixed interrupt to the core of a vCPU, which owns its local APIC. */
static inline void vcpu_send_vector(const struct vcpu *to, uint8_t vector) {
    lapic_write(APIC_ICR, (uint64_t)to->apic_id << 32 | ICR_ASSERT | vector);
}

/* Send what vlapic_route made of an ICR or an IOAPIC message to this partition's vCPUs. */
void vcpu_send_ipi(struct vcpu *v, const struct ipi *ipi);

/* vmcs_setup.c: fills this core's VMCS. Clear and load it, write controls, host state, and the guest state of
 * RESET. */
void vmcs_setup(const struct vcpu *v);

/* Controls as at the start, and the guest state of INIT with this CR0. */
void vmcs_set_init(const struct vcpu *v, uint64_t cr0);

/* Change the guest state to where an image starts, or to where a SIPI sends the vCPU. */
void vmcs_set_start(const struct vcpu *v, const struct guest_start *start, struct guest_regs *regs);
void vmcs_set_sipi(uint8_t vector);
