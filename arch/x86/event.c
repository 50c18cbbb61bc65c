/* SPDX-License-Identifier: Apache-2.0 */
/* Event injection and the instruction advance. */

#include "arch/x86/cpu.h"
#include "arch/x86/guest.h"
#include "arch/x86/msr.h"
#include "arch/x86/trap.h"
#include "arch/x86/vcpu.h"
#include "core/event.h"
#include "core/log.h"
#include "core/vmx_ctl.h"

#define BLOCKING_NMI           8u
#define RFLAGS_RF              BIT(16)
#define NOTIFY_CONTEXT_INVALID BIT(0)

#define MCG_BANKS              0xffu

#define DR6_FIXED              UINT64_C(0xffff0ff0) /* bits that read 1 */
#define DR6_BREAKPOINTS        UINT64_C(0xf)
#define DR6_BD_BS              UINT64_C(0x6000)
#define DR7_GD                 BIT(13)

static void end_shadow(void) {
    uint32_t blocking = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
    if ((blocking & BLOCKING_STI_MOVSS) != 0)
        vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, blocking & ~BLOCKING_STI_MOVSS);
}

void event_inject(uint8_t vector, bool has_error, uint32_t error) {
    uint32_t event = EVENT_VALID | EVENT_EXCEPTION | vector;
    if (vector != VECTOR_DB) /* a fault: the flags that it pushes have RF set */
        vmcs_write(VMCS_GUEST_RFLAGS, vmcs_read(VMCS_GUEST_RFLAGS) | RFLAGS_RF);
    /* In real mode exceptions have no error code, and entry refuses one. */
    if (has_error && (vmcs_read(VMCS_GUEST_CR0) & CR0_PE) != 0) {
        event |= EVENT_ERROR_CODE;
        vmcs_write(VMCS_ENTRY_ERROR_CODE, error);
    }
    vmcs_write(VMCS_ENTRY_INTERRUPT, event);
}

void event_exit_when(uint32_t control, bool on) {
    uint32_t primary = vmcs_read(VMCS_PRIMARY_CONTROLS);
    vmcs_write(VMCS_PRIMARY_CONTROLS, on ? primary | control : primary & ~control);
}

static void block_nmis(bool block) {
    uint32_t blocking = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
    vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, block ? blocking | BLOCKING_NMI : blocking & ~BLOCKING_NMI);
}

/* An IRET that did not come to its end has ended the blocking of NMIs already, and will be run again. While
 * an event is delivered, there was none. */
static void iret_again(void) {
    if ((vmcs_read(VMCS_IDT_VECTORING) & EVENT_VALID) == 0)
        block_nmis(true);
}

static void redeliver(uint32_t event) {
    uint32_t type = event & EVENT_TYPE;
    if (type == EVENT_SOFT_INT || type == EVENT_PRIV_EXC || type == EVENT_SOFT_EXC)
        vmcs_write(VMCS_ENTRY_LENGTH, vmcs_read(VMCS_EXIT_LENGTH));
    if ((event & EVENT_ERROR_CODE) != 0)
        vmcs_write(VMCS_ENTRY_ERROR_CODE, vmcs_read(VMCS_IDT_ERROR_CODE));
    if (type == EVENT_NMI)
        block_nmis(false); /* its delivery blocks them again */
    vmcs_write(VMCS_ENTRY_INTERRUPT, event & ~EVENT_NMI_UNBLOCKED);
}

/* An interrupt that the local APIC has already handed over, or an NMI: nobody would send it again. */
static void hold(struct vcpu *v, uint32_t event) {
    if ((event & EVENT_TYPE) == EVENT_NMI) {
        block_nmis(false);
        __atomic_fetch_or(&v->pending, VCPU_PENDING_NMI, __ATOMIC_ACQ_REL);
        event_exit_when(PRIMARY_NMI_WINDOW, true);
    } else {
        v->held_interrupt = event & EVENT_VECTOR;
        event_exit_when(PRIMARY_INTERRUPT_WINDOW, true);
    }
}

/* After an exit that may have come in the middle of delivering an event: with KIND_RESUME that event is
 * delivered again, with KIND_INJECT it is merged with that. Returns the verdict that is left. */
static struct verdict settle(struct vcpu *v, struct verdict verdict) {
    uint32_t first = vmcs_read(VMCS_IDT_VECTORING);
    if (verdict.kind == KIND_RESUME && (first & EVENT_VALID) != 0)
        redeliver(first);
    if (verdict.kind != KIND_INJECT)
        return verdict;
    switch (event_meet(first, verdict.vector)) {
    case EVENT_SECOND:
        break;
    case EVENT_SECOND_THEN_HELD:
        hold(v, first);
        break;
    case EVENT_DOUBLE_FAULT:
        return exit_inject_fault(VECTOR_DF, 0);
    case EVENT_TRIPLE_FAULT:
        return exit_stop(STOP_CRASHED, "triple fault");
    }
    return verdict;
}

struct verdict exit_interrupt_window(struct vcpu *v, struct guest_regs *regs) {
    event_exit_when(PRIMARY_INTERRUPT_WINDOW, false);
    vmcs_write(VMCS_ENTRY_INTERRUPT, EVENT_VALID | EVENT_INTERRUPT | v->held_interrupt);
    return VERDICT_RESUME;
}

struct verdict exit_nmi_window(struct vcpu *v, struct guest_regs *regs) {
    event_exit_when(PRIMARY_NMI_WINDOW, false);
    if ((__atomic_fetch_and(&v->pending, ~VCPU_PENDING_NMI, __ATOMIC_ACQ_REL) & VCPU_PENDING_NMI) != 0)
        vmcs_write(VMCS_ENTRY_INTERRUPT, EVENT_VALID | EVENT_NMI | VECTOR_NMI);
    return VERDICT_RESUME;
}

/* Single-stepping, asked for by HYPERCALL_TRACE. */
struct verdict exit_monitor_trap(struct vcpu *v, struct guest_regs *regs) {
    log_line("%s: vCPU %u at 0x%lx", v->partition->config->name, v->index, vmcs_read(VMCS_GUEST_RIP));
    if (v->trace_left <= 1)
        event_exit_when(PRIMARY_MTF, false);
    v->trace_left--;
    return VERDICT_RESUME;
}

/* A #DB that exits has not touched DR6, DR7 yet: do what its delivery would have done. It also ends a shadow
 * and HYPERCALL_WAIT: where TF meets those, entry insists on a pending step, which the exit has taken away
 * ("Checks on Guest Non-Register State"). */
static struct verdict reinject_debug(uint32_t event) {
    end_shadow();
    vmcs_write(VMCS_GUEST_ACTIVITY, 0);
    if ((event & EVENT_TYPE) == EVENT_PRIV_EXC) { /* INT1: its #DB returns behind it and sets nothing */
        vmcs_write(VMCS_GUEST_RIP, vmcs_read(VMCS_GUEST_RIP) + vmcs_read(VMCS_EXIT_LENGTH));
        return exit_inject(VECTOR_DB);
    }
    uint64_t cause = vmcs_read(VMCS_QUALIFICATION) & (DR6_BREAKPOINTS | DR6_BD_BS);
    cpu_write_db6((cpu_read_db6() & ~DR6_BREAKPOINTS) | cause | DR6_FIXED);
    vmcs_write(VMCS_GUEST_DR7, vmcs_read(VMCS_GUEST_DR7) & ~DR7_GD);
    return exit_inject(VECTOR_DB);
}

/* The guest has kept events away for too long, with no exit in between, and has been interrupted. */
struct verdict exit_notify(struct vcpu *v, struct guest_regs *regs) {
    uint64_t qualification = vmcs_read(VMCS_QUALIFICATION);
    if ((qualification & NOTIFY_CONTEXT_INVALID) != 0)
        return exit_stop(STOP_CRASHED, "endless instruction, the state of which is lost");
    if ((qualification & EVENT_NMI_UNBLOCKED) != 0)
        iret_again();
    return settle(v, VERDICT_RESUME);
}

/* The exit counter shows them. */
struct verdict exit_bus_lock(struct vcpu *v, struct guest_regs *regs) {
    return settle(v, VERDICT_RESUME);
}

enum machine_check event_machine_check(void) {
    uint64_t cap = trap_msr_or_zero(IA32_MCG_CAP), status;
    enum machine_check worst = machine_check_cause(cap, trap_msr_or_zero(IA32_MCG_STATUS));
    for (uint32_t bank = 0; bank < (cap & MCG_BANKS); bank++) {
        if (!trap_read_msr(IA32_MC0_STATUS + 4 * bank, &status) || (status & MC_VALID) == 0)
            continue;
        log_line("machine check on core %u, bank %u: status 0x%lx", this_cpu.index, bank, status);
        enum machine_check found = machine_check_bank(cap, status);
        worst = found > worst ? found : worst;
        cpu_wrmsr(IA32_MC0_STATUS + 4 * bank, 0);
    }
    if (cap != 0)
        cpu_wrmsr(IA32_MCG_STATUS, 0);
    return worst;
}

struct verdict exit_machine_check(struct vcpu *v, struct guest_regs *regs) {
    enum machine_check found = event_machine_check();
    return found == CHECK_PASSES
               ? VERDICT_RESUME
               : exit_stop(found == CHECK_STOPS ? STOP_CRASHED : STOP_BROKEN, "machine check");
}

static struct verdict take_exception(struct vcpu *v, struct guest_regs *regs) {
    uint32_t event = vmcs_read(VMCS_EXIT_INTERRUPT);
    if ((event & EVENT_TYPE) == EVENT_NMI) {
        cpu_int_nmi();
        return VERDICT_RESUME;
    }
    if ((event & EVENT_NMI_UNBLOCKED) != 0)
        iret_again();
    switch (event & EVENT_VECTOR) {
    case VECTOR_DB:
        return reinject_debug(event);
    case VECTOR_AC:
        return exit_inject_fault(VECTOR_AC, 0); /* its error code is always 0 */
    default:
        return exit_machine_check(v, regs);
    }
}

struct verdict exit_exception(struct vcpu *v, struct guest_regs *regs) {
    return settle(v, take_exception(v, regs));
}
