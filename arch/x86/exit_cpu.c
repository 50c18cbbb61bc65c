/* SPDX-License-Identifier: Apache-2.0 */
/* Exits of instructions about the CPU itself: CPUID, MSRs, control registers, XSETBV, caches,
 * hypercalls. Moves values between the VMCS and core/'s policies. */
#include "arch/x86/apic_access.h"
#include "arch/x86/cpu.h"
#include "arch/x86/guest.h"
#include "arch/x86/msr.h"
#include "arch/x86/vcpu.h"
#include "arch/x86/vmcs.h"
#include "arch/x86/vmx_cpu.h"
#include "arch/x86/vmx_exit.h"
#include "core/hypercall.h"

#define IA32_DEBUGCTL 0x1d9
#define X2APIC_FIRST  0x800
#define X2APIC_LAST   0x8ff

#define CR_TYPE_WRITE 0
#define CR_TYPE_CLTS  2
#define CR_TYPE_LMSW  3

static uint64_t cr4_view(const struct vcpu *v) {
    return cr_view(vmcs_read(VMCS_GUEST_CR4), vmcs_read(VMCS_CR4_SHADOW), v->cr.cr4_mask);
}

enum verdict exit_cpuid(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    uint32_t leaf = (uint32_t)regs->rax, out[4];
    struct cpuid_live live = {0};

    (void)info;
    if (cpuid_is_live(leaf)) {
        live.cr4 = cr4_view(v);
        live.xcr0 = (live.cr4 & CR4_OSXSAVE) != 0 ? cpu_xgetbv(0) : 1;
        live.apic_enabled = v->lapic.mode != VLAPIC_DISABLED;
    }
    cpuid_lookup(&v->cpuid, leaf, (uint32_t)regs->rcx, &live, out);
    regs->rax = out[0];
    regs->rbx = out[1];
    regs->rcx = out[2];
    regs->rdx = out[3];
    return VERDICT_NEXT;
}

static bool is_apic_msr(uint32_t index) {
    return index == IA32_APIC_BASE || (index >= X2APIC_FIRST && index <= X2APIC_LAST);
}

enum verdict exit_rdmsr(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    uint32_t index = (uint32_t)regs->rcx;
    uint64_t value = 0;
    enum msr_verdict verdict;

    if (is_apic_msr(index)) {
        verdict = apic_msr_read(v, index, &value);
    } else {
        verdict = msr_read(&v->msrs, index, &value);
        if (verdict == MSR_ARCH) /* IA32_DEBUGCTL, IA32_EFER: their values are in the VMCS */
            value = index == IA32_DEBUGCTL ? vmcs_read(VMCS_GUEST_DEBUGCTL) : vmcs_read(VMCS_GUEST_EFER);
    }
    if (verdict == MSR_GP) {
        v->denied_msrs++;
        return exit_inject_gp(info);
    }
    regs->rax = (uint32_t)value;
    regs->rdx = value >> 32;
    return VERDICT_NEXT;
}

static void read_cr_state(const struct vcpu *v, struct cr_state *now) {
    now->cr0 = cr_view(vmcs_read(VMCS_GUEST_CR0), vmcs_read(VMCS_CR0_SHADOW), v->cr.cr0_mask);
    now->cr3 = vmcs_read(VMCS_GUEST_CR3);
    now->cr4 = cr4_view(v);
    now->efer = vmcs_read(VMCS_GUEST_EFER);
    now->cs_long = guest_cs_long();
}

static enum msr_verdict write_efer(struct vcpu *v, uint64_t value) {
    struct cr_state now;
    uint64_t efer;

    read_cr_state(v, &now);
    if (efer_write(&v->cr, &now, value, &efer) != CR_OK)
        return MSR_GP;
    vmcs_write(VMCS_GUEST_EFER, efer);
    return MSR_DONE;
}

enum verdict exit_wrmsr(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    uint32_t index = (uint32_t)regs->rcx;
    uint64_t value = regs->rdx << 32 | (uint32_t)regs->rax;
    enum msr_verdict verdict;

    if (is_apic_msr(index)) {
        verdict = apic_msr_write(v, index, value);
    } else {
        verdict = msr_write(&v->msrs, index, value);
        if (verdict == MSR_ARCH && index == IA32_EFER)
            verdict = write_efer(v, value);
        else if (verdict == MSR_ARCH)
            vmcs_write(VMCS_GUEST_DEBUGCTL, value);
    }
    if (verdict == MSR_GP) {
        v->denied_msrs++;
        return exit_inject_gp(info);
    }
    return VERDICT_NEXT;
}

/* "PDPTE Registers": loaded when PAE paging is in use after the write. */
static bool load_pdptes(const struct vcpu *v, uint64_t cr3) {
    uint64_t pdptes[4];

    if (guest_map_read(&v->partition->map, pdptes, gpa(cr3 & 0xffffffe0), sizeof(pdptes)) != ERR_OK ||
        !cr_pdptes_valid(pdptes, vmx_phys_bits(&vmx_caps)))
        return false;
    vmcs_write(VMCS_GUEST_PDPTE0, pdptes[0]);
    vmcs_write(VMCS_GUEST_PDPTE1, pdptes[1]);
    vmcs_write(VMCS_GUEST_PDPTE2, pdptes[2]);
    vmcs_write(VMCS_GUEST_PDPTE3, pdptes[3]);
    return true;
}

static void apply_change(const struct vcpu *v, const struct cr_change *change, bool is_cr0) {
    uint32_t entry = vmcs_read(VMCS_ENTRY_CONTROLS);

    if (is_cr0) {
        vmcs_write(VMCS_GUEST_CR0, change->real);
        vmcs_write(VMCS_CR0_SHADOW, change->shadow);
    } else {
        vmcs_write(VMCS_GUEST_CR4, change->real);
        vmcs_write(VMCS_CR4_SHADOW, change->shadow);
    }
    vmcs_write(VMCS_GUEST_EFER, change->efer);
    vmcs_write(VMCS_ENTRY_CONTROLS,
               change->long_mode ? entry | ENTRY_IA32E_GUEST : entry & ~ENTRY_IA32E_GUEST);
    if (change->flush)
        vmx_invvpid(INVALIDATE_SINGLE, v->cpu + 1);
}

static uint64_t operand(const struct guest_regs *regs, unsigned number, bool is_long) {
    uint64_t value = number == 4 ? vmcs_read(VMCS_GUEST_RSP) : regs->gpr[number];

    return is_long ? value : (uint32_t)value;
}

/* Only writes exit: what the masks own is read from the shadow. */
enum verdict exit_cr(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    unsigned cr = info->qualification & 0xf, type = info->qualification >> 4 & 3;
    struct cr_change change = {0};
    struct cr_state now;
    enum cr_verdict verdict;
    uint64_t value;

    read_cr_state(v, &now);
    value = operand(regs, info->qualification >> 8 & 0xf, now.cs_long);
    if (type == CR_TYPE_CLTS) {
        verdict = cr0_write(&v->cr, &now, cr0_after_clts(now.cr0), &change);
    } else if (type == CR_TYPE_LMSW) {
        value = cr0_after_lmsw(now.cr0, (uint16_t)(info->qualification >> 16));
        verdict = cr0_write(&v->cr, &now, value, &change);
    } else if (type == CR_TYPE_WRITE && cr == 0) {
        verdict = cr0_write(&v->cr, &now, value, &change);
    } else if (type == CR_TYPE_WRITE && cr == 4) {
        verdict = cr4_write(&v->cr, &now, value, &change);
    } else {
        return exit_stop(info, STOP_CRASHED, "a control-register access that must not exit");
    }
    if (verdict != CR_OK || (change.load_pdptes && !load_pdptes(v, now.cr3)))
        return exit_inject_gp(info);
    apply_change(v, &change, cr == 0 || type != CR_TYPE_WRITE);
    return VERDICT_NEXT;
}

enum verdict exit_xsetbv(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    uint64_t value = regs->rdx << 32 | (uint32_t)regs->rax;

    if (xcr0_write(&v->cr, (uint32_t)regs->rcx, value) != CR_OK)
        return exit_inject_gp(info);
    cpu_xsetbv(0, value);
    return VERDICT_NEXT;
}

/* INVD and WBINVD. Either would empty the cache the cores share, the neighbours' lines with it;
 * without a device that reads memory behind the caches' back neither has an effect a guest could
 * miss, so both do nothing. */
enum verdict exit_cache(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    (void)v;
    (void)regs;
    (void)info;
    return VERDICT_NEXT;
}

enum verdict exit_vmcall(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    enum stop_cause cause = STOP_NONE;

    if (guest_cpl() != 0)
        return exit_inject_ud(info);
    regs->rax = hypercall(v, regs->rax, &cause);
    return cause == STOP_NONE ? VERDICT_NEXT : exit_stop(info, cause, NULL);
}
