/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's accesses to its local APIC that exit: asks core/vlapic, does what it says. */
#pragma once

#include "core/msr_policy.h"
#include "core/partition.h"

/* IA32_APIC_BASE or an x2APIC register. MSR_DONE or MSR_GP. */
/* The ICR of x2APIC mode, if it says just "this vector to those vCPUs, all in that mode". False: nothing is
 * done yet. */
must_check bool apic_plain_ipi(struct vcpu *v, uint64_t icr);

must_check enum msr_verdict apic_msr_read(struct vcpu *v, uint32_t index, uint64_t *value);
must_check enum msr_verdict apic_msr_write(struct vcpu *v, uint32_t index, uint64_t value);

/* A register of the xAPIC page, by its offset. */
uint32_t apic_page_read(struct vcpu *v, unsigned offset);
void apic_page_write(struct vcpu *v, unsigned offset, uint32_t value);
