/* SPDX-License-Identifier: Apache-2.0 */
/* The dispatcher: one table, one place that acts on a verdict. What each exit means is in exit_*.c
 * and in core/. */
#include "arch/x86/vmx_exit.h"

#include "arch/x86/guest.h"
#include "arch/x86/percpu.h"
#include "arch/x86/trap.h"
#include "arch/x86/vcpu.h"
#include "arch/x86/vmcs.h"
#include "boot/layout.h"
#include "core/log.h"

_Static_assert(sizeof(struct guest_regs) == GUEST_REGS_BYTES, "vmx_exit.S");

#define REASON_BASIC    0xffffu
#define REASON_EPT_BAD  49
#define REASON_BUS_LOCK 74
#define BUS_LOCK        BIT(26)

#define RFLAGS_TF       BIT(8)
#define RFLAGS_RF       BIT(16)
#define PENDING_BS      BIT(14)
#define DEBUGCTL_BTF    BIT(1)

static struct verdict exit_undefined(struct vcpu *v, struct guest_regs *regs) {
    return exit_inject(VECTOR_UD);
}

static struct verdict exit_gp(struct vcpu *v, struct guest_regs *regs) {
    return exit_inject_gp();
}

/* INIT signals, which nobody of ours sends: the exit counter shows them. */
static struct verdict exit_counted(struct vcpu *v, struct guest_regs *regs) {
    return VERDICT_RESUME;
}

static exit_fn exit_unhandled;

static const struct {
    exit_fn *handle;
    const char *name; /* of those that may stop the partition */
    const char *why;  /* of exit_unhandled, which does; NULL: because it must not happen */
} exit_rows[VCPU_EXIT_REASONS] = {
    [0] = {exit_exception, "exception or NMI", NULL},
    [1] = {exit_unhandled, "external interrupt", NULL},
    [2] = {exit_unhandled, "triple fault", "triple fault"},
    [3] = {exit_counted, "INIT signal", NULL},
    [4 ... 6] = {exit_unhandled, "SIPI or SMI", NULL},
    [7] = {exit_interrupt_window, "interrupt window", NULL},
    [8] = {exit_nmi_window, "NMI window", NULL},
    [9] = {exit_unhandled, "task switch", "hardware task switch, which is not supported"},
    [10] = {exit_cpuid, "CPUID", NULL},
    [11] = {exit_undefined, "GETSEC", NULL},
    [12] = {exit_unhandled, "HLT", NULL},
    [13] = {exit_cache, "INVD", NULL},
    [14] = {exit_unhandled, "INVLPG", NULL},
    [15] = {exit_gp, "RDPMC", NULL},
    [16] = {exit_unhandled, "RDTSC", NULL},
    [17] = {exit_undefined, "RSM", NULL},
    [18] = {exit_vmcall, "VMCALL", NULL},
    [19 ... 27] = {exit_undefined, "VMCLEAR to VMXON", NULL},
    [28] = {exit_cr, "control-register access", NULL},
    [29] = {exit_unhandled, "MOV DR", NULL},
    [30] = {exit_io, "I/O instruction", NULL},
    [31] = {exit_rdmsr, "RDMSR", NULL},
    [32] = {exit_wrmsr, "WRMSR", NULL},
    [33 ... 34] = {exit_unhandled, "entry failure: guest state", "VM entry failed"},
    [35] = {exit_unhandled, "?", NULL},
    [36] = {exit_undefined, "MWAIT", NULL},
    [37] = {exit_monitor_trap, "monitor trap flag", NULL},
    [38] = {exit_unhandled, "?", NULL},
    [39] = {exit_undefined, "MONITOR", NULL},
    [40] = {exit_unhandled, "PAUSE", NULL},
    [41] = {exit_machine_check, "entry failure: machine check", NULL},
    [42 ... 45] = {exit_unhandled, "APIC virtualization", NULL},
    [46 ... 47] = {exit_unhandled, "access to GDTR, IDTR, LDTR or TR", NULL},
    [48] = {exit_ept_violation, "EPT violation", NULL},
    [49] = {exit_unhandled, "EPT misconfiguration", NULL},
    [50] = {exit_undefined, "INVEPT", NULL},
    [51] = {exit_unhandled, "RDTSCP", NULL},
    [52] = {exit_preemption_timer, "preemption timer", NULL},
    [53] = {exit_undefined, "INVVPID", NULL},
    [54] = {exit_cache, "WBINVD", NULL},
    [55] = {exit_xsetbv, "XSETBV", NULL},
    [56 ... 58] = {exit_unhandled, "APIC write, RDRAND, INVPCID", NULL},
    [59 ... 60] = {exit_undefined, "VMFUNC, ENCLS", NULL},
    [61 ... 62] = {exit_unhandled, "RDSEED, page-modification log full", NULL},
    [63 ... 64] = {exit_gp, "XSAVES, XRSTORS", NULL},
    [65] = {exit_undefined, "PCONFIG", NULL},
    [66 ... 68] = {exit_unhandled, "SPP-related event, UMWAIT, TPAUSE", NULL},
    [69 ... 70] = {exit_undefined, "LOADIWKEY, ENCLV", NULL},
    [71] = {exit_unhandled, "?", NULL},
    [72 ... 73] = {exit_gp, "ENQCMD PASID, ENQCMDS PASID", NULL},
    [74] = {exit_bus_lock, "bus lock", NULL},
    [75] = {exit_notify, "notify", NULL},
    [76 ... 81] = {exit_undefined, "SEAMCALL, TDCALL, RDMSRLIST, WRMSRLIST, URDMSR, UWRMSR", NULL},
    [82 ... 83] = {exit_unhandled, "?", NULL},
    [84 ... 85] = {exit_undefined, "RDMSR, WRMSRNS with an immediate", NULL}, /* no control: hidden */
    [86] = {exit_unhandled, "?", NULL},
};

const char *exit_reason_name(uint32_t reason) {
    return reason < VCPU_EXIT_REASONS ? exit_rows[reason].name : "?";
}

static struct verdict exit_unhandled(struct vcpu *v, struct guest_regs *regs) {
    uint32_t reason = vmcs_read(VMCS_EXIT_REASON) & REASON_BASIC;
    /* A restart would not mend a damaged EPT, and who knows where else it leads. */
    return exit_stop(reason == REASON_EPT_BAD ? STOP_BROKEN : STOP_CRASHED,
                     reason < VCPU_EXIT_REASONS ? exit_rows[reason].why : NULL);
}

/* What stands in the upper half of the reason, or is no reason that is known. */
rarely static uint32_t plain_reason(struct vcpu *v, uint32_t raw) {
    uint32_t reason = raw & REASON_BASIC;
    if ((raw & BUS_LOCK) != 0 && reason != REASON_BUS_LOCK)
        v->exits[REASON_BUS_LOCK]++; /* another exit was due as well */
    return reason < VCPU_EXIT_REASONS ? reason : VCPU_EXIT_REASONS - 1;
}

rarely static void wrap_rip(void) {
    if (!guest_cs_long())
        vmcs_write(VMCS_GUEST_RIP, (uint32_t)vmcs_read(VMCS_GUEST_RIP));
}

rarely static void end_instruction_flags(uint64_t rflags, bool whole) {
    if ((rflags & RFLAGS_RF) != 0 && whole) /* between iterations it stays: no breakpoint hits again */
        vmcs_write(VMCS_GUEST_RFLAGS, rflags & ~RFLAGS_RF);
    if ((rflags & RFLAGS_TF) != 0 && (vmcs_read(VMCS_GUEST_DEBUGCTL) & DEBUGCTL_BTF) == 0)
        vmcs_write(VMCS_GUEST_PENDING_DEBUG, vmcs_read(VMCS_GUEST_PENDING_DEBUG) | PENDING_BS);
}

/* The instruction (or not the whole of it: an iteration of a string instruction, length 0) is done: RIP
 * behind it, the STI and MOV SS shadow and RF gone, and a #DB pending if the guest single-steps. */
static inline void advance(uint64_t length, bool whole) {
    uint64_t rip = vmcs_read_sure(VMCS_GUEST_RIP.encoding), next = rip + length;
    vmcs_write_sure(VMCS_GUEST_RIP.encoding, next);
    uint64_t blocking = vmcs_read_sure(VMCS_GUEST_INTERRUPTIBILITY.encoding);
    if ((blocking & BLOCKING_STI_MOVSS) != 0)
        vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, (uint32_t)blocking & ~BLOCKING_STI_MOVSS);
    if (((rip ^ next) & BIT(32)) != 0) /* only outside 64-bit mode may RIP pass 4 GiB, and there it wraps */
        wrap_rip();
    uint64_t rflags = vmcs_read_sure(VMCS_GUEST_RFLAGS.encoding);
    if ((rflags & (RFLAGS_RF | RFLAGS_TF)) != 0)
        end_instruction_flags(rflags, whole);
}

/* All but VERDICT_NEXT and VERDICT_RESUME. */
rarely static void act(struct verdict verdict) {
    if (verdict.kind == KIND_EMULATED) {
        advance(verdict.length, verdict.length != 0);
    } else if (verdict.kind == KIND_INJECT) {
        event_inject(verdict.vector, verdict.has_error, verdict.error);
    } else {
        dump_guest(this_cpu.vcpu, vcpu_regs(), verdict.cause, this_cpu.stop_why);
        vcpu_stop(this_cpu.vcpu, verdict.cause);
    }
}

void vmx_exit(struct vcpu *v);
void vmx_entry_failed(void);

/* From vmx_exit.S, on the stack top of this CPU; goes back there to enter the guest. What is here is paid at
 * every exit; `rarely` keeps the rest, and the registers it needs, out of the way. */
void vmx_exit(struct vcpu *v) {
    uint64_t reason = vmcs_read_raw(VMCS_EXIT_REASON.encoding); /* 64 bits wide: saves an extension */
    if (reason >= VCPU_EXIT_REASONS)
        reason = plain_reason(v, (uint32_t)reason);
    v->exits[reason]++;
    struct verdict verdict = exit_rows[reason].handle(v, vcpu_regs());
    if (verdict.kind == KIND_NEXT)
        advance(vmcs_read_sure(VMCS_EXIT_LENGTH.encoding), true);
    else if (verdict.kind != KIND_RESUME)
        act(verdict);
}

/* VMLAUNCH or VMRESUME fell through: the VMCS is wrong in controls or host state, which no guest can cause;
 * but it is that of this core alone, and a restart writes it anew. */
void vmx_entry_failed(void) {
    static const char *const names[] = {
        /* "VM-Instruction Error Numbers" */
        [4] = "VMLAUNCH with non-clear VMCS",
        [5] = "VMRESUME with non-launched VMCS",
        [7] = "VM entry with invalid control fields; build/debug/mullion.elf says which",
        [8] = "VM entry with invalid host-state fields; build/debug/mullion.elf says which",
        [26] = "VM entry with events blocked by MOV SS",
    };
    uint32_t error = vmcs_read(VMCS_INSTRUCTION_ERROR);
    act(exit_stop(STOP_CRASHED,
                  error < ARRAY_SIZE(names) && names[error] != NULL ? names[error] : "VM entry refused"));
}
