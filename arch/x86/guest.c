/* SPDX-License-Identifier: Apache-2.0 */
/* VMCS -> the structs core/ wants. */
#include "arch/x86/guest.h"

#include "arch/x86/vmcs.h"
#include "arch/x86/vmx_cpu.h"

#define RIGHTS_L  BIT(13)
#define RIGHTS_DB BIT(14)

bool guest_cs_long(void) {
    return (vmcs_read(VMCS_GUEST_CS_RIGHTS) & RIGHTS_L) != 0 && (vmcs_read(VMCS_GUEST_EFER) & EFER_LMA) != 0;
}

enum insn_mode guest_insn_mode(void) {
    if (guest_cs_long())
        return INSN_64;
    return (vmcs_read(VMCS_GUEST_CS_RIGHTS) & RIGHTS_DB) != 0 ? INSN_32 : INSN_16;
}

void guest_read_paging(struct guest_paging *out) {
    *out = (struct guest_paging){
        .cr0 = vmcs_read(VMCS_GUEST_CR0),
        .cr3 = vmcs_read(VMCS_GUEST_CR3),
        .cr4 = vmcs_read(VMCS_GUEST_CR4),
        .efer = vmcs_read(VMCS_GUEST_EFER),
        .rflags = vmcs_read(VMCS_GUEST_RFLAGS),
        .pdptes = {vmcs_read(VMCS_GUEST_PDPTE0), vmcs_read(VMCS_GUEST_PDPTE1), vmcs_read(VMCS_GUEST_PDPTE2),
                   vmcs_read(VMCS_GUEST_PDPTE3)},
        .phys_bits = vmx_phys_bits(&vmx_caps),
    };
}

uint64_t guest_rip_linear(void) {
    uint64_t rip = vmcs_read(VMCS_GUEST_RIP);
    return guest_cs_long() ? rip : (uint32_t)(vmcs_read(VMCS_GUEST_CS_BASE) + rip);
}

size_t guest_fetch(const struct vcpu *v, void *to, size_t bytes) {
    struct guest_paging paging;
    guest_read_paging(&paging);
    return guest_walk_read(&v->partition->map, &paging, guest_rip_linear(),
                           WALK_FETCH | (guest_cpl() == 3 ? WALK_USER : 0), to, bytes);
}
