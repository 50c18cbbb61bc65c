/* SPDX-License-Identifier: Apache-2.0 */
/* A VMCS from nothing: controls as core/vmx_ctl resolved them, the host as it is, the guest as
 * "Processor State After Reset" says. Writes fields, decides nothing. */
#include "arch/x86/vcpu.h"

#include "arch/x86/console_io.h"
#include "arch/x86/cpu.h"
#include "arch/x86/memory.h"
#include "arch/x86/msr.h"
#include "arch/x86/percpu.h"
#include "arch/x86/trap.h"
#include "arch/x86/vmcs.h"
#include "arch/x86/vmx_cpu.h"
#include "arch/x86/vmx_exit.h"
#include "boot/layout.h"
#include "core/host.h"
#include "core/str.h"

#define NO_LINK              UINT64_MAX /* "VMCS link pointer" */

#define NOTIFY_CRYSTAL_TICKS 25000 /* about a millisecond: no instruction stays away from events so long */

/* Segment access rights ("Guest Register State"). */
#define RIGHTS_CODE16   0x009bu
#define RIGHTS_DATA16   0x0093u
#define RIGHTS_CODE32   0xc09bu
#define RIGHTS_DATA32   0xc093u
#define RIGHTS_LDT      0x0082u
#define RIGHTS_TSS_BUSY 0x008bu
#define LIMIT_64K       0xffffu
#define LIMIT_4G        0xffffffffu
#define RFLAGS_RESET    2u
#define CR0_RESET       UINT64_C(0x60000010)
#define DR7_RESET       0x400u

extern const char vmx_exit_entry[];

static void write_controls(const struct vcpu *v) {
    const struct vmx_controls *c = &vmx_controls;
    uint32_t poll = console_poll_ticks();
    vmcs_write(VMCS_PIN_CONTROLS, c->word[VMX_PIN] | (poll != 0 ? PIN_PREEMPTION_TIMER : 0));
    if (poll != 0)
        vmcs_write(VMCS_PREEMPTION_TIMER, poll);
    vmcs_write(VMCS_PRIMARY_CONTROLS, c->word[VMX_PRIMARY]);
    vmcs_write(VMCS_SECONDARY_CONTROLS, c->word[VMX_SECONDARY]);
    if ((c->word[VMX_PRIMARY] & PRIMARY_TERTIARY) != 0)
        vmcs_write(VMCS_TERTIARY_CONTROLS, c->word[VMX_TERTIARY]);
    vmcs_write(VMCS_EXIT_CONTROLS, c->word[VMX_EXIT]);
    vmcs_write(VMCS_ENTRY_CONTROLS, c->word[VMX_ENTRY] & ~ENTRY_IA32E_GUEST);

    /* #DB and #AC: a guest can make the CPU deliver them for ever, with no exit in between. */
    vmcs_write(VMCS_EXCEPTION_BITMAP, BIT(VECTOR_DB) | BIT(VECTOR_AC) | BIT(VECTOR_MC));
    vmcs_write(VMCS_PF_ERROR_MASK, 0);
    vmcs_write(VMCS_PF_ERROR_MATCH, 0);
    vmcs_write(VMCS_CR3_TARGET_COUNT, 0);
    vmcs_write(VMCS_EXIT_MSR_STORE_COUNT, 0);
    vmcs_write(VMCS_EXIT_MSR_LOAD_COUNT, 0);
    vmcs_write(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
    vmcs_write(VMCS_ENTRY_INTERRUPT, 0);
    vmcs_write(VMCS_IO_BITMAP_A, v->partition->io_bitmaps.v);
    vmcs_write(VMCS_IO_BITMAP_B, v->partition->io_bitmaps.v + PAGE_SIZE);
    vmcs_write(VMCS_EPT_POINTER, v->partition->ept_pointer);
    vmcs_write(VMCS_VPID, (uint16_t)(v->cpu + 1));
    vmcs_write(VMCS_TSC_OFFSET, v->msrs.tsc_adjust); /* INIT keeps it */
    if ((c->word[VMX_SECONDARY] & SECONDARY_TIMEOUT) != 0)
        vmcs_write(VMCS_NOTIFY_WINDOW, NOTIFY_CRYSTAL_TICKS);
    if ((c->word[VMX_SECONDARY] & SECONDARY_XSAVES) != 0)
        vmcs_write(VMCS_XSS_EXITING, UINT64_MAX);
    if ((c->word[VMX_SECONDARY] & SECONDARY_ENCLS) != 0)
        vmcs_write(VMCS_ENCLS_EXITING, UINT64_MAX);
    if ((c->word[VMX_SECONDARY] & SECONDARY_ENCLV) != 0)
        vmcs_write(VMCS_ENCLV_EXITING, UINT64_MAX);
}

static void write_host(void) {
    vmcs_write(VMCS_HOST_CR0, cpu_read_cr0());
    vmcs_write(VMCS_HOST_CR3, this_cpu.sealed_cr3);
    vmcs_write(VMCS_HOST_CR4, cpu_read_cr4());
    vmcs_write(VMCS_HOST_CS, SEL_CODE64);
    vmcs_write(VMCS_HOST_SS, SEL_DATA);
    vmcs_write(VMCS_HOST_DS, 0);
    vmcs_write(VMCS_HOST_ES, 0);
    vmcs_write(VMCS_HOST_FS, 0);
    vmcs_write(VMCS_HOST_GS, 0);
    vmcs_write(VMCS_HOST_TR, SEL_TSS);
    vmcs_write(VMCS_HOST_FS_BASE, 0);
    vmcs_write(VMCS_HOST_GS_BASE, 0);
    vmcs_write(VMCS_HOST_TR_BASE, (uintptr_t)&this_cpu.tss);
    vmcs_write(VMCS_HOST_GDTR_BASE, (uintptr_t)this_cpu.gdt);
    vmcs_write(VMCS_HOST_IDTR_BASE, trap_idt_base());
    vmcs_write(VMCS_HOST_SYSENTER_CS, 0);
    vmcs_write(VMCS_HOST_SYSENTER_ESP, 0);
    vmcs_write(VMCS_HOST_SYSENTER_EIP, 0);
    vmcs_write(VMCS_HOST_PAT, PAT_HOST);
    vmcs_write(VMCS_HOST_EFER, cpu_rdmsr(IA32_EFER));
    vmcs_write(VMCS_HOST_RSP, PERCPU_STACK_TOP);
    vmcs_write(VMCS_HOST_RIP, (uintptr_t)vmx_exit_entry);
}

/* The field groups are arrays in the encoding: ES CS SS DS FS GS LDTR TR, two apart. */
enum segment { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR };

static void write_segment(enum segment s, uint16_t selector, uint64_t base, uint32_t limit, uint32_t rights) {
    vmcs_write((vmcs_16){VMCS_GUEST_ES.encoding + 2 * s}, selector);
    vmcs_write((vmcs_n){VMCS_GUEST_ES_BASE.encoding + 2 * s}, base);
    vmcs_write((vmcs_32){VMCS_GUEST_ES_LIMIT.encoding + 2 * s}, limit);
    vmcs_write((vmcs_32){VMCS_GUEST_ES_RIGHTS.encoding + 2 * s}, rights);
}

static void write_data_segments(uint16_t selector, uint64_t base, uint32_t limit, uint32_t rights) {
    static const enum segment data[] = {SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS};
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
        write_segment(data[i], selector, base, limit, rights);
}

static void write_control_registers(const struct vcpu *v, uint64_t cr0, uint64_t cr4) {
    vmcs_write(VMCS_CR0_MASK, v->cr.cr0_mask);
    vmcs_write(VMCS_CR4_MASK, v->cr.cr4_mask);
    vmcs_write(VMCS_GUEST_CR0, cr0_real(&v->cr, cr0));
    vmcs_write(VMCS_CR0_SHADOW, cr0);
    vmcs_write(VMCS_GUEST_CR4, cr4_real(&v->cr, cr4));
    vmcs_write(VMCS_CR4_SHADOW, cr4);
}

void vmcs_set_init(const struct vcpu *v, uint64_t cr0) {
    write_controls(v);
    write_control_registers(v, cr0, 0);
    vmcs_write(VMCS_GUEST_CR3, 0);
    write_data_segments(0, 0, LIMIT_64K, RIGHTS_DATA16);
    write_segment(SEG_CS, 0xf000, 0xffff0000, LIMIT_64K, RIGHTS_CODE16);
    write_segment(SEG_LDTR, 0, 0, LIMIT_64K, RIGHTS_LDT);
    write_segment(SEG_TR, 0, 0, LIMIT_64K, RIGHTS_TSS_BUSY);
    vmcs_write(VMCS_GUEST_GDTR_BASE, 0);
    vmcs_write(VMCS_GUEST_GDTR_LIMIT, LIMIT_64K);
    vmcs_write(VMCS_GUEST_IDTR_BASE, 0);
    vmcs_write(VMCS_GUEST_IDTR_LIMIT, LIMIT_64K);
    vmcs_write(VMCS_GUEST_RIP, 0xfff0);
    vmcs_write(VMCS_GUEST_RSP, 0);
    vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_RESET);
    vmcs_write(VMCS_GUEST_DR7, DR7_RESET);
    vmcs_write(VMCS_GUEST_EFER, 0);
    vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
    vmcs_write(VMCS_GUEST_ACTIVITY, 0);
    vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
    vmx_invvpid(INVALIDATE_SINGLE, v->cpu + 1);
}

/* What RESET sets and INIT leaves alone, and what no guest sees. */
static void write_guest_reset(void) {
    vmcs_write(VMCS_GUEST_DEBUGCTL, 0);
    vmcs_write(VMCS_GUEST_PAT, PAT_RESET);
    vmcs_write(VMCS_GUEST_SYSENTER_CS, 0);
    vmcs_write(VMCS_GUEST_SYSENTER_ESP, 0);
    vmcs_write(VMCS_GUEST_SYSENTER_EIP, 0);
    vmcs_write(VMCS_GUEST_SMBASE, 0);
    vmcs_write(VMCS_LINK_POINTER, NO_LINK);
}

void vmcs_setup(const struct vcpu *v) {
    vmx_clear(this_cpu.vmcs);
    vmx_load(this_cpu.vmcs);
    write_host();
    write_guest_reset();
    vmcs_set_init(v, CR0_RESET);
    vmx_invept(INVALIDATE_SINGLE, v->partition->ept_pointer);
}

void vmcs_set_sipi(uint8_t vector) {
    write_segment(SEG_CS, (uint16_t)(vector << 8), (uint64_t)vector << 12, LIMIT_64K, RIGHTS_CODE16);
    vmcs_write(VMCS_GUEST_RIP, 0);
}

static void set_start_real(const struct guest_start *s) {
    write_segment(SEG_CS, s->cs, (uint64_t)s->cs << 4, LIMIT_64K, RIGHTS_CODE16);
    write_data_segments(s->ds, (uint64_t)s->ds << 4, LIMIT_64K, RIGHTS_DATA16);
}

static void set_start_flat(const struct vcpu *v, const struct guest_start *s) {
    write_control_registers(v, CR0_PE | CR0_ET, 0);
    write_segment(SEG_CS, s->cs, 0, LIMIT_4G, RIGHTS_CODE32);
    write_data_segments(s->ds, 0, LIMIT_4G, RIGHTS_DATA32);
    vmcs_write(VMCS_GUEST_GDTR_BASE, s->gdt_base);
    vmcs_write(VMCS_GUEST_GDTR_LIMIT, s->gdt_limit);
}

void vmcs_set_start(const struct vcpu *v, const struct guest_start *s, struct guest_regs *regs) {
    if (s->mode == START_REAL)
        set_start_real(s);
    else if (s->mode != START_RESET)
        set_start_flat(v, s);
    vmcs_write(VMCS_GUEST_RIP, s->rip);
    regs->rax = s->rax;
    regs->rbx = s->rbx;
    regs->rsi = s->rsi;
}
