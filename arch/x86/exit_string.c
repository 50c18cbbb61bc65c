/* SPDX-License-Identifier: Apache-2.0 */
/* String moves between memory, ports and RAX: one element an exit. With REP the instruction is run again
 * until rCX is 0, so that no guest keeps us for longer, and interrupts come between the elements as they
 * should. */
#include "arch/x86/guest.h"

#define RFLAGS_DF BIT(10)

static void add_to(uint64_t *reg, uint64_t delta, unsigned address_bytes) {
    *reg = insn_merge(*reg, *reg + delta, address_bytes);
}

/* INS and OUTS exit before their memory operand is looked at ("Relative Priority of Faults and VM Exits"),
 * so both operands are, before anything is moved: a port must not be read for nothing. */
struct verdict exit_string(struct vcpu *v, struct guest_regs *regs, const struct insn *i, uint8_t length,
                           uint16_t port) {
    unsigned bytes = i->mem_bytes, address = i->address_bytes;
    uint64_t step = (vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_DF) != 0 ? 0 - (uint64_t)bytes : bytes;
    bool loads = i->op == INSN_MOVS || i->op == INSN_LODS || i->op == INSN_OUTS;
    bool stores = i->op == INSN_MOVS || i->op == INSN_STOS || i->op == INSN_INS;
    struct verdict verdict = VERDICT_NEXT;
    uint64_t value = regs->rax;
    struct operand from, to;
    if (i->repeat && insn_cut(regs->rcx, address) == 0)
        return exit_emulated(length);
    if (loads)
        verdict = operand_find(v, i->segment, insn_cut(regs->rsi, address), bytes, false, &from);
    if (stores && verdict.kind == KIND_NEXT)
        verdict = operand_find(v, INSN_ES, insn_cut(regs->rdi, address), bytes, true, &to);
    if (verdict.kind != KIND_NEXT)
        return verdict;
    if (loads) {
        value = operand_read(v, &from);
        add_to(&regs->rsi, step, address);
    } else if (i->op == INSN_INS) {
        value = port_read(v, port, bytes);
    }
    if (stores) {
        operand_write(v, &to, value);
        add_to(&regs->rdi, step, address);
    } else if (i->op == INSN_OUTS) {
        port_write(v, port, bytes, (uint32_t)value);
    } else {
        regs->rax = insn_merge(regs->rax, value, bytes);
    }
    if (i->repeat) {
        add_to(&regs->rcx, UINT64_MAX, address);
        if (insn_cut(regs->rcx, address) != 0)
            length = 0;
    }
    return exit_emulated(length);
}
