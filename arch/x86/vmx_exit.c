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

#define HAS_LENGTH        1u /* VM-exit instruction length is valid: VERDICT_NEXT may be returned */
#define HAS_QUALIFICATION 2u
#define HAS_VECTORING     4u /* may come in the middle of delivering an event */

#define REASON_BASIC      0xffffu
#define REASON_BUS_LOCK   74
#define BUS_LOCK          BIT(26)
#define ENTRY_FAILURE     BIT(31)

static enum verdict exit_undefined(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    return exit_inject_ud(info);
}

static enum verdict exit_gp(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    return exit_inject_gp(info);
}

/* INIT signals, which nobody of ours sends, and bus locks: the exit counter shows them. */
static enum verdict exit_counted(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    return VERDICT_RESUME;
}

static const struct {
    exit_fn *handle; /* NULL: the partition stops, */
    const char *name;
    unsigned flags;
    const char *why; /* for this reason; NULL: because it must not happen */
} exit_rows[VCPU_EXIT_REASONS] = {
    [0] = {exit_exception, "exception or NMI", HAS_QUALIFICATION | HAS_VECTORING, NULL},
    [1] = {NULL, "external interrupt", 0, NULL},
    [2] = {NULL, "triple fault", 0, "triple fault"},
    [3] = {exit_counted, "INIT signal", 0, NULL},
    [4] = {NULL, "SIPI", 0, NULL},
    [5] = {NULL, "I/O SMI", 0, NULL},
    [6] = {NULL, "other SMI", 0, NULL},
    [7] = {exit_interrupt_window, "interrupt window", 0, NULL},
    [8] = {exit_nmi_window, "NMI window", 0, NULL},
    [9] = {NULL, "task switch", HAS_QUALIFICATION, "hardware task switch, which is not supported"},
    [10] = {exit_cpuid, "CPUID", HAS_LENGTH, NULL},
    [11] = {exit_undefined, "GETSEC", 0, NULL},
    [12] = {NULL, "HLT", 0, NULL},
    [13] = {exit_cache, "INVD", HAS_LENGTH, NULL},
    [14] = {NULL, "INVLPG", 0, NULL},
    [15] = {exit_gp, "RDPMC", 0, NULL},
    [16] = {NULL, "RDTSC", 0, NULL},
    [17] = {exit_undefined, "RSM", 0, NULL},
    [18] = {exit_vmcall, "VMCALL", HAS_LENGTH, NULL},
    [19] = {exit_undefined, "VMCLEAR", 0, NULL},
    [20] = {exit_undefined, "VMLAUNCH", 0, NULL},
    [21] = {exit_undefined, "VMPTRLD", 0, NULL},
    [22] = {exit_undefined, "VMPTRST", 0, NULL},
    [23] = {exit_undefined, "VMREAD", 0, NULL},
    [24] = {exit_undefined, "VMRESUME", 0, NULL},
    [25] = {exit_undefined, "VMWRITE", 0, NULL},
    [26] = {exit_undefined, "VMXOFF", 0, NULL},
    [27] = {exit_undefined, "VMXON", 0, NULL},
    [28] = {exit_cr, "control-register access", HAS_LENGTH | HAS_QUALIFICATION, NULL},
    [29] = {NULL, "MOV DR", 0, NULL},
    [30] = {exit_io, "I/O instruction", HAS_LENGTH | HAS_QUALIFICATION, NULL},
    [31] = {exit_rdmsr, "RDMSR", HAS_LENGTH, NULL},
    [32] = {exit_wrmsr, "WRMSR", HAS_LENGTH, NULL},
    [33] = {NULL, "entry failure: guest state", HAS_QUALIFICATION, NULL},
    [34] = {NULL, "entry failure: MSR loading", HAS_QUALIFICATION, NULL},
    [36] = {exit_undefined, "MWAIT", 0, NULL},
    [37] = {exit_monitor_trap, "monitor trap flag", 0, NULL},
    [39] = {exit_undefined, "MONITOR", 0, NULL},
    [40] = {NULL, "PAUSE", 0, NULL},
    [41] = {NULL, "entry failure: machine check", HAS_QUALIFICATION, NULL},
    [43] = {NULL, "TPR below threshold", 0, NULL},
    [44] = {NULL, "APIC access", HAS_QUALIFICATION, NULL},
    [45] = {NULL, "virtualized EOI", HAS_QUALIFICATION, NULL},
    [46] = {NULL, "access to GDTR or IDTR", 0, NULL},
    [47] = {NULL, "access to LDTR or TR", 0, NULL},
    [48] = {exit_ept_violation, "EPT violation", HAS_QUALIFICATION, NULL},
    [49] = {NULL, "EPT misconfiguration", 0, NULL},
    [50] = {exit_undefined, "INVEPT", 0, NULL},
    [51] = {NULL, "RDTSCP", 0, NULL},
    [52] = {exit_preemption_timer, "preemption timer", 0, NULL},
    [53] = {exit_undefined, "INVVPID", 0, NULL},
    [54] = {exit_cache, "WBINVD", HAS_LENGTH, NULL},
    [55] = {exit_xsetbv, "XSETBV", HAS_LENGTH, NULL},
    [56] = {NULL, "APIC write", HAS_QUALIFICATION, NULL},
    [57] = {NULL, "RDRAND", 0, NULL},
    [58] = {NULL, "INVPCID", 0, NULL},
    [59] = {exit_undefined, "VMFUNC", 0, NULL},
    [60] = {exit_undefined, "ENCLS", 0, NULL},
    [61] = {NULL, "RDSEED", 0, NULL},
    [62] = {NULL, "page-modification log full", 0, NULL},
    [63] = {exit_gp, "XSAVES", 0, NULL},
    [64] = {exit_gp, "XRSTORS", 0, NULL},
    [65] = {exit_undefined, "PCONFIG", 0, NULL},
    [66] = {NULL, "SPP-related event", 0, NULL},
    [67] = {NULL, "UMWAIT", 0, NULL},
    [68] = {NULL, "TPAUSE", 0, NULL},
    [69] = {exit_undefined, "LOADIWKEY", 0, NULL},
    [70] = {exit_undefined, "ENCLV", 0, NULL},
    [72] = {exit_gp, "ENQCMD PASID", 0, NULL},
    [73] = {exit_gp, "ENQCMDS PASID", 0, NULL},
    [74] = {exit_counted, "bus lock", HAS_VECTORING, NULL},
    [75] = {exit_notify, "notify", HAS_QUALIFICATION | HAS_VECTORING, NULL},
    [76] = {exit_undefined, "SEAMCALL", 0, NULL},
    [77] = {exit_undefined, "TDCALL", 0, NULL},
    [78] = {exit_undefined, "RDMSRLIST", 0, NULL},
    [79] = {exit_undefined, "WRMSRLIST", 0, NULL},
    [80] = {exit_undefined, "URDMSR", 0, NULL},
    [81] = {exit_undefined, "UWRMSR", 0, NULL},
    [84] = {exit_undefined, "RDMSR with an immediate", 0, NULL}, /* no control for these two: hidden */
    [85] = {exit_undefined, "WRMSRNS with an immediate", 0, NULL},
};

const char *exit_reason_name(uint32_t reason) {
    return reason < VCPU_EXIT_REASONS && exit_rows[reason].name != NULL ? exit_rows[reason].name : "?";
}

static enum verdict handle(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    if (info->reason >= VCPU_EXIT_REASONS)
        return exit_stop(info, STOP_CRASHED, NULL);
    unsigned flags = exit_rows[info->reason].flags;
    if ((flags & HAS_LENGTH) != 0)
        info->length = vmcs_read(VMCS_EXIT_LENGTH);
    if ((flags & HAS_QUALIFICATION) != 0)
        info->qualification = vmcs_read(VMCS_QUALIFICATION);
    if (exit_rows[info->reason].handle == NULL)
        return exit_stop(info, STOP_CRASHED, exit_rows[info->reason].why);
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
    this_cpu.launched = 1; /* only now: an NMI just before VMLAUNCH goes back to vmx_enter */
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
    static const char *const names[] = {
        /* "VM-Instruction Error Numbers" */
        [4] = "VMLAUNCH with non-clear VMCS",
        [5] = "VMRESUME with non-launched VMCS",
        [7] = "VM entry with invalid control fields",
        [8] = "VM entry with invalid host-state fields",
        [26] = "VM entry with events blocked by MOV SS",
    };
    uint32_t error = vmcs_read(VMCS_INSTRUCTION_ERROR);
    char rule[LOG_LINE_MAX];
    dump_broken_rule(rule);
    panic_at(NULL, "%s: %s", error < ARRAY_SIZE(names) && names[error] != NULL ? names[error] : "VM entry",
             rule);
}
