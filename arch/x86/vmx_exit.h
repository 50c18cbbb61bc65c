/* SPDX-License-Identifier: Apache-2.0 */
/* The contract between the dispatcher and the handlers: a handler looks, asks core/ and returns a
 * verdict; the dispatcher alone acts on it. */
#pragma once

#include "core/partition.h"
#include "core/types.h"

enum verdict {
    VERDICT_RESUME, /* run the same instruction again */
    VERDICT_NEXT,   /* it is done: advance by exit_info.length */
    VERDICT_INJECT, /* deliver exit_info.vector */
    VERDICT_STOP,   /* the partition cannot go on; exit_info.why says why */
};

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

struct exit_info {
    uint32_t reason;        /* "Basic Exit Reasons" */
    uint32_t length;        /* of the instruction; valid where the row says so or the handler set it */
    uint64_t qualification; /* likewise */
    uint8_t vector;         /* to inject */
    bool has_error;
    uint32_t error;
    const char *why; /* of VERDICT_STOP; NULL with STOP_CRASHED: the exit itself must not happen */
    enum stop_cause cause;
};

typedef enum verdict exit_fn(struct vcpu *v, struct guest_regs *regs, struct exit_info *info);

static inline enum verdict exit_inject_ud(struct exit_info *info) {
    info->vector = VECTOR_UD;
    return VERDICT_INJECT;
}

static inline enum verdict exit_inject_fault(struct exit_info *info, uint8_t vector, uint32_t error) {
    info->vector = vector;
    info->has_error = true;
    info->error = error;
    return VERDICT_INJECT;
}

static inline enum verdict exit_inject_gp(struct exit_info *info) {
    return exit_inject_fault(info, VECTOR_GP, 0);
}

static inline enum verdict exit_stop(struct exit_info *info, enum stop_cause cause, const char *why) {
    info->cause = cause;
    info->why = why;
    return VERDICT_STOP;
}

/* exit_cpu.c */
exit_fn exit_cpuid, exit_rdmsr, exit_wrmsr, exit_cr, exit_xsetbv, exit_cache;
/* exit_hypercall.c */
exit_fn exit_vmcall, exit_preemption_timer;
/* event.c */
exit_fn exit_exception, exit_interrupt_window, exit_nmi_window, exit_monitor_trap, exit_notify;
/* exit_io.c, exit_string.c: one element of an INS or OUTS at `port`, or of another string move */
exit_fn exit_io;
uint32_t port_read(struct vcpu *v, uint16_t port, unsigned bytes);
void port_write(struct vcpu *v, uint16_t port, unsigned bytes, uint32_t value);
struct insn;
enum verdict exit_string(struct vcpu *v, struct guest_regs *regs, struct exit_info *info,
                         const struct insn *i, uint16_t port);
/* exit_mmio.c */
exit_fn exit_ept_violation;

/* Name of a basic exit reason; "?" if it has none here. */
const char *exit_reason_name(uint32_t reason);
