/* SPDX-License-Identifier: Apache-2.0 */
/* Exits of I/O instructions: what is behind a port is core/trap_map's, this carries it out. */
#include "arch/x86/devices.h"
#include "arch/x86/vmcs.h"
#include "arch/x86/vmx_exit.h"
#include "core/insn.h"

/* "Exit Qualification for I/O Instructions" */
#define QUAL_SIZE   7u
#define QUAL_IN     BIT(3)
#define QUAL_STRING BIT(4)
#define QUAL_REP    BIT(5)
#define PORT_SHIFT  16

/* "VM-Exit Instruction-Information Field as Used for INS and OUTS": address size 0 = 16 bits; the
 * segments in the order of enum insn_segment */
#define ADDRESS_SHIFT 7
#define SEGMENT_SHIFT 15

/* Our devices are a byte wide; wider accesses go to as many ports, as on a PC's bus. */
uint32_t port_read(struct vcpu *v, uint16_t port, unsigned bytes) {
    uint32_t value = 0;
    for (unsigned i = 0; i < bytes; i++, port++)
        value |= (devices_read(v, trap_map_in(v->partition->config, port), port) & 0xff) << (8 * i);
    return value;
}

void port_write(struct vcpu *v, uint16_t port, unsigned bytes, uint32_t value) {
    for (unsigned i = 0; i < bytes; i++, port++)
        devices_write(v, trap_map_in(v->partition->config, port), port, value >> (8 * i) & 0xff);
}

static struct verdict string_io(struct vcpu *v, struct guest_regs *regs, uint64_t qualification,
                                uint16_t port) {
    uint32_t how = vmcs_read(VMCS_EXIT_INSTRUCTION);
    struct insn insn = {
        .op = (qualification & QUAL_IN) != 0 ? INSN_INS : INSN_OUTS,
        .mem_bytes = (qualification & QUAL_SIZE) + 1,
        .address_bytes = (uint8_t)(2u << (how >> ADDRESS_SHIFT & 3)),
        .segment = (enum insn_segment)(how >> SEGMENT_SHIFT & 7),
        .repeat = (qualification & QUAL_REP) != 0,
    };
    return exit_string(v, regs, &insn, (uint8_t)vmcs_read(VMCS_EXIT_LENGTH), port);
}

rarely static struct verdict no_port(void) {
    return exit_stop(STOP_CRASHED, "access to a port where nothing is (bad_access = stop)");
}

/* What the first port is decides about the access, but each byte goes to its own. */
rarely static struct verdict wide_io(struct vcpu *v, struct guest_regs *regs, uint64_t qualification) {
    const struct partition_config *config = v->partition->config;
    uint16_t port = (uint16_t)(qualification >> PORT_SHIFT);
    unsigned bytes = (qualification & QUAL_SIZE) + 1;
    bool in = (qualification & QUAL_IN) != 0, string = (qualification & QUAL_STRING) != 0;
    uint32_t value = (uint32_t)insn_cut(regs->rax, bytes);
    enum trap_target target = in || string ? trap_map_in(config, port) : trap_map_out(config, port, value);
    if (target == TRAP_RESET || target == TRAP_POWER_OFF)
        return exit_stop(target == TRAP_RESET ? STOP_RESET : STOP_ASKED, NULL);
    if (target == TRAP_NONE && config->bad_access == BAD_ACCESS_STOP)
        return no_port();
    v->denied_ports += target == TRAP_NONE;
    if (string)
        return string_io(v, regs, qualification, port);
    if (in)
        regs->rax = insn_merge(regs->rax, port_read(v, port, bytes), bytes);
    else
        port_write(v, port, bytes, value);
    return VERDICT_NEXT;
}

__attribute__((noinline)) static struct verdict device_io(struct vcpu *v, struct guest_regs *regs,
                                                          enum trap_target target, bool in, uint16_t port) {
    if (target == TRAP_RESET || target == TRAP_POWER_OFF)
        return exit_stop(target == TRAP_RESET ? STOP_RESET : STOP_ASKED, NULL);
    if (in)
        regs->rax = (regs->rax & ~UINT64_C(0xff)) | (devices_read(v, target, port) & 0xff);
    else
        devices_write(v, target, port, (uint8_t)regs->rax);
    return VERDICT_NEXT;
}

struct verdict exit_io(struct vcpu *v, struct guest_regs *regs) {
    const struct partition_config *config = v->partition->config;
    uint64_t qualification = vmcs_read(VMCS_QUALIFICATION);
    uint16_t port = (uint16_t)(qualification >> PORT_SHIFT);
    bool in = (qualification & QUAL_IN) != 0;
    if ((qualification & (QUAL_SIZE | QUAL_STRING)) != 0)
        return wide_io(v, regs, qualification);
    enum trap_target target = in ? trap_map_in(config, port) : trap_map_out(config, port, (uint8_t)regs->rax);
    if (target != TRAP_NONE)
        return device_io(v, regs, target, in, port);
    if (config->bad_access == BAD_ACCESS_STOP)
        return no_port();
    v->denied_ports++;
    if (in)
        regs->rax |= 0xff;
    return VERDICT_NEXT;
}
