/* SPDX-License-Identifier: Apache-2.0 */
/* EPT violations: what is behind the address is core/trap_map's, the instruction is decoded and
 * executed by core/insn. */
#include "arch/x86/apic_access.h"
#include "arch/x86/devices.h"
#include "arch/x86/guest.h"
#include "arch/x86/vmcs.h"
#include "arch/x86/vmx_exit.h"
#include "core/log.h"
#include "core/trap_map.h"

/* "Exit Qualification for EPT Violations" */
#define QUAL_FETCH       BIT(2)
#define QUAL_LINEAR      BIT(7)
#define QUAL_TRANSLATION BIT(8) /* the access itself, not a walk to it */

#define VECTORING_VALID  BIT(31)
#define REGISTER_RSP     4

static void bad_access(struct vcpu *v, gpa_t at, bool write) {
    if (v->bad_accesses++ == 0) {
        log_line("%s: vCPU %u: %s of guest-physical 0x%lx, where nothing is (said once, counted)",
                 v->partition->config->name, v->index, write ? "write" : "read", at.v);
    }
}

static uint64_t target_read(struct vcpu *v, enum trap_target target, gpa_t at) {
    unsigned offset = at.v & (PAGE_SIZE - 1);

    switch (target) {
    case TRAP_APIC:
        return (offset & 0xf) == 0 ? apic_page_read(v, offset >> 4) : UINT32_MAX;
    case TRAP_IOAPIC:
        return devices_ioapic_read(v, offset);
    default:
        bad_access(v, at, false);
        return UINT64_MAX;
    }
}

static void target_write(struct vcpu *v, enum trap_target target, gpa_t at, uint64_t value) {
    unsigned offset = at.v & (PAGE_SIZE - 1);

    switch (target) {
    case TRAP_APIC:
        if ((offset & 0xf) == 0)
            apic_page_write(v, offset >> 4, (uint32_t)value);
        break;
    case TRAP_IOAPIC:
        devices_ioapic_write(v, offset, (uint32_t)value);
        break;
    default:
        bad_access(v, at, true);
        break;
    }
}

static uint64_t register_read(const struct guest_regs *regs, unsigned number) {
    return number == REGISTER_RSP ? vmcs_read(VMCS_GUEST_RSP) : regs->gpr[number];
}

static void register_write(struct guest_regs *regs, unsigned number, uint64_t value) {
    if (number == REGISTER_RSP)
        vmcs_write(VMCS_GUEST_RSP, value);
    else
        regs->gpr[number] = value;
}

static void execute(struct vcpu *v, struct guest_regs *regs, const struct insn *i, gpa_t at) {
    enum trap_target target = trap_map_memory(v->lapic.mode, at, i->mem_bytes);
    struct insn_result r;

    insn_execute(i, i->reads_mem ? target_read(v, target, at) : 0, register_read(regs, i->reg), &r);
    if (i->writes_mem)
        target_write(v, target, at, r.mem);
    if (i->writes_reg)
        register_write(regs, i->reg, r.reg);
    if (r.flags_mask != 0) {
        vmcs_write(VMCS_GUEST_RFLAGS,
                   (vmcs_read(VMCS_GUEST_RFLAGS) & ~r.flags_mask) | (r.flags & r.flags_mask));
    }
}

enum verdict exit_ept_violation(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    uint64_t access = QUAL_LINEAR | QUAL_TRANSLATION;
    gpa_t at = gpa(vmcs_read(VMCS_GUEST_PHYSICAL));
    uint8_t bytes[INSN_MAX_BYTES];
    struct insn insn;

    if ((info->qualification & QUAL_FETCH) != 0)
        return exit_stop(info, STOP_CRASHED, "instruction fetch from where nothing is");
    if ((info->qualification & access) != access)
        return exit_stop(info, STOP_CRASHED, "page tables where nothing is");
    if ((vmcs_read(VMCS_IDT_VECTORING) & VECTORING_VALID) != 0)
        return exit_stop(info, STOP_CRASHED, "event delivery through memory that is not there");
    if (insn_decode(bytes, (unsigned)guest_fetch(v, bytes, sizeof(bytes)), guest_insn_mode(), &insn) !=
        ERR_OK) {
        return exit_stop(info, STOP_CRASHED,
                         "an access to where nothing is by an instruction that is not emulated");
    }
    if (v->partition->config->bad_access == BAD_ACCESS_STOP &&
        trap_map_memory(v->lapic.mode, at, insn.mem_bytes) == TRAP_NONE)
        return exit_stop(info, STOP_CRASHED, "access to where nothing is (bad_access = stop)");
    execute(v, regs, &insn, at);
    info->length = insn.length;
    return VERDICT_NEXT;
}
