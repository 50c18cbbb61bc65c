/* SPDX-License-Identifier: Apache-2.0 */
/* The record of a partition's end. Reads the VMCS and guest memory, changes nothing. */
#include "arch/x86/vmx_exit.h"

#include "arch/x86/guest.h"
#include "arch/x86/vmx_cpu.h"
#include "core/log.h"
#include "core/str.h"
#include "core/vmcs_check.h"

#define REASON_EPT         48
#define REASON_EPT_BAD     49
#define REASON_ENTRY_STATE 33
#define CODE_BYTES         16

static uint64_t read_field(void *context, uint32_t encoding) {
    (void)context;
    return vmcs_read_raw(encoding);
}

static void dump_broken_rule(void) {
    struct vmcs_violation b;
    if (vmcs_check(&vmx_caps, read_field, NULL, &b))
        log_line("  no rule that is known here is broken");
    else
        log_line("  %s%s (field 0x%x) is 0x%lx: %s (\"%s\")", b.field, b.segment, b.encoding, b.value, b.rule,
                 b.section);
}

static void dump_qualification(uint32_t reason) {
    uint64_t q = vmcs_read(VMCS_QUALIFICATION);
    switch (reason) {
    case REASON_EPT:
        log_line("  %s%s%s of guest-physical 0x%lx, linear 0x%lx%s", (q & 1) != 0 ? "read " : "",
                 (q & 2) != 0 ? "write " : "", (q & 4) != 0 ? "fetch " : "", vmcs_read(VMCS_GUEST_PHYSICAL),
                 vmcs_read(VMCS_GUEST_LINEAR), (q & 0x100) != 0 ? "" : ", during a page walk");
        break;
    case REASON_EPT_BAD:
        log_line("  the hypervisor's own table is damaged, on the way to guest-physical 0x%lx",
                 vmcs_read(VMCS_GUEST_PHYSICAL));
        break;
    default:
        log_line("  qualification 0x%lx", q);
        break;
    }
}

static void dump_segments(void) {
    static const char names[][5] = {"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"};
    for (unsigned s = 0; s < ARRAY_SIZE(names); s++) {
        log_line("  %-4s %04x base %016lx limit %08x rights %05x", names[s],
                 vmcs_read((vmcs_16){VMCS_GUEST_ES.encoding + 2 * s}),
                 vmcs_read((vmcs_n){VMCS_GUEST_ES_BASE.encoding + 2 * s}),
                 vmcs_read((vmcs_32){VMCS_GUEST_ES_LIMIT.encoding + 2 * s}),
                 vmcs_read((vmcs_32){VMCS_GUEST_ES_RIGHTS.encoding + 2 * s}));
    }
    log_line("  GDTR %016lx limit %04x  IDTR %016lx limit %04x", vmcs_read(VMCS_GUEST_GDTR_BASE),
             vmcs_read(VMCS_GUEST_GDTR_LIMIT), vmcs_read(VMCS_GUEST_IDTR_BASE),
             vmcs_read(VMCS_GUEST_IDTR_LIMIT));
}

static void dump_registers(const struct guest_regs *r) {
    log_line("  RIP %016lx RSP %016lx RFLAGS %08lx", vmcs_read(VMCS_GUEST_RIP), vmcs_read(VMCS_GUEST_RSP),
             vmcs_read(VMCS_GUEST_RFLAGS));
    log_line("  RAX %016lx RBX %016lx RCX %016lx RDX %016lx", r->rax, r->rbx, r->rcx, r->rdx);
    log_line("  RSI %016lx RDI %016lx RBP %016lx R8  %016lx", r->rsi, r->rdi, r->rbp, r->r8);
    log_line("  R9  %016lx R10 %016lx R11 %016lx R12 %016lx", r->r9, r->r10, r->r11, r->r12);
    log_line("  R13 %016lx R14 %016lx R15 %016lx", r->r13, r->r14, r->r15);
    log_line("  CR0 %08lx CR3 %016lx CR4 %08lx EFER %04lx", vmcs_read(VMCS_GUEST_CR0),
             vmcs_read(VMCS_GUEST_CR3), vmcs_read(VMCS_GUEST_CR4), vmcs_read(VMCS_GUEST_EFER));
}

static void dump_code(const struct vcpu *v) {
    uint8_t bytes[CODE_BYTES];
    char line[3 * CODE_BYTES + 1];
    size_t count = guest_fetch(v, bytes, sizeof(bytes)), used = 0;
    line[0] = '\0';
    for (size_t i = 0; i < count; i++)
        used += str_format(line + used, sizeof(line) - used, " %02x", bytes[i]);
    log_line("  code at RIP:%s", count == 0 ? " cannot be read" : line);
}

void dump_guest(const struct vcpu *v, const struct guest_regs *regs, enum stop_cause cause, const char *why) {
    uint32_t reason = (uint16_t)vmcs_read(VMCS_EXIT_REASON);
    const char *name = v->partition->config->name;
    if (cause < STOP_CRASHED) {
        log_line("%s: vCPU %u %s", name, v->index,
                 cause == STOP_RESET ? "resets the partition" : "stops the partition");
        return;
    }
    if (why == NULL)
        why = "an exit that must not happen";
    log_line("%s: vCPU %u on core %u: %s", name, v->index, v->cpu, why);
    log_line("  exit %u (%s), IDT vectoring 0x%x, interruptibility 0x%x, activity %u", reason,
             exit_reason_name(reason), vmcs_read(VMCS_IDT_VECTORING), vmcs_read(VMCS_GUEST_INTERRUPTIBILITY),
             vmcs_read(VMCS_GUEST_ACTIVITY));
    if (reason == REASON_ENTRY_STATE)
        dump_broken_rule();
    dump_qualification(reason);
    dump_registers(regs);
    dump_segments();
    dump_code(v);
}
