/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptor tables and the exception entry of the host CPU. Decides nothing: an NMI is a kick,
 * a machine check may be another core's, anything else is a panic. */
#include "arch/x86/trap.h"

#include "arch/x86/console_io.h"
#include "arch/x86/cpu.h"
#include "arch/x86/lapic.h"
#include "arch/x86/percpu.h"
#include "arch/x86/smp.h"
#include "arch/x86/vmx_exit.h"
#include "boot/layout.h"
#include "core/str.h"
#include "core/vlapic.h"

#define GATES          256
#define EXCEPTIONS     32
#define STUB_BYTES     16
#define GATE_INTERRUPT 0x8e00
#define IST_NMI        1
#define IST_FAULT      2
#define VMREAD         0x78 /* second byte of the opcode */
#define VMWRITE        0x79
#define REGISTER_RDX   2
#define TSS_AVAILABLE  (UINT64_C(0x89) << 40)

struct idt_gate { /* "64-Bit IDT Gate Descriptors" */
    uint16_t offset0;
    uint16_t selector;
    uint16_t ist_type; /* 2:0 IST, 11:8 type, 14:13 DPL, 15 present */
    uint16_t offset16;
    uint32_t offset32;
    uint32_t reserved;
};
_Static_assert(sizeof(struct idt_gate) == 16, "gate size by the SDM");

static struct idt_gate idt[GATES] __attribute__((section(".bss.sealed")));

extern const uint64_t boot_gdt[], boot_gdt_end[];
extern const char image_start[], text_end[];
extern const uint8_t trap_stubs[], vmx_resume[], vmx_resume_window[], vmx_resume_window_end[], vmx_launch[],
    vmx_launch_window[], vmx_launch_window_end[], cpu_wait_kick_end[], cpu_take_interrupts_end[],
    trap_read_msr_at[], trap_read_msr_fault[];

void trap_handle(struct trap_frame *frame);

static void load_idt(void) {
    cpu_lidt(&(struct table_register){sizeof(idt) - 1, (uintptr_t)idt});
}

/* No gate switches stacks yet: there is no TSS before trap_load. */
void trap_init(void) {
    for (unsigned v = 0; v < GATES; v++) {
        uintptr_t at = (uintptr_t)trap_stubs + v * STUB_BYTES;
        idt[v] = (struct idt_gate){
            .offset0 = (uint16_t)at,
            .selector = SEL_CODE64,
            .ist_type = GATE_INTERRUPT,
            .offset16 = (uint16_t)(at >> 16),
            .offset32 = (uint32_t)(at >> 32),
        };
    }
    load_idt();
}

uint64_t trap_idt_base(void) {
    return (uintptr_t)idt;
}

void trap_load(void) {
    struct percpu *c = &this_cpu;
    uint64_t tss = (uintptr_t)&c->tss;
    /* "TSS Descriptor in 64-bit mode": 16 bytes. */
    memcpy(c->gdt, boot_gdt, (uintptr_t)boot_gdt_end - (uintptr_t)boot_gdt);
    c->gdt[SEL_TSS / 8] =
        (sizeof(c->tss) - 1) | (tss & 0xffffff) << 16 | TSS_AVAILABLE | (tss >> 24 & 0xff) << 56;
    c->gdt[SEL_TSS / 8 + 1] = tss >> 32;
    c->tss.ist[IST_NMI - 1] = PERCPU_NMI_TOP;
    c->tss.ist[IST_FAULT - 1] = PERCPU_FAULT_TOP;
    c->tss.io_map_base = sizeof(c->tss);
    cpu_lgdt(&(struct table_register){sizeof(c->gdt) - 1, (uintptr_t)c->gdt});
    cpu_ltr(SEL_TSS);
    if (c->index == 0)
        for (unsigned v = 0; v < EXCEPTIONS; v++)
            idt[v].ist_type |= v == VECTOR_NMI ? IST_NMI : IST_FAULT;
    load_idt();
}

/* A CPU past its last look at `kicked` would forget an NMI until it next exits or wakes, which may be never:
 * it is sent back to the look, or out of its wait. */
static const struct {
    const uint8_t *from, *to, *then;
} windows[] = {
    {vmx_resume_window, vmx_resume_window_end, vmx_resume},
    {vmx_launch_window, vmx_launch_window_end, vmx_launch},
    {(const uint8_t *)cpu_wait_kick, cpu_wait_kick_end, cpu_wait_kick_end},
};

static void nmi_handle(struct trap_frame *frame) {
    smp_stop_if_told();
    this_cpu.kicked = 1;
    for (unsigned i = 0; i < ARRAY_SIZE(windows); i++)
        if (frame->rip >= (uintptr_t)windows[i].from && frame->rip < (uintptr_t)windows[i].to)
            frame->rip = (uintptr_t)windows[i].then;
    if (this_cpu.index == 0) /* it may be the UART's */
        console_service();
}

/* vmcs.h: 0F, the opcode, its operands, JA over the UD2. */
static bool is_vmcs_access(const struct trap_frame *frame) {
    const uint8_t *at = (const uint8_t *)frame->rip;
    return frame->rip >= (uintptr_t)image_start + 5 && frame->rip < (uintptr_t)text_end && at[-5] == 0x0f &&
           (at[-4] == VMREAD || at[-4] == VMWRITE) && at[-2] == 0x77 && at[-1] == 2;
}

/* A return from it lets NMIs in, and its stack is that of the other exceptions: only what ran on the main
 * stack can go on. */
static bool check_passes(const struct trap_frame *frame) {
    return frame->vector == VECTOR_MC && event_machine_check() == CHECK_PASSES &&
           frame->rsp - PERCPU_STACK <= PERCPU_STACK_TOP - PERCPU_STACK;
}

void trap_handle(struct trap_frame *frame) {
    static const char *const names[EXCEPTIONS] = {
        "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "9",   "#TS",
        "#NP", "#SS", "#GP", "#PF", "15",  "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
        "22",  "23",  "24",  "25",  "26",  "27",  "28",  "29",  "30",  "31",
    };
    if (frame->vector == VECTOR_NMI)
        nmi_handle(frame);
    else if (frame->rip == (uintptr_t)cpu_take_interrupts_end)
        lapic_write(APIC_EOI, 0); /* whatever its vector, 16 to 31 too: an interrupt that is to go */
    else if (frame->vector == VECTOR_GP && frame->rip == (uintptr_t)trap_read_msr_at)
        frame->rip = (uintptr_t)trap_read_msr_fault;
    else if (frame->vector == VECTOR_UD && is_vmcs_access(frame))
        panic_at(frame, "%s failed, field 0x%lx",
                 ((const uint8_t *)frame->rip)[-4] == VMREAD ? "VMREAD" : "VMWRITE",
                 frame->gpr[REGISTER_RDX]);
    else if (frame->vector >= EXCEPTIONS)
        panic_at(frame, "interrupt %lu in the hypervisor", frame->vector);
    else if (!check_passes(frame))
        panic_at(frame, "%s in the hypervisor, error code %lx, CR2 %lx", names[frame->vector],
                 frame->error_code, cpu_read_cr2());
}
