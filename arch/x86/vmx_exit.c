/* SPDX-License-Identifier: Apache-2.0 */
/* The dispatcher: one table, one place that acts on a verdict. What each exit means is in exit_*.c
 * and in core/. */
#include "arch/x86/vmx_exit.h"

#include "arch/x86/dump.h"
#include "arch/x86/event.h"
#include "arch/x86/percpu.h"
#include "arch/x86/trap.h"
#include "arch/x86/vcpu.h"
#include "arch/x86/vmcs.h"
#include "arch/x86/vmcs_audit.h"
#include "boot/layout.h"
#include "core/log.h"

_Static_assert(sizeof(struct guest_regs) == GUEST_REGS_BYTES, "vmx_exit.S");

#define HAS_LENGTH             1u /* VM-exit instruction length is valid: VERDICT_NEXT may be returned */
#define HAS_QUALIFICATION      2u
#define HAS_VECTORING          4u /* may come in the middle of delivering an event */

#define REASON_BASIC           0xffffu
#define REASON_BUS_LOCK        74
#define BUS_LOCK               BIT(26)
#define ENTRY_FAILURE          BIT(31)

#define NOTIFY_CONTEXT_INVALID BIT(0)
#define NOTIFY_IRET_UNBLOCKED  BIT(12)
#define BLOCKING_NMI           8u

static enum verdict exit_undefined(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    return exit_inject_ud(info);
}

static enum verdict exit_gp(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    return exit_inject_gp(info);
}

static enum verdict exit_triple_fault(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    return exit_stop(info, STOP_CRASHED, "triple fault");
}

static enum verdict exit_task_switch(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    return exit_stop(info, STOP_CRASHED, "hardware task switch, which is not supported");
}

/* INIT signals, which nobody of ours sends, and bus locks: the exit counter shows them. */
static enum verdict exit_counted(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    return VERDICT_RESUME;
}

/* The guest has kept events away for too long, with no exit in between, and has been interrupted. */
static enum verdict exit_notify(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    if ((info->qualification & NOTIFY_CONTEXT_INVALID) != 0)
        return exit_stop(info, STOP_CRASHED, "endless instruction, the state of which is lost");
    if ((info->qualification & NOTIFY_IRET_UNBLOCKED) != 0)
        vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) | BLOCKING_NMI);
    return VERDICT_RESUME;
}

static const struct {
    exit_fn *handle; /* NULL: must not happen; the partition stops */
    const char *name;
    unsigned flags;
} exit_rows[VCPU_EXIT_REASONS] = {
    [0] = {exit_exception, "exception or NMI", HAS_QUALIFICATION | HAS_VECTORING},
    [1] = {NULL, "external interrupt", 0},
    [2] = {exit_triple_fault, "triple fault", 0},
    [3] = {exit_counted, "INIT signal", 0},
    [4] = {NULL, "SIPI", 0},
    [5] = {NULL, "I/O SMI", 0},
    [6] = {NULL, "other SMI", 0},
    [7] = {exit_interrupt_window, "interrupt window", 0},
    [8] = {exit_nmi_window, "NMI window", 0},
    [9] = {exit_task_switch, "task switch", HAS_QUALIFICATION},
    [10] = {exit_cpuid, "CPUID", HAS_LENGTH},
    [11] = {exit_undefined, "GETSEC", 0},
    [12] = {NULL, "HLT", 0},
    [13] = {exit_cache, "INVD", HAS_LENGTH},
    [14] = {NULL, "INVLPG", 0},
    [15] = {exit_gp, "RDPMC", 0},
    [16] = {NULL, "RDTSC", 0},
    [17] = {exit_undefined, "RSM", 0},
    [18] = {exit_vmcall, "VMCALL", HAS_LENGTH},
    [19] = {exit_undefined, "VMCLEAR", 0},
    [20] = {exit_undefined, "VMLAUNCH", 0},
    [21] = {exit_undefined, "VMPTRLD", 0},
    [22] = {exit_undefined, "VMPTRST", 0},
    [23] = {exit_undefined, "VMREAD", 0},
    [24] = {exit_undefined, "VMRESUME", 0},
    [25] = {exit_undefined, "VMWRITE", 0},
    [26] = {exit_undefined, "VMXOFF", 0},
    [27] = {exit_undefined, "VMXON", 0},
    [28] = {exit_cr, "control-register access", HAS_LENGTH | HAS_QUALIFICATION},
    [29] = {NULL, "MOV DR", 0},
    [30] = {exit_io, "I/O instruction", HAS_LENGTH | HAS_QUALIFICATION},
    [31] = {exit_rdmsr, "RDMSR", HAS_LENGTH},
    [32] = {exit_wrmsr, "WRMSR", HAS_LENGTH},
    [33] = {NULL, "entry failure: guest state", HAS_QUALIFICATION},
    [34] = {NULL, "entry failure: MSR loading", HAS_QUALIFICATION},
    [36] = {exit_undefined, "MWAIT", 0},
    [37] = {exit_monitor_trap, "monitor trap flag", 0},
    [39] = {exit_undefined, "MONITOR", 0},
    [40] = {NULL, "PAUSE", 0},
    [41] = {NULL, "entry failure: machine check", HAS_QUALIFICATION},
    [43] = {NULL, "TPR below threshold", 0},
    [44] = {NULL, "APIC access", HAS_QUALIFICATION},
    [45] = {NULL, "virtualized EOI", HAS_QUALIFICATION},
    [46] = {NULL, "access to GDTR or IDTR", 0},
    [47] = {NULL, "access to LDTR or TR", 0},
    [48] = {exit_ept_violation, "EPT violation", HAS_QUALIFICATION | HAS_VECTORING},
    [49] = {NULL, "EPT misconfiguration", 0},
    [50] = {exit_undefined, "INVEPT", 0},
    [51] = {NULL, "RDTSCP", 0},
    [52] = {exit_preemption_timer, "preemption timer", 0},
    [53] = {exit_undefined, "INVVPID", 0},
    [54] = {exit_cache, "WBINVD", HAS_LENGTH},
    [55] = {exit_xsetbv, "XSETBV", HAS_LENGTH},
    [56] = {NULL, "APIC write", HAS_QUALIFICATION},
    [57] = {NULL, "RDRAND", 0},
    [58] = {NULL, "INVPCID", 0},
    [59] = {exit_undefined, "VMFUNC", 0},
    [60] = {exit_undefined, "ENCLS", 0},
    [61] = {NULL, "RDSEED", 0},
    [62] = {NULL, "page-modification log full", 0},
    [63] = {exit_gp, "XSAVES", 0},
    [64] = {exit_gp, "XRSTORS", 0},
    [65] = {exit_undefined, "PCONFIG", 0},
    [66] = {NULL, "SPP-related event", 0},
    [67] = {NULL, "UMWAIT", 0},
    [68] = {NULL, "TPAUSE", 0},
    [69] = {exit_undefined, "LOADIWKEY", 0},
    [70] = {exit_undefined, "ENCLV", 0},
    [72] = {exit_gp, "ENQCMD PASID", 0},
    [73] = {exit_gp, "ENQCMDS PASID", 0},
    [74] = {exit_counted, "bus lock", HAS_VECTORING},
    [75] = {exit_notify, "notify", HAS_QUALIFICATION | HAS_VECTORING},
    [76] = {exit_undefined, "SEAMCALL", 0},
    [77] = {exit_undefined, "TDCALL", 0},
    [78] = {exit_undefined, "RDMSRLIST", 0},
    [79] = {exit_undefined, "WRMSRLIST", 0},
    [80] = {exit_undefined, "URDMSR", 0},
    [81] = {exit_undefined, "UWRMSR", 0},
    [84] = {exit_undefined, "RDMSR with an immediate", 0}, /* no control for these two: hidden */
    [85] = {exit_undefined, "WRMSRNS with an immediate", 0},
};

const char *exit_reason_name(uint32_t reason) {
    return reason < VCPU_EXIT_REASONS && exit_rows[reason].name != NULL ? exit_rows[reason].name : "?";
}

static enum verdict handle(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    if (info->reason >= VCPU_EXIT_REASONS || exit_rows[info->reason].handle == NULL)
        return exit_stop(info, STOP_CRASHED, "an exit that must not happen");
    unsigned flags = exit_rows[info->reason].flags;
    if ((flags & HAS_LENGTH) != 0)
        info->length = vmcs_read(VMCS_EXIT_LENGTH);
    if ((flags & HAS_QUALIFICATION) != 0)
        info->qualification = vmcs_read(VMCS_QUALIFICATION);
    enum verdict verdict = exit_rows[info->reason].handle(v, regs, info);
    return (flags & HAS_VECTORING) != 0 ? event_settle(v, info, verdict) : verdict;
}

void vmx_exit(struct guest_regs *regs);
void vmx_entry_failed(void);

/* From vmx_exit.S, on the stack top of this CPU; goes back there to enter the guest. */
void vmx_exit(struct guest_regs *regs) {
    struct vcpu *v = this_cpu.vcpu;
    uint32_t raw = vmcs_read(VMCS_EXIT_REASON);
    struct exit_info info = {.reason = raw & REASON_BASIC};
    enum verdict verdict;

    v->exits_total++;
    v->exits[info.reason < VCPU_EXIT_REASONS ? info.reason : VCPU_EXIT_REASONS - 1]++;
    if ((raw & BUS_LOCK) != 0 && info.reason != REASON_BUS_LOCK)
        v->exits[REASON_BUS_LOCK]++; /* another exit was due as well */
    if ((raw & ENTRY_FAILURE) != 0) {
        info.qualification = vmcs_read(VMCS_QUALIFICATION);
        verdict = exit_stop(&info, STOP_CRASHED, "VM entry failed");
    } else {
        verdict = handle(v, regs, &info);
    }

    switch (verdict) {
    case VERDICT_NEXT:
        event_advance(info.length);
        break;
    case VERDICT_INJECT:
        event_inject(info.vector, info.has_error, info.error);
        break;
    case VERDICT_RESUME:
        break;
    case VERDICT_STOP:
        dump_guest(v, regs, &info);
        vcpu_stop(v, info.cause);
    }
    vmcs_audit();
}

/* VMLAUNCH or VMRESUME fell through: the VMCS is wrong in controls or host state, which no guest
 * can cause. */
void vmx_entry_failed(void) {
    const char *error = vmx_error_name(vmcs_read(VMCS_INSTRUCTION_ERROR));
    char rule[LOG_LINE_MAX];

    dump_broken_rule(rule);
    panic_at(NULL, "%s: %s", error, rule);
}
