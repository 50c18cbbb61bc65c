/* SPDX-License-Identifier: Apache-2.0 */
/* The guest on this core: the mode it is in, and memory operands of the instructions we carry out for it: its
 * segments and its page tables on the way there, and RAM, a device or nothing at the end. Faults are the
 * guest's own. */
#pragma once

#include "arch/x86/vmcs.h"
#include "arch/x86/vmx_exit.h"
#include "core/insn.h"

static inline unsigned guest_cpl(void) {
    return vmcs_read(VMCS_GUEST_SS_RIGHTS) >> 5 & 3; /* SS.DPL */
}

bool guest_cs_long(void);
enum insn_mode guest_insn_mode(void);

/* Bytes at RIP, up to `bytes`; returns how many could be read. */
size_t guest_fetch(const struct vcpu *v, void *to, size_t bytes);

struct operand {
    unsigned pieces; /* 2 where it crosses a page */
    struct {
        gpa_t at;
        unsigned bytes;
    } piece[2];
};

/* Base of a segment as the present mode has it. */
uint64_t operand_segment_base(enum insn_segment s);

/* Find an operand of up to 8 bytes. VERDICT_NEXT, or what the exit has to end with. The first checks all
 * that the processor checks; the second is for one that it has let through, to `at`: what crosses to or from
 * another page is looked up again, there it may not have looked. */
must_check struct verdict operand_find(const struct vcpu *v, enum insn_segment s, uint64_t offset,
                                       unsigned bytes, bool write, struct operand *out);
must_check struct verdict operand_passed(const struct vcpu *v, gpa_t at, uint64_t linear, unsigned bytes,
                                         bool write, struct operand *out);

uint64_t operand_read(struct vcpu *v, const struct operand *o);
void operand_write(struct vcpu *v, const struct operand *o, uint64_t value);
