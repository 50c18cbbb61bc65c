/* SPDX-License-Identifier: Apache-2.0 */
/* VMCALL: carries out what core/hypercall decides; and the VMX-preemption timer, which ends a guest's wait
 * and is core 0's slow look at the console where the UART has no interrupt. */
#include "arch/x86/console_io.h"
#include "arch/x86/cpu.h"
#include "arch/x86/devices.h"
#include "arch/x86/guest.h"
#include "arch/x86/percpu.h"
#include "arch/x86/vcpu.h"
#include "arch/x86/vmcs.h"
#include "arch/x86/vmx_cpu.h"
#include "arch/x86/vmx_exit.h"
#include "core/hypercall.h"

#define ACTIVITY_HLT 1u
#define MISC_HLT     BIT(6) /* IA32_VMX_MISC: activity state HLT is supported */

/* Halted as by HLT, but with a timer, which runs in that state too. */
static uint64_t wait_until(struct vcpu *v, uint64_t tsc, uint32_t length) {
    int64_t left = (int64_t)(tsc - cpu_rdtsc());
    if (!vmx_can_set(&vmx_caps, VMX_PIN, PIN_PREEMPTION_TIMER) || (vmx_caps.raw[CAP_MISC] & MISC_HLT) == 0)
        return (uint64_t)HYPERCALL_ENOSYS;
    if (left > 0) {
        uint64_t count = ((uint64_t)left >> vmx_preemption_shift(&vmx_caps)) + 1, poll = console_poll_ticks();
        vcpu_set_timer(poll != 0 && poll < count ? poll : count); /* input is looked for meanwhile */
        vmcs_write(VMCS_GUEST_ACTIVITY, ACTIVITY_HLT);
        v->wait_rip = vmcs_read(VMCS_GUEST_RIP) + length;
    }
    return 0;
}

static uint64_t trace(struct vcpu *v, uint64_t instructions) {
    if (!vmx_can_set(&vmx_caps, VMX_PRIMARY, PRIMARY_MTF))
        return (uint64_t)HYPERCALL_ENOSYS;
    v->trace_left = instructions;
    event_exit_when(PRIMARY_MTF, instructions != 0);
    return 0;
}

rarely static struct verdict carry_out(struct vcpu *v, struct guest_regs *regs) {
    switch (regs->rax) {
    case HYPERCALL_STOP:
        return exit_stop(STOP_ASKED, NULL);
    case HYPERCALL_RESTART:
        return exit_stop(STOP_RESET, NULL);
    case HYPERCALL_WRITE:
        regs->rax = devices_console_write(v, regs->rbx, (unsigned)regs->rcx);
        break;
    case HYPERCALL_WAIT:
        regs->rax =
            wait_until(v, regs->rbx - v->msrs.tsc_adjust, vmcs_read(VMCS_EXIT_LENGTH)); /* its TSC, in ours */
        break;
    case HYPERCALL_TRACE:
        regs->rax = trace(v, regs->rbx);
        break;
    }
    return VERDICT_NEXT;
}

struct verdict exit_vmcall(struct vcpu *v, struct guest_regs *regs) {
    uint64_t result;
    if (guest_cpl() != 0)
        return exit_inject(VECTOR_UD);
    if (!hypercall(v, regs->rax, regs->rbx, regs->rcx, &result))
        return carry_out(this_cpu.vcpu, vcpu_regs());
    vcpu_regs()->rax = result;
    return VERDICT_NEXT;
}

struct verdict exit_preemption_timer(struct vcpu *v, struct guest_regs *regs) {
    vcpu_end_wait(v);
    vcpu_set_timer(console_poll_ticks());
    console_service();
    return VERDICT_RESUME;
}
