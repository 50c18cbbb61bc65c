/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's local APIC: verdicts of core/vlapic carried out on the real one, which the guest
 * owns. */
#include "arch/x86/lapic.h"
#include "arch/x86/msr.h"
#include "arch/x86/vcpu.h"
#include "arch/x86/vmx_exit.h"

static enum msr_verdict read_register(struct vcpu *v, enum vlapic_mode via, unsigned reg, uint64_t *value) {
    enum vlapic_verdict verdict = vlapic_read(&v->lapic, via, reg, value);
    if (verdict == VLAPIC_HARDWARE)
        *value |= lapic_read(reg);
    return verdict == VLAPIC_GP ? MSR_GP : MSR_DONE;
}

static enum msr_verdict write_register(struct vcpu *v, enum vlapic_mode via, unsigned reg, uint64_t value) {
    struct vlapic_effect effect;
    enum vlapic_verdict verdict = vlapic_write(&v->lapic, via, reg, value, &effect);
    if (verdict == VLAPIC_HARDWARE) {
        lapic_write(effect.reg, effect.value);
    } else if (verdict == VLAPIC_IPI) {
        struct ipi ipi;
        vlapic_route(v->partition->lapics, v->partition->nr_vcpus, v->index, effect.value, &ipi);
        vcpu_send_ipi(v, &ipi);
    }
    return verdict == VLAPIC_GP ? MSR_GP : MSR_DONE;
}

bool apic_plain_ipi(struct vcpu *v, uint64_t icr) {
    uint64_t left;
    if (!vlapic_plain_ipi(&v->lapic, v->partition->lapics, v->partition->nr_vcpus, icr, &left))
        return false;
    for (; left != 0; left &= left - 1)
        vcpu_send_vector(&v->partition->vcpus[__builtin_ctzll(left)], (uint8_t)icr);
    return true;
}

enum msr_verdict apic_msr_read(struct vcpu *v, uint32_t index, uint64_t *value) {
    if (index != IA32_APIC_BASE)
        return read_register(v, VLAPIC_X2APIC, index - IA32_X2APIC_BASE, value);
    *value = v->lapic.base_msr;
    return MSR_DONE;
}

enum msr_verdict apic_msr_write(struct vcpu *v, uint32_t index, uint64_t value) {
    if (index != IA32_APIC_BASE)
        return write_register(v, VLAPIC_X2APIC, index - IA32_X2APIC_BASE, value);
    enum vlapic_verdict verdict = vlapic_write_base(&v->lapic, value);
    if (verdict == VLAPIC_RESET)
        lapic_reset();
    vcpu_mode_changed(v);
    return verdict == VLAPIC_GP ? MSR_GP : MSR_DONE;
}

uint32_t apic_page_read(struct vcpu *v, unsigned offset) {
    uint64_t value;
    (void)!read_register(v, VLAPIC_XAPIC, offset / 16, &value);
    return (uint32_t)value;
}

void apic_page_write(struct vcpu *v, unsigned offset, uint32_t value) {
    (void)!write_register(v, VLAPIC_XAPIC, offset / 16, value);
}
