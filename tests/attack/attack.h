/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor that attacks itself: a partition's VMCALL (guests/attack.h) names what is to go wrong in
 * root mode on its core. Linked into build/attack alone, by --wrap around functions of arch/x86 (Makefile).
 */
#pragma once

#include "arch/x86/vmx_exit.h"

struct attack {
    char name[9];
    struct verdict (*run)(struct vcpu *v, uint64_t argument);
};

extern const struct attack memory_attacks[], fault_attacks[], flip_attacks[]; /* an empty name ends each */

/* What the guest finds in RAX, behind its VMCALL. */
static inline struct verdict attack_answer(uint64_t value) {
    ((struct guest_regs *)(PERCPU_STACK_TOP - GUEST_REGS_BYTES))->rax = value;
    return VERDICT_NEXT;
}

/* Run code(argument); true if it came to a panic, which is averted, and logged if `say_so`. */
bool attack_averted(void (*code)(uint64_t), uint64_t argument, bool say_so);

/* In the next panic of this core, that many faults on the way. */
void attack_panic_too(unsigned faults);

/* Of the stack that it is called on. */
void attack_overflow(uint64_t depth);
