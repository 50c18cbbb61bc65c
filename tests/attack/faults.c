/* SPDX-License-Identifier: Apache-2.0 */
/* Faults of ours and of the machine, each as near to the real thing as software can come. */
#include "arch/x86/cpu.h"
#include "arch/x86/memory.h"
#include "arch/x86/smp.h"
#include "arch/x86/vcpu.h"
#include "arch/x86/vmcs.h"
#include "core/host.h"
#include "core/log.h"
#include "core/machine_check.h"
#include "tests/attack/attack.h"

#define NO_FIELD    0x4403
#define SOME_VECTOR 48
#define CPU_BITS    0xffu /* of an argument that names a core */

/* The argument of a machine check is its bank's status, but for these bits. */
#define MCG_BITS 3u /* of IA32_MCG_STATUS: MCG_RIPV, MCG_EIPV */
#define SER_BIT  4u /* IA32_MCG_CAP has MCG_SER */
#define LOW_BITS 0xfffu

enum { NMI_GOES_ON, NMI_OVERFLOWS, NMI_HANGS };

static struct {
    bool on;
    uint64_t cap, status, bank;
} checks[MAX_CPUS];
static uint64_t checked, panicking; /* masks of cores that are to do that when they look at their kicks */
static unsigned meeting;            /* of those that panic */
static unsigned in_nmi[MAX_CPUS];

bool __real_trap_read_msr(uint32_t index, uint64_t *value);
bool __wrap_trap_read_msr(uint32_t index, uint64_t *value);
void __real_vcpu_kicked(void);
void __wrap_vcpu_kicked(void);
void __real_smp_stop_if_told(void);
void __wrap_smp_stop_if_told(void);

/* ---- Machine checks ---- */
bool __wrap_trap_read_msr(uint32_t index, uint64_t *value) {
    const uint64_t *from = index == IA32_MCG_CAP      ? &checks[this_cpu.index].cap
                           : index == IA32_MCG_STATUS ? &checks[this_cpu.index].status
                           : index == IA32_MC0_STATUS ? &checks[this_cpu.index].bank
                                                      : NULL;
    if (from == NULL || !checks[this_cpu.index].on)
        return __real_trap_read_msr(index, value);
    *value = *from;
    return true;
}

static void set_check(unsigned cpu, uint64_t argument) {
    checks[cpu].on = true;
    checks[cpu].cap = 1 | ((argument & SER_BIT) != 0 ? MCG_SER : 0);
    checks[cpu].status = argument & MCG_BITS;
    checks[cpu].bank = argument & ~(uint64_t)LOW_BITS;
}

rarely static void check_in_root(void) {
    __asm__ volatile("int $18" : : : "memory");
    checks[this_cpu.index].on = false;
    log_line("core %u goes on", this_cpu.index);
}

/* As the exit, whose VMCALL runs again where the guest goes on: then it is over. */
static struct verdict check_guest(struct vcpu *v, uint64_t argument) {
    if (checks[v->cpu].on) {
        checks[v->cpu].on = false;
        return attack_answer(0);
    }
    set_check(v->cpu, argument);
    struct verdict verdict = exit_machine_check(v, vcpu_regs());
    checks[v->cpu].on = verdict.kind == KIND_RESUME;
    return verdict;
}

static struct verdict check_root(struct vcpu *v, uint64_t argument) {
    set_check(v->cpu, argument);
    check_in_root();
    return attack_answer(0);
}

/* All cores get it; this one's guest has met the error. */
static struct verdict check_all(struct vcpu *v, uint64_t argument) {
    for (unsigned cpu = 0; !checks[v->cpu].on && memory_map.cpus[cpu].frames.v != 0; cpu++) {
        if (cpu == v->cpu)
            continue;
        set_check(cpu, 1);
        __atomic_fetch_or(&checked, BIT(cpu), __ATOMIC_RELEASE);
        smp_kick(cpu);
    }
    return check_guest(v, argument);
}

/* ---- Other cores ---- */
static bool take(uint64_t *mask) {
    return (__atomic_fetch_and(mask, ~BIT(this_cpu.index), __ATOMIC_ACQ_REL) & BIT(this_cpu.index)) != 0;
}

static void panic_together(void) {
    __atomic_fetch_add(&meeting, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&meeting, __ATOMIC_ACQUIRE) < 2)
        cpu_pause();
    ASSERT(meeting == 0);
}

void __wrap_vcpu_kicked(void) {
    if (take(&checked))
        check_in_root();
    if (take(&panicking))
        panic_together();
    __real_vcpu_kicked();
}

/* In the NMI handler. */
void __wrap_smp_stop_if_told(void) {
    while (in_nmi[this_cpu.index] == NMI_HANGS)
        cpu_pause();
    if (in_nmi[this_cpu.index] == NMI_OVERFLOWS) {
        in_nmi[this_cpu.index] = NMI_GOES_ON;
        attack_overflow(0);
    }
    __real_smp_stop_if_told();
}

static struct verdict both(struct vcpu *v, uint64_t argument) {
    __atomic_fetch_or(&panicking, BIT(argument), __ATOMIC_RELEASE);
    smp_kick((unsigned)argument);
    panic_together();
    return attack_answer(0);
}

static struct verdict silence(struct vcpu *v, uint64_t argument) {
    in_nmi[argument] = NMI_HANGS;
    smp_kick((unsigned)argument);
    return attack_answer(0);
}

/* So many NMIs, at all distances from each other. */
static struct verdict nmi_storm(struct vcpu *v, uint64_t argument) {
    for (uint64_t left = argument >> 8; left > 0; left--) {
        smp_kick(argument & CPU_BITS);
        for (uint64_t wait = left % 251; wait > 0; wait--)
            cpu_pause();
    }
    return attack_answer(0);
}

/* ---- Faults of our own ---- */
static struct verdict nmi_stack(struct vcpu *v, uint64_t argument) {
    in_nmi[v->cpu] = NMI_OVERFLOWS;
    cpu_int_nmi();
    return attack_answer(0);
}

static struct verdict assertion(struct vcpu *v, uint64_t argument) {
    ASSERT(argument == ~UINT64_C(0));
    return attack_answer(0);
}

static struct verdict again(struct vcpu *v, uint64_t argument) {
    attack_panic_too((unsigned)argument);
    __builtin_trap();
}

static struct verdict vmread(struct vcpu *v, uint64_t argument) {
    return attack_answer(vmcs_read_raw(NO_FIELD));
}

static struct verdict interrupt(struct vcpu *v, uint64_t argument) {
    __asm__ volatile("int %0" : : "i"(SOME_VECTOR) : "memory");
    return attack_answer(0);
}

/* A VMRESUME where only VMLAUNCH is right. */
static struct verdict resume(struct vcpu *v, uint64_t argument) {
    vmx_clear(this_cpu.vmcs);
    vmx_load(this_cpu.vmcs);
    return attack_answer(0);
}

const struct attack fault_attacks[] = {
    {"mcguest", check_guest},
    {"mcroot", check_root},
    {"mcall", check_all},
    {"both", both},
    {"silence", silence},
    {"storm", nmi_storm},
    {"nmistack", nmi_stack},
    {"assert", assertion},
    {"again", again},
    {"vmread", vmread},
    {"vector", interrupt},
    {"resume", resume},
    {"", NULL},
};
