/* SPDX-License-Identifier: Apache-2.0 */
/* The contract between the dispatcher and the handlers: a handler looks, asks core/ and returns a
 * verdict; the dispatcher alone acts on it. */
#pragma once

#include "arch/x86/percpu.h"
#include "core/machine_check.h"
#include "core/partition.h"
#include "core/types.h"

struct verdict { /* one register: returned by value */
    enum {
        KIND_RESUME,   /* run the same instruction again */
        KIND_NEXT,     /* it is done: advance by what the CPU says is its length. Only for reasons with which
                          it says so ("Information for VM Exits Due to Instruction Execution") */
        KIND_EMULATED, /* it is done: advance by `length`, 0 for an iteration of a string instruction */
        KIND_INJECT,   /* deliver `vector`, a hardware exception */
        KIND_STOP,     /* the partition cannot go on: `cause`, and this_cpu.stop_why */
    } __attribute__((packed)) kind;
    uint8_t vector;
    bool has_error;
    uint8_t length;
    union {
        uint32_t error;
        enum stop_cause cause;
    };
};
_Static_assert(sizeof(struct verdict) == 8, "one register");

#define VERDICT_RESUME ((struct verdict){.kind = KIND_RESUME})
#define VERDICT_NEXT   ((struct verdict){.kind = KIND_NEXT})

/* Architectural vectors we inject. */
enum {
    VECTOR_DB = 1,
    VECTOR_NMI = 2,
    VECTOR_UD = 6,
    VECTOR_DF = 8,
    VECTOR_SS = 12,
    VECTOR_GP = 13,
    VECTOR_PF = 14,
    VECTOR_AC = 17,
    VECTOR_MC = 18
};

typedef struct verdict exit_fn(struct vcpu *v, struct guest_regs *regs);

static inline struct verdict exit_emulated(uint8_t length) {
    return (struct verdict){.kind = KIND_EMULATED, .length = length};
}

static inline struct verdict exit_inject(uint8_t vector) {
    return (struct verdict){.kind = KIND_INJECT, .vector = vector};
}

static inline struct verdict exit_inject_fault(uint8_t vector, uint32_t error) {
    return (struct verdict){.kind = KIND_INJECT, .vector = vector, .has_error = true, .error = error};
}

static inline struct verdict exit_inject_gp(void) {
    return exit_inject_fault(VECTOR_GP, 0);
}

/* why: for the record; NULL with STOP_CRASHED: the exit itself must not happen. */
static inline struct verdict exit_stop(enum stop_cause cause, const char *why) {
    this_cpu.stop_why = why;
    return (struct verdict){.kind = KIND_STOP, .cause = cause};
}

/* exit_cpu.c */
exit_fn exit_cpuid, exit_rdmsr, exit_wrmsr, exit_cr, exit_xsetbv, exit_cache;
/* exit_apic.c: the guest's accesses to its local APIC. The ICR of x2APIC mode, if it says just "this vector
 * to those vCPUs, all in that mode", else false; IA32_APIC_BASE or an x2APIC register; a register of the
 * xAPIC page. */
must_check bool apic_plain_ipi(struct vcpu *v, uint64_t icr);
must_check enum msr_verdict apic_msr_read(struct vcpu *v, uint32_t index, uint64_t *value);
must_check enum msr_verdict apic_msr_write(struct vcpu *v, uint32_t index, uint64_t value);
uint32_t apic_page_read(struct vcpu *v, unsigned offset);
void apic_page_write(struct vcpu *v, unsigned offset, uint32_t value);
/* exit_hypercall.c */
exit_fn exit_vmcall, exit_preemption_timer;

/* event.c: mechanics of the VMCS; what two events make of each other is core/event's. Deliver a hardware
 * exception at the next entry; exit as soon as the guest can take an interrupt or an NMI, or after each
 * instruction, or no longer. `control`: PRIMARY_INTERRUPT_WINDOW, PRIMARY_NMI_WINDOW or PRIMARY_MTF. */
#define BLOCKING_STI_MOVSS 3u /* of the interruptibility state */
void event_inject(uint8_t vector, bool has_error, uint32_t error);
void event_exit_when(uint32_t control, bool on);
exit_fn exit_exception, exit_interrupt_window, exit_nmi_window, exit_monitor_trap, exit_bus_lock, exit_notify;
exit_fn exit_machine_check;

/* In a machine check: log and clear what the banks hold, then the mark that one is being handled, with which
 * the next would shut the machine down. */
enum machine_check event_machine_check(void);

/* exit_io.c */
exit_fn exit_io;
uint32_t port_read(struct vcpu *v, uint16_t port, unsigned bytes);
void port_write(struct vcpu *v, uint16_t port, unsigned bytes, uint32_t value);
/* exit_mmio.c; one element of an INS or OUTS at `port`, or of another string move */
exit_fn exit_ept_violation;
struct insn;
struct verdict exit_string(struct vcpu *v, struct guest_regs *regs, const struct insn *i, uint8_t length,
                           uint16_t port);

/* Name of a basic exit reason; "?" if it has none here. */
const char *exit_reason_name(uint32_t reason);

/* dump.c: log for people to read why a partition stops, and unless the guest asked for it: the exit,
 * registers, control registers, segments and the bytes at RIP. */
void dump_guest(const struct vcpu *v, const struct guest_regs *regs, enum stop_cause cause, const char *why);
