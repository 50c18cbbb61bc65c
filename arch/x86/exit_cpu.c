/* SPDX-License-Identifier: Apache-2.0 */
/* Exits of instructions about the CPU itself: CPUID, MSRs, control registers, XSETBV, caches.
 * Moves values between the VMCS and core/'s policies. */
#include "arch/x86/cpu.h"
#include "arch/x86/guest.h"
#include "arch/x86/msr.h"
#include "arch/x86/percpu.h"
#include "arch/x86/vcpu.h"
#include "arch/x86/vmcs.h"
#include "arch/x86/vmx_cpu.h"
#include "arch/x86/vmx_exit.h"

/* "Exit Qualification for Control-Register Accesses": number; type, 0 = MOV to it; register */
#define QUAL_CR           0xfu
#define QUAL_TYPE         0x30u
#define QUAL_SOURCE_SHIFT 8
#define REGISTER_RSP      4

#define RIGHTS_TYPE       0xfu
#define TYPE_TSS16        1u
#define TYPE_BUSY         2u
#define RIGHTS_L          BIT(13)

static inline struct verdict answer_cpuid(struct guest_regs *regs, const uint32_t out[4]) {
    regs->rax = out[CPUID_EAX];
    regs->rbx = out[CPUID_EBX];
    regs->rcx = out[CPUID_ECX];
    regs->rdx = out[CPUID_EDX];
    return VERDICT_NEXT;
}

rarely static struct verdict other_cpuid(const struct vcpu *v, struct guest_regs *regs) {
    bool on = (vmcs_read(VMCS_CR4_SHADOW) & CR4_OSXSAVE) != 0;
    uint32_t out[4];
    cpuid_answer(&v->cpuid, (uint32_t)regs->rax, (uint32_t)regs->rcx, on ? cpu_xgetbv(0) : 1, out);
    return answer_cpuid(regs, out);
}

struct verdict exit_cpuid(struct vcpu *v, struct guest_regs *regs) {
    const struct cpuid_row *row = cpuid_find(&v->cpuid, (uint32_t)regs->rax, (uint32_t)regs->rcx);
    return row == NULL ? other_cpuid(v, regs) : answer_cpuid(regs, row->regs);
}

static bool is_apic_msr(uint32_t index) {
    return index == IA32_APIC_BASE || index >> 8 == IA32_X2APIC_BASE >> 8;
}

static enum msr_verdict read_msr(struct vcpu *v, uint32_t index, uint64_t *value) {
    if (is_apic_msr(index))
        return apic_msr_read(v, index, value);
    enum msr_verdict verdict = msr_read(&v->msrs, index, value);
    if (verdict != MSR_ARCH)
        return verdict;
    if (index == IA32_DEBUGCTL) { /* seen in the VMCS where the MSR itself is missing */
        *value = vmcs_read(VMCS_GUEST_DEBUGCTL);
        return MSR_DONE;
    }
    if (!v->lapic.tsc_deadline) /* IA32_TSC_DEADLINE it is, which this CPU does not have */
        return MSR_GP;
    *value = cpu_rdmsr(IA32_TSC_DEADLINE) == 0 ? 0 : v->msrs.deadline; /* has fired? */
    return MSR_DONE;
}

static struct verdict answer_rdmsr(struct guest_regs *regs, uint64_t value) {
    regs->rax = (uint32_t)value;
    regs->rdx = value >> 32;
    return VERDICT_NEXT;
}

rarely static struct verdict other_rdmsr(struct vcpu *v, struct guest_regs *regs) {
    uint64_t value;
    if (read_msr(v, (uint32_t)regs->rcx, &value) == MSR_DONE)
        return answer_rdmsr(regs, value);
    v->denied_msrs++;
    return exit_inject_gp();
}

struct verdict exit_rdmsr(struct vcpu *v, struct guest_regs *regs) {
    uint32_t index = (uint32_t)regs->rcx;
    const struct msr_row *row = msr_row(index);
    return row->read == MSR_STATE ? answer_rdmsr(regs, *msr_field(&v->msrs, row, index))
                                  : other_rdmsr(v, regs);
}

static void set_deadline(struct vcpu *v, uint64_t deadline) {
    v->msrs.deadline = deadline;
    cpu_wrmsr(IA32_TSC_DEADLINE, msr_deadline_real(deadline, v->msrs.tsc_adjust, cpu_rdtsc()));
}

/* "Time-Stamp Counter Adjustment": what a write adds to one of IA32_TSC and IA32_TSC_ADJUST it adds
 * to the other. The real TSC stays, this vCPU's offset changes, and a deadline still to come is
 * reached when the moved TSC gets there. */
static void move_tsc(struct vcpu *v, uint64_t adjust) {
    uint64_t real = v->lapic.tsc_deadline ? cpu_rdmsr(IA32_TSC_DEADLINE) : 0;
    uint64_t deadline = v->msrs.tsc_adjust == 0 ? real : v->msrs.deadline;
    v->msrs.tsc_adjust = adjust;
    vmcs_write(VMCS_TSC_OFFSET, adjust);
    vcpu_mode_changed(v);
    if (real > cpu_rdtsc())
        set_deadline(v, deadline);
}

static enum msr_verdict write_msr(struct vcpu *v, uint32_t index, uint64_t value) {
    if (is_apic_msr(index))
        return apic_msr_write(v, index, value);
    enum msr_verdict verdict = msr_write(&v->msrs, index, value);
    if (verdict != MSR_ARCH)
        return verdict;
    if (index == IA32_TSC)
        move_tsc(v, value - cpu_rdtsc());
    else if (index == IA32_TSC_ADJUST)
        move_tsc(v, value);
    else if (index == IA32_DEBUGCTL)
        vmcs_write(VMCS_GUEST_DEBUGCTL, value);
    else if (v->lapic.tsc_deadline)
        set_deadline(v, value);
    else
        return MSR_GP;
    return MSR_DONE;
}

rarely static struct verdict other_wrmsr(struct vcpu *v, const struct guest_regs *regs) {
    if (write_msr(v, (uint32_t)regs->rcx, regs->rdx << 32 | (uint32_t)regs->rax) == MSR_DONE)
        return VERDICT_NEXT;
    v->denied_msrs++;
    return exit_inject_gp();
}

/* First what a guest does all the time, an IPI, then what the policy knows to do alone. */
struct verdict exit_wrmsr(struct vcpu *v, struct guest_regs *regs) {
    uint32_t index = (uint32_t)regs->rcx;
    uint64_t value = regs->rdx << 32 | (uint32_t)regs->rax;
    if (index == IA32_X2APIC_BASE + APIC_ICR ? apic_plain_ipi(v, value)
                                             : msr_write(&v->msrs, index, value) == MSR_DONE)
        return VERDICT_NEXT;
    return other_wrmsr(this_cpu.vcpu, vcpu_regs());
}

/* "PDPTE Registers": loaded when PAE paging is in use after the write. */
static bool load_pdptes(const struct vcpu *v, uint64_t cr3) {
    uint64_t pdptes[4];
    if (guest_map_read(&v->partition->map, pdptes, gpa(cr3 & 0xffffffe0), sizeof(pdptes)) != ERR_OK ||
        !cr_pdptes_valid(pdptes, vmx_phys_bits(&vmx_caps)))
        return false;
    for (unsigned i = 0; i < 4; i++)
        vmcs_write((vmcs_64){VMCS_GUEST_PDPTE0.encoding + 2 * i}, pdptes[i]);
    return true;
}

/* A write that may change what the guest's paging is. */
rarely static struct verdict write_cr(struct vcpu *v, const struct guest_regs *regs, uint64_t qualification) {
    unsigned cr = qualification & QUAL_CR, source = qualification >> QUAL_SOURCE_SHIFT & 0xf;
    uint64_t value = source == REGISTER_RSP ? vmcs_read(VMCS_GUEST_RSP) : regs->gpr[source];
    if ((qualification & QUAL_TYPE) != 0 || (cr != 0 && cr != 4))
        return exit_stop(STOP_CRASHED, "a control-register access that must not exit");
    struct cr_state now = {
        .cr0 = cr_view(vmcs_read(VMCS_GUEST_CR0), vmcs_read(VMCS_CR0_SHADOW), v->cr.cr0_mask),
        .cr3 = vmcs_read(VMCS_GUEST_CR3),
        .cr4 = cr_view(vmcs_read(VMCS_GUEST_CR4), vmcs_read(VMCS_CR4_SHADOW), v->cr.cr4_mask),
        .efer = vmcs_read(VMCS_GUEST_EFER),
        .cs_l = (vmcs_read(VMCS_GUEST_CS_RIGHTS) & RIGHTS_L) != 0,
        .tss16 = (vmcs_read(VMCS_GUEST_TR_RIGHTS) & RIGHTS_TYPE & ~TYPE_BUSY) == TYPE_TSS16,
    };
    if (!guest_cs_long())
        value = (uint32_t)value;
    struct cr_change change = {0};
    enum cr_verdict verdict = (cr == 0 ? cr0_write : cr4_write)(&v->cr, &now, value, &change);
    if (verdict != CR_OK || (change.load_pdptes && !load_pdptes(v, now.cr3)))
        return exit_inject_gp();
    if (change.flush)
        vmx_invvpid(INVALIDATE_SINGLE, v->cpu + 1);
    vmcs_write(cr == 0 ? VMCS_GUEST_CR0 : VMCS_GUEST_CR4, change.real);
    vmcs_write(cr == 0 ? VMCS_CR0_SHADOW : VMCS_CR4_SHADOW, change.shadow);
    vmcs_write(VMCS_GUEST_EFER, change.efer);
    if (cr == 4)
        vcpu_mode_changed(v);
    uint32_t entry = vmcs_read(VMCS_ENTRY_CONTROLS) & ~ENTRY_IA32E_GUEST;
    vmcs_write(VMCS_ENTRY_CONTROLS, entry | ((change.efer & EFER_LMA) != 0 ? ENTRY_IA32E_GUEST : 0));
    return VERDICT_NEXT;
}

/* MOV to CR0 or CR4 that changes a bit of ours. Nothing else exits: what the masks own is read from
 * the shadow, CLTS and LMSW reach only the guest's own bits. */
struct verdict exit_cr(struct vcpu *v, struct guest_regs *regs) {
    uint64_t qualification = vmcs_read(VMCS_QUALIFICATION);
    unsigned source = qualification >> QUAL_SOURCE_SHIFT & 0xf;
    uint64_t value = regs->gpr[source];
    if ((qualification & (QUAL_CR | QUAL_TYPE)) != 0 || source == REGISTER_RSP ||
        !cr0_is_plain(cr_view(vmcs_read(VMCS_GUEST_CR0), vmcs_read(VMCS_CR0_SHADOW), v->cr.cr0_mask), value))
        return write_cr(v, regs, qualification);
    vmcs_write(VMCS_GUEST_CR0, cr0_real(&v->cr, cr0_guest(value)));
    vmcs_write(VMCS_CR0_SHADOW, cr0_guest(value));
    return VERDICT_NEXT;
}

struct verdict exit_xsetbv(struct vcpu *v, struct guest_regs *regs) {
    uint64_t value = regs->rdx << 32 | (uint32_t)regs->rax;
    if (xcr0_write(&v->cr, (uint32_t)regs->rcx, value) != CR_OK)
        return exit_inject_gp();
    cpu_xsetbv(0, value);
    return VERDICT_NEXT;
}

/* INVD and WBINVD. Either would empty the cache the cores share, the neighbours' lines with it;
 * without a device that reads memory behind the caches' back neither has an effect a guest could
 * miss, so both do nothing. */
struct verdict exit_cache(struct vcpu *v, struct guest_regs *regs) {
    return VERDICT_NEXT;
}
