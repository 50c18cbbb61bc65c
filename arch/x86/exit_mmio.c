/* SPDX-License-Identifier: Apache-2.0 */
/* EPT violations: the instruction is decoded and executed by core/insn, what is behind its operand is
 * guest.c's. And string moves between memory, ports and RAX: one element an exit. With REP the instruction is
 * run again until rCX is 0, so that no guest keeps us for longer, and interrupts come between the elements as
 * they should. */
#include "arch/x86/guest.h"

/* "Exit Qualification for EPT Violations" */
#define QUAL_FETCH       BIT(2)
#define QUAL_LINEAR      BIT(7)
#define QUAL_TRANSLATION BIT(8) /* the access itself, not a walk to it */

#define VECTORING_VALID  BIT(31)
#define REGISTER_RSP     4
#define RFLAGS_DF        BIT(10)

/* Everything but a string move: its operand is looked up, unless it stays on its page. */
static struct verdict execute(struct vcpu *v, struct guest_regs *regs, const struct insn *i) {
    regs->rsp = vmcs_read(VMCS_GUEST_RSP);
    uint64_t linear = operand_segment_base(i->segment) + insn_offset(i, regs->gpr, vmcs_read(VMCS_GUEST_RIP));
    struct operand memory;
    struct verdict verdict =
        operand_passed(v, gpa(vmcs_read(VMCS_GUEST_PHYSICAL)), linear, i->mem_bytes, i->writes_mem, &memory);
    if (verdict.kind != KIND_NEXT)
        return verdict;
    struct insn_result r;
    insn_execute(i, i->reads_mem ? operand_read(v, &memory) : 0, regs->gpr[i->reg], &r);
    if (i->writes_mem)
        operand_write(v, &memory, r.mem);
    if (i->writes_reg) {
        regs->gpr[i->reg] = r.reg;
        if (i->reg == REGISTER_RSP)
            vmcs_write(VMCS_GUEST_RSP, r.reg);
    }
    if (r.flags_mask != 0)
        vmcs_write(VMCS_GUEST_RFLAGS, (vmcs_read(VMCS_GUEST_RFLAGS) & ~r.flags_mask) | r.flags);
    return exit_emulated(i->length);
}

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

struct verdict exit_ept_violation(struct vcpu *v, struct guest_regs *regs) {
    uint64_t access = QUAL_LINEAR | QUAL_TRANSLATION, qualification = vmcs_read(VMCS_QUALIFICATION);
    uint8_t bytes[INSN_MAX_BYTES];
    struct insn insn;
    if ((qualification & QUAL_FETCH) != 0)
        return exit_stop(STOP_CRASHED, "instruction fetch from where nothing is");
    if ((qualification & access) != access)
        return exit_stop(STOP_CRASHED, "page tables where nothing is");
    if ((vmcs_read(VMCS_IDT_VECTORING) & VECTORING_VALID) != 0)
        return exit_stop(STOP_CRASHED, "event delivery through memory that is not there");
    if (insn_decode(bytes, (unsigned)guest_fetch(v, bytes, sizeof(bytes)), guest_insn_mode(), &insn) !=
        ERR_OK)
        return exit_stop(STOP_CRASHED,
                         "an access to where nothing is by an instruction that is not emulated");
    return insn.op >= INSN_MOVS ? exit_string(v, regs, &insn, insn.length, 0) : execute(v, regs, &insn);
}
