/* SPDX-License-Identifier: Apache-2.0 */
/* INS and OUTS: one element an exit. With REP the instruction is run again until RCX is 0, so that no
 * guest keeps us for longer, and interrupts come between the elements as they should. */
#include "arch/x86/cpu.h"
#include "arch/x86/guest.h"
#include "arch/x86/vmcs.h"
#include "arch/x86/vmx_exit.h"

/* "Exit Qualification for I/O Instructions"; address size in "VM-Exit Instruction Information". */
#define QUAL_SIZE     7u
#define QUAL_IN       BIT(3)
#define QUAL_REP      BIT(5)
#define PORT_SHIFT    16
#define ADDRESS_SHIFT 7
#define RFLAGS_DF     BIT(10)

/* A register as wide as the instruction's addresses: 16 bits keep the rest, 32 bits clear it. */
static void add_to(uint64_t *reg, uint64_t delta, unsigned address_size) {
    uint64_t sum = *reg + delta;

    if (address_size == 0)
        *reg = (*reg & ~UINT64_C(0xffff)) | (uint16_t)sum;
    else
        *reg = address_size == 1 ? (uint32_t)sum : sum;
}

static uint64_t counter(const struct guest_regs *regs, unsigned address_size) {
    return address_size == 0 ? (uint16_t)regs->rcx : address_size == 1 ? (uint32_t)regs->rcx : regs->rcx;
}

/* Memory that is not there reads all ones and swallows writes, like a port. False: a fault is to be
 * injected, and nothing was moved. */
static bool move_bytes(struct vcpu *v, struct exit_info *info, uint64_t linear, uint8_t *bytes,
                       unsigned count, bool write) {
    unsigned access = (write ? WALK_WRITE : 0) | (guest_cpl() == 3 ? WALK_USER : 0);
    struct walk_result at[4];
    struct guest_paging paging;

    guest_read_paging(&paging);
    for (unsigned i = 0; i < count; i++) {
        enum err e = guest_walk(&v->partition->map, &paging, linear + i, access, &at[i]);

        if (e == ERR_NOT_FOUND) {
            cpu_write_cr2(linear + i);
            info->vector = VECTOR_PF;
            info->has_error = true;
            info->error = at[i].fault_code;
            return false;
        }
        if (e != ERR_OK) {
            (void)exit_inject_gp(info);
            return false;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        uint8_t *p = guest_map_ptr(&v->partition->map, at[i].at, 1);

        if (p == NULL)
            v->bad_accesses++;
        else if (write)
            *p = bytes[i];
        else
            bytes[i] = *p;
    }
    return true;
}

enum verdict exit_string_io(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    uint64_t q = info->qualification;
    unsigned bytes = (q & QUAL_SIZE) + 1,
             address_size = vmcs_read(VMCS_EXIT_INSTRUCTION) >> ADDRESS_SHIFT & 7;
    uint16_t port = (uint16_t)(q >> PORT_SHIFT);
    bool in = (q & QUAL_IN) != 0, rep = (q & QUAL_REP) != 0;
    uint64_t step = (vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_DF) != 0 ? 0 - (uint64_t)bytes : bytes;
    uint32_t value = UINT32_MAX;

    if (rep && counter(regs, address_size) == 0)
        return VERDICT_NEXT;
    if (in)
        value = port_read(v, port, bytes);
    if (!move_bytes(v, info, vmcs_read(VMCS_GUEST_LINEAR), (uint8_t *)&value, bytes, in))
        return VERDICT_INJECT;
    if (!in)
        port_write(v, port, value);
    add_to(in ? &regs->rdi : &regs->rsi, step, address_size);
    if (!rep)
        return VERDICT_NEXT;
    add_to(&regs->rcx, UINT64_MAX, address_size);
    return counter(regs, address_size) == 0 ? VERDICT_NEXT : VERDICT_RESUME;
}
