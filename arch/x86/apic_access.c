/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's local APIC: verdicts of core/vlapic carried out on the real one, which the guest
 * owns. */
#include "arch/x86/apic_access.h"

#include "arch/x86/lapic.h"
#include "arch/x86/msr.h"
#include "arch/x86/vcpu.h"
#include "arch/x86/vmx_exit.h"

static enum msr_verdict read_register(struct vcpu *v, enum vlapic_mode via, unsigned reg, uint64_t *value) {
    switch (vlapic_read(&v->lapic, via, reg, value)) {
    case VLAPIC_GP:
        return MSR_GP;
    case VLAPIC_HARDWARE:
        *value = lapic_read(reg);
        return MSR_DONE;
    default:
        return MSR_DONE;
    }
}

static enum msr_verdict act(struct vcpu *v, enum vlapic_verdict verdict, const struct vlapic_effect *effect) {
    struct ipi ipi;

    switch (verdict) {
    case VLAPIC_GP:
        return MSR_GP;
    case VLAPIC_HARDWARE:
        lapic_write(effect->reg, effect->value);
        return MSR_DONE;
    case VLAPIC_IPI:
        vlapic_route(v->partition->lapics, v->partition->nr_vcpus, v->index, effect->value, &ipi);
        vcpu_send_ipi(v, &ipi);
        return MSR_DONE;
    case VLAPIC_RESET:
        lapic_reset();
        return MSR_DONE;
    case VLAPIC_DONE:
        return MSR_DONE;
    }
    return MSR_GP;
}

enum msr_verdict apic_msr_read(struct vcpu *v, uint32_t index, uint64_t *value) {
    if (index == IA32_APIC_BASE) {
        *value = v->lapic.base_msr;
        return MSR_DONE;
    }
    return read_register(v, VLAPIC_X2APIC, index - IA32_X2APIC_BASE, value);
}

enum msr_verdict apic_msr_write(struct vcpu *v, uint32_t index, uint64_t value) {
    struct vlapic_effect effect = {0};
    enum msr_verdict verdict;

    if (index == IA32_APIC_BASE) {
        verdict = act(v, vlapic_write_base(&v->lapic, value), &effect);
        vcpu_choose_msr_bitmap(v);
        return verdict;
    }
    return act(v, vlapic_write(&v->lapic, VLAPIC_X2APIC, index - IA32_X2APIC_BASE, value, &effect), &effect);
}

uint32_t apic_page_read(struct vcpu *v, unsigned reg) {
    uint64_t value = UINT32_MAX;

    (void)!read_register(v, VLAPIC_XAPIC, reg, &value);
    return (uint32_t)value;
}

void apic_page_write(struct vcpu *v, unsigned reg, uint32_t value) {
    struct vlapic_effect effect = {0};

    (void)!act(v, vlapic_write(&v->lapic, VLAPIC_XAPIC, reg, value, &effect), &effect);
}
