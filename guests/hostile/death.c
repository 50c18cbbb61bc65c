/* SPDX-License-Identifier: Apache-2.0 */
/* What nobody survives: one a life. It takes this partition alone. */
#include "guests/hostile/hostile.h"

#include "core/str.h"

#define ECAM          UINT64_C(0xE0000000)
#define IOAPIC        UINT64_C(0xFEC00000)
#define FIRMWARE      UINT64_C(0xFFFF0000)
#define SPIN_TICKS    3000000
#define PRESENT       7u
#define STACK_TOP     UINT64_C(0x3F0000) /* of a loop that pushes without end: far from everything */
#define BREAK_EXECUTE 0x401u             /* DR7: DR0, when it is executed */

/* death.S: to 32-bit protected mode and there the one or the other. */
void hostile_task_jump(void);
void hostile_task_gate(void);
void hostile_v8086(void);
void hostile_ac_loop(void);

struct __attribute__((packed)) table {
    uint16_t limit;
    uint64_t base;
};

extern const uint8_t guest_stubs[];

/* ---- Fetches ---- */
static void fetch(uint64_t at) {
    ((void (*)(void))at)();
}

static void fetch_above(uint64_t gpa) {
    hostile_window(gpa);
    fetch(WINDOW);
}

static void over_the_end(void) {
    memset((void *)(RAM - 16), 0x90, 16); /* NOPs up to the end of RAM */
    fetch(RAM - 16);
}

static void half_an_instruction(void) {
    memset((void *)(RAM - 1), 0xB8, 1); /* MOV EAX, and no operand */
    fetch(RAM - 1);
}

#define LIFE(name, how, at)                                                                                  \
    static void name(void) {                                                                                 \
        how(at);                                                                                             \
    }
LIFE(fetch_vga, fetch, UINT64_C(0xA0000))
LIFE(fetch_nowhere, fetch, NOWHERE)
LIFE(fetch_ecam, fetch, ECAM)
LIFE(fetch_ioapic, fetch, IOAPIC)
LIFE(fetch_lapic, fetch, LAPIC_PAGE)
LIFE(fetch_firmware, fetch, FIRMWARE)
LIFE(fetch_4g, fetch_above, BIT(32))
LIFE(fetch_top, fetch_above, BIT(cpuid(0x80000008, 0).eax & 0xFF) - PAGE_2M)

/* ---- Tables where they must not be ---- */
static void cr3_to(uint64_t at) {
    __asm__ volatile("mov %0, %%cr3" : : "r"(at) : "memory");
}
LIFE(cr3_nowhere, cr3_to, NOWHERE)
LIFE(cr3_lapic, cr3_to, LAPIC_PAGE)
LIFE(cr3_beyond, cr3_to, RAM)

static void directory_nowhere(void) {
    ((volatile uint64_t *)(guest_pml4[0] & ~UINT64_C(0xFFF)))[3] = IOAPIC | PRESENT;
    hostile_exchange(NOWHERE);
}

static void gdt_to(uint64_t at) {
    struct table gdt = {0xFFFF, at};

    __asm__ volatile("lgdt %0; mov %w1, %%fs" : : "m"(gdt), "r"(0x10));
}
LIFE(gdt_across, gdt_to, RAM - 0x10)
LIFE(gdt_lapic, gdt_to, LAPIC_PAGE)

static void idt_to(uint64_t at) {
    struct table idt = {0xFFF, at};

    __asm__ volatile("lidt %0; ud2" : : "m"(idt));
}
LIFE(idt_across, idt_to, RAM - 6 * 16 - 8) /* the gate of #UD is half there */
LIFE(idt_ioapic, idt_to, IOAPIC)

static void stack_to(uint64_t at) {
    __asm__ volatile("mov %0, %%rsp; ud2" : : "r"(at) : "memory");
}
LIFE(stack_nowhere, stack_to, NOWHERE)

static void to_user(void *arg) {
    __asm__ volatile("ud2");
}

/* RSP0 is read from nowhere. */
static void tss_nowhere(void) {
    uint64_t *gdt;
    struct table gdtr;
    struct guest_fault fault;

    __asm__ volatile("sgdt %0" : "=m"(gdtr));
    gdt = (uint64_t *)gdtr.base;
    gdt[8] = UINT64_C(0x67) | (NOWHERE & 0xFFFFFF) << 16 | UINT64_C(0x89) << 40 | (NOWHERE >> 24) << 56;
    __asm__ volatile("ltr %w0" : : "r"(0x40));
    guest_catch_user(to_user, NULL, &fault);
}

static void not_emulated(void) {
    __asm__ volatile("clflush (%0); fxsave (%0)" : : "r"(NOWHERE) : "memory");
}

static void push_nowhere(void) {
    __asm__ volatile("mov %0, %%rsp; push %%rax" : : "r"(NOWHERE) : "memory");
}

/* ---- Ends ---- */
static void triple_fault(void) {
    guest_die();
}

static void port_cf9(void) {
    outb(0xCF9, 0xFF);
}

static void port_keyboard(void) {
    __asm__ volatile("outw %w0, %w1" : : "a"(0xAAFE), "d"(0x64));
}

static void restart_call(void) {
    __asm__ volatile("vmcall" : : "a"(HYPERCALL_RESTART) : "memory");
}

static void init_self_xapic(void) {
    guest_ipi(255, ICR_INIT);
}

static void init_self_x2apic(void) {
    guest_x2apic_on();
    wrmsr(MSR_X2APIC + APIC_ICR, BIT(32) | 0x4D00); /* logical */
}

/* The UART's interrupt, as INIT, to everybody. */
static void init_by_ioapic(void) {
    volatile uint32_t *ioapic = (volatile uint32_t *)IOAPIC;

    ioapic[0] = 0x19;
    ioapic[4] = 0xFF000000;
    ioapic[0] = 0x18;
    ioapic[4] = 0x500;
    outb(0x3FC, 0x08);
    outb(0x3F9, 0x02);
}

/* CPUID in the last two bytes of the lower half: what is behind it is not canonical, and #GP. */
static void call_edge(void *arg) {
    fetch(BIT(47) - 2);
}

static void canonical_edge(void) {
    static uint64_t tables[3][512] __attribute__((aligned(4096)));
    static uint8_t page[PAGE_SIZE] __attribute__((aligned(4096))) = {[4094] = 0x0F, [4095] = 0xA2};

    guest_pml4[255] = (uint64_t)tables[0] | PRESENT;
    for (unsigned i = 0; i < 3; i++)
        tables[i][511] = (i < 2 ? (uint64_t)tables[i + 1] : (uint64_t)page) | PRESENT;
    if (guest_fault_of(call_edge, NULL) == 13)
        port_cf9();
}

/* ---- Loops that no instruction ends: the second vCPU is in one, the first then resets the partition ---- */
static void reset_after(void (*loop)(void *)) {
    uint64_t until = rdtsc() + SPIN_TICKS;

    guest_cpu_run(1, loop, NULL);
    while (rdtsc() < until)
        __builtin_ia32_pause();
    port_cf9();
}

static void halt(void *arg) {
    guest_halt();
}

/* A breakpoint on the first instruction of the handler of #DB. */
static void debug(void *arg) {
    __asm__ volatile("mov %0, %%db0; mov %1, %%db7; mov %2, %%rsp; int1"
                     :
                     : "r"(guest_stubs + 16), "r"((uint64_t)BREAK_EXECUTE), "r"(STACK_TOP)
                     : "memory");
}

/* The handler of #AC pushes onto a stack that is not aligned. */
static void alignment(void *arg) {
    hostile_ac_loop();
}

static void endless_rep(void *arg) {
    uint64_t count = UINT64_MAX, from = 0;

    __asm__ volatile("1: rep outsb; jmp 1b" : "+c"(count), "+S"(from) : "d"(0x3A) : "memory");
}

static void init_storm(void *arg) {
    for (;;)
        guest_ipi(guest_cpu(), ICR_NMI | 0x80000);
}

LIFE(hangs_halted, reset_after, halt)
LIFE(hangs_debug, reset_after, debug)
LIFE(hangs_alignment, reset_after, alignment)
LIFE(hangs_string, reset_after, endless_rep)
LIFE(hangs_storm, reset_after, init_storm)

/* Both at once, each in its own way. */
static void die_too(void *arg) {
    for (volatile uint64_t i = 0; i < *(const uint64_t *)arg; i++)
        continue;
    guest_die();
}

static void die_together(uint64_t delay) {
    guest_cpu_run(1, die_too, &delay);
    for (volatile uint64_t i = 0; i < 300; i++)
        continue;
    port_cf9();
}
LIFE(together_first, die_together, 0)
LIFE(together_next, die_together, 300)
LIFE(together_last, die_together, 310)

#define NO_FETCH "instruction fetch from where nothing is"
#define NO_TABLE "page tables where nothing is"
#define NO_EVENT "event delivery through memory that is not there"
#define NOT_OURS "by an instruction that is not emulated"
#define RESETS   "resets the partition"
#define TRIPLE   "triple fault"
#define EITHER   "triple fault|resets"

/* First those that leave one line each in the log. */
const struct attack attacks_death[] = {
    {"port-cf9", port_cf9, 1, RESETS},
    {"port-keyboard", port_keyboard, 1, RESETS},
    {"restart-call", restart_call, 1, RESETS},
    {"init-xapic", init_self_xapic, 1, RESETS},
    {"init-x2apic", init_self_x2apic, 1, RESETS},
    {"init-ioapic", init_by_ioapic, 1, RESETS},
    {"canonical-edge", canonical_edge, 1, RESETS},
    {"hang-halted", hangs_halted, 2, RESETS},
    {"hang-debug", hangs_debug, 2, RESETS},
    {"hang-alignment", hangs_alignment, 2, RESETS},
    {"hang-string", hangs_string, 2, RESETS},
    {"hang-storm", hangs_storm, 2, RESETS},
    {"fetch-vga", fetch_vga, 1, NO_FETCH},
    {"fetch-nowhere", fetch_nowhere, 1, NO_FETCH},
    {"fetch-ecam", fetch_ecam, 1, NO_FETCH},
    {"fetch-ioapic", fetch_ioapic, 1, NO_FETCH},
    {"fetch-lapic", fetch_lapic, 1, NO_FETCH},
    {"fetch-firmware", fetch_firmware, 1, NO_FETCH},
    {"fetch-4g", fetch_4g, 1, NO_FETCH},
    {"fetch-top", fetch_top, 1, NO_FETCH},
    {"fetch-over-the-end", over_the_end, 1, NO_FETCH},
    {"fetch-half", half_an_instruction, 1, NO_FETCH},
    {"cr3-nowhere", cr3_nowhere, 1, NO_TABLE},
    {"cr3-lapic", cr3_lapic, 1, NO_TABLE},
    {"cr3-beyond", cr3_beyond, 1, NO_TABLE},
    {"directory-nowhere", directory_nowhere, 1, NO_TABLE},
    {"gdt-across", gdt_across, 1, NOT_OURS},
    {"gdt-lapic", gdt_lapic, 1, NOT_OURS},
    {"idt-across", idt_across, 1, NO_EVENT},
    {"idt-ioapic", idt_ioapic, 1, NO_EVENT},
    {"stack-nowhere", stack_nowhere, 1, NO_EVENT},
    {"tss-nowhere", tss_nowhere, 1, NO_EVENT},
    {"not-emulated", not_emulated, 1, NOT_OURS},
    {"push-nowhere", push_nowhere, 1, NOT_OURS},
    {"triple-fault", triple_fault, 1, TRIPLE},
    {"task-jump", hostile_task_jump, 1, "hardware task switch"},
    {"task-gate", hostile_task_gate, 1, "hardware task switch"},
    {"v8086", hostile_v8086, 1, TRIPLE},
    {"together-1", together_first, 2, EITHER},
    {"together-2", together_next, 2, EITHER},
    {"together-3", together_last, 2, EITHER},
    {0},
};
