/* SPDX-License-Identifier: Apache-2.0 */
/* Event injection and the instruction advance. */
#include "arch/x86/event.h"

#include "arch/x86/cpu.h"
#include "arch/x86/vcpu.h"
#include "arch/x86/vmcs.h"
#include "arch/x86/vmx_exit.h"
#include "core/vmx_ctl.h"

/* "Format of the VM-Entry Interruption-Information Field"; the vectoring field is the same. */
#define EVENT_VALID        BIT(31)
#define EVENT_ERROR        BIT(11)
#define EVENT_TYPE         0x700u
#define TYPE_NMI           0x200u
#define TYPE_EXCEPTION     0x300u
#define TYPE_SOFT_INT      0x400u
#define TYPE_PRIV_INT      0x500u
#define TYPE_SOFT_EXC      0x600u
#define EVENT_UNDEFINED    BIT(12) /* in the vectoring field; must be 0 when injected */

#define BLOCKING_STI_MOVSS 3u
#define BLOCKING_NMI       8u
#define RFLAGS_TF          BIT(8)
#define RFLAGS_RF          BIT(16)
#define PENDING_BS         BIT(14)
#define DEBUGCTL_BTF       BIT(1)
#define RIGHTS_L           BIT(13)

#define DR6_FIXED          UINT64_C(0xffff0ff0) /* bits that read 1 */
#define DR6_BREAKPOINTS    UINT64_C(0xf)
#define DR6_BD_BS          UINT64_C(0x6000)
#define DR7_GD             BIT(13)

void event_advance(uint32_t length) {
    uint32_t blocking = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
    uint64_t rflags = vmcs_read(VMCS_GUEST_RFLAGS);
    uint64_t rip = vmcs_read(VMCS_GUEST_RIP), next = rip + length;

    /* Only outside 64-bit mode can the 4 GiB border be crossed, and there RIP wraps. */
    if (((rip ^ next) >> 32) != 0 && (vmcs_read(VMCS_GUEST_CS_RIGHTS) & RIGHTS_L) == 0)
        next = (uint32_t)next;
    vmcs_write(VMCS_GUEST_RIP, next);
    if ((blocking & BLOCKING_STI_MOVSS) != 0)
        vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, blocking & ~BLOCKING_STI_MOVSS);
    if ((rflags & (RFLAGS_RF | RFLAGS_TF)) == 0)
        return;
    if (length != 0) /* between iterations it stays, lest a breakpoint on the instruction hits again */
        vmcs_write(VMCS_GUEST_RFLAGS, rflags & ~RFLAGS_RF);
    if ((rflags & RFLAGS_TF) != 0 && (vmcs_read(VMCS_GUEST_DEBUGCTL) & DEBUGCTL_BTF) == 0)
        vmcs_write(VMCS_GUEST_PENDING_DEBUG, vmcs_read(VMCS_GUEST_PENDING_DEBUG) | PENDING_BS);
}

void event_inject(uint8_t vector, bool has_error, uint32_t error) {
    uint32_t event = (uint32_t)EVENT_VALID | TYPE_EXCEPTION | vector;

    /* In real mode exceptions have no error code, and entry refuses one. */
    if (has_error && (vmcs_read(VMCS_GUEST_CR0) & CR0_PE) != 0) {
        event |= EVENT_ERROR;
        vmcs_write(VMCS_ENTRY_ERROR_CODE, error);
    }
    vmcs_write(VMCS_ENTRY_INTERRUPT, event);
}

void event_inject_nmi(void) {
    vmcs_write(VMCS_ENTRY_INTERRUPT, (uint32_t)EVENT_VALID | TYPE_NMI | VECTOR_NMI);
}

void event_redeliver(void) {
    uint32_t event = vmcs_read(VMCS_IDT_VECTORING), type = event & EVENT_TYPE;

    if ((event & EVENT_VALID) == 0)
        return;
    if (type == TYPE_SOFT_INT || type == TYPE_PRIV_INT || type == TYPE_SOFT_EXC)
        vmcs_write(VMCS_ENTRY_LENGTH, vmcs_read(VMCS_EXIT_LENGTH));
    if ((event & EVENT_ERROR) != 0)
        vmcs_write(VMCS_ENTRY_ERROR_CODE, vmcs_read(VMCS_IDT_ERROR_CODE));
    if (type == TYPE_NMI) {
        uint32_t blocking = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);

        vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, blocking & ~BLOCKING_NMI);
    }
    vmcs_write(VMCS_ENTRY_INTERRUPT, event & ~(uint32_t)EVENT_UNDEFINED);
}

void event_nmi_window(bool open) {
    uint32_t primary = vmcs_read(VMCS_PRIMARY_CONTROLS);

    vmcs_write(VMCS_PRIMARY_CONTROLS, open ? primary | PRIMARY_NMI_WINDOW : primary & ~PRIMARY_NMI_WINDOW);
}

enum verdict exit_nmi_window(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    (void)regs;
    (void)info;
    event_nmi_window(false);
    if ((__atomic_fetch_and(&v->pending, ~VCPU_PENDING_NMI, __ATOMIC_ACQ_REL) & VCPU_PENDING_NMI) != 0)
        event_inject_nmi();
    return VERDICT_RESUME;
}

/* A #DB that exits has not touched DR6, DR7 yet: do what its delivery would have done. */
static enum verdict reinject_debug(struct exit_info *info) {
    uint64_t cause = info->qualification & (DR6_BREAKPOINTS | DR6_BD_BS);

    cpu_write_db6((cpu_read_db6() & ~DR6_BREAKPOINTS) | cause | DR6_FIXED);
    vmcs_write(VMCS_GUEST_DR7, vmcs_read(VMCS_GUEST_DR7) & ~DR7_GD);
    info->vector = VECTOR_DB;
    return VERDICT_INJECT;
}

enum verdict exit_exception(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    uint32_t event = vmcs_read(VMCS_EXIT_INTERRUPT);

    (void)v;
    (void)regs;
    if ((event & EVENT_TYPE) == TYPE_NMI) {
        cpu_int_nmi();
        return VERDICT_RESUME;
    }
    switch (event & 0xff) {
    case VECTOR_DB:
        return reinject_debug(info);
    case VECTOR_AC:
        info->vector = VECTOR_AC;
        info->has_error = true; /* the error code of #AC is always 0 */
        return VERDICT_INJECT;
    default:
        return exit_stop(info, STOP_CRASHED, "machine check");
    }
}
