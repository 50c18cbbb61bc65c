/* SPDX-License-Identifier: Apache-2.0 */
/* The shortest way through a VM exit that still does its job: a hypervisor of one handler, with a guest in
 * the same address space that runs the CPUID loops of guests/bench. What its rows cost is the floor for every
 * other. Command line: `asm` has the handler in assembly, too. */
#include "arch/x86/vmcs.h"
#include "guests/bench/bench.h"

#define MSR_VMX_BASIC  0x480u
#define MSR_TRUE_PIN   0x48Du /* then primary, exit, entry */
#define MSR_CR0_FIXED0 0x486u
#define MSR_CR4_FIXED0 0x488u
#define MSR_GS_BASE    0xC0000101u
#define MSR_EFER       0xC0000080u

#define EXIT_CPUID     10u
#define EXIT_VMCALL    18u

#define IA32E          BIT(9) /* of the exit controls: the host's mode; of the entry controls: the guest's */
#define SEL_CODE       0x08
#define SEL_DATA       0x10
#define SEL_TSS        0x40
#define RIGHTS_CODE    0xA09Bu
#define RIGHTS_DATA    0xC093u
#define RIGHTS_TSS     0x8Bu
#define UNUSABLE       0x10000u

struct floor_regs { /* as floor.S pushes them */
    uint64_t rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
};

struct __attribute__((packed)) table_register {
    uint16_t limit;
    uint64_t base;
};

void floor_handle(struct floor_regs *regs);
_Noreturn void floor_end(void);
bool floor_launch(void); /* returns only if it fails */
extern const char floor_exit[], floor_exit_asm[];
extern uint64_t guest_gdt[];

static uint8_t vmxon_region[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
static uint8_t vmcs_region[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
static uint8_t host_stack[PAGE_SIZE] __attribute__((aligned(16)));
static uint8_t guest_stack[PAGE_SIZE] __attribute__((aligned(16)));

/* ---- The guest ---- */
BENCH_LOOP(empty, __asm__ volatile(""))
BENCH_LOOP(cpuid_0, cpuid(0, 0))
BENCH_LOOP(cpuid_1, cpuid(1, 0))
BENCH_LOOP(cpuid_7, cpuid(7, 0))
BENCH_LOOP(cpuid_hypervisor, cpuid(0x40000000, 0))

static struct {
    const char *name;
    uint64_t (*run)(unsigned turns);
    uint64_t ticks;
} rows[] = {
    {"cpuid-0", cpuid_0, 0},
    {"cpuid-1", cpuid_1, 0},
    {"cpuid-7", cpuid_7, 0},
    {"cpuid-40000000", cpuid_hypervisor, 0},
};

static void floor_guest(void) {
    uint64_t nothing = empty(BENCH_TURNS);

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        rows[i].run(2);
        rows[i].ticks = rows[i].run(BENCH_TURNS) - nothing;
    }
    __asm__ volatile("vmcall" : : : "memory");
}

/* ---- Its hypervisor ---- */
void vmx_instruction_failed(const char *instruction, uint64_t operand) {
    guest_print("floor: %s of 0x%lx failed\n", instruction, operand);
    guest_halt();
}

void floor_handle(struct floor_regs *regs) {
    struct cpuid leaf;

    if (vmcs_read(VMCS_EXIT_REASON) != EXIT_CPUID)
        floor_end();
    leaf = cpuid((uint32_t)regs->rax, (uint32_t)regs->rcx);
    regs->rax = leaf.eax;
    regs->rbx = leaf.ebx;
    regs->rcx = leaf.ecx;
    regs->rdx = leaf.edx;
    vmcs_write(VMCS_GUEST_RIP, vmcs_read(VMCS_GUEST_RIP) + vmcs_read(VMCS_EXIT_LENGTH));
}

/* Any other exit. */
void floor_end(void) {
    uint32_t reason = vmcs_read(VMCS_EXIT_REASON);

    if (reason != EXIT_VMCALL) {
        guest_print("floor: exit reason 0x%x at 0x%lx\n", reason, vmcs_read(VMCS_GUEST_RIP));
        guest_halt();
    }
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t tenths = (10 * rows[i].ticks + BENCH_TURNS / 2) / BENCH_TURNS;

        guest_print("bench: %s ticks %lu.%lu turns %u exits n/a\n", rows[i].name, tenths / 10, tenths % 10,
                    BENCH_TURNS);
    }
    guest_print("bench: done, %u rows\n", (unsigned)ARRAY_SIZE(rows));
    guest_halt();
}

static uint64_t read_cr(unsigned number) {
    uint64_t value;

    if (number == 0)
        __asm__ volatile("mov %%cr0, %0" : "=r"(value));
    else if (number == 3)
        __asm__ volatile("mov %%cr3, %0" : "=r"(value));
    else
        __asm__ volatile("mov %%cr4, %0" : "=r"(value));
    return value;
}

static void vmx_begin(void) {
    uint32_t revision = (uint32_t)rdmsr(MSR_VMX_BASIC) & 0x7FFFFFFF;

    __asm__ volatile("mov %0, %%cr0" : : "r"(read_cr(0) | rdmsr(MSR_CR0_FIXED0)));
    __asm__ volatile("mov %0, %%cr4" : : "r"(read_cr(4) | rdmsr(MSR_CR4_FIXED0)));
    *(uint32_t *)vmxon_region = revision;
    *(uint32_t *)vmcs_region = revision;
    vmx_on(hpa((uint64_t)vmxon_region));
    vmx_clear(hpa((uint64_t)vmcs_region));
    vmx_load(hpa((uint64_t)vmcs_region));
}

/* What the CPU wants, and `want`. */
static uint32_t control(unsigned which, uint64_t want) {
    return (uint32_t)(rdmsr(MSR_TRUE_PIN + which) | want);
}

static void write_controls(void) {
    vmcs_write(VMCS_PIN_CONTROLS, control(0, 0));
    vmcs_write(VMCS_PRIMARY_CONTROLS, control(1, 0));
    vmcs_write(VMCS_EXIT_CONTROLS, control(2, IA32E));
    vmcs_write(VMCS_ENTRY_CONTROLS, control(3, IA32E));
    vmcs_write(VMCS_EXCEPTION_BITMAP, 0);
    vmcs_write(VMCS_PF_ERROR_MASK, 0);
    vmcs_write(VMCS_PF_ERROR_MATCH, 0);
    vmcs_write(VMCS_CR3_TARGET_COUNT, 0);
    vmcs_write(VMCS_EXIT_MSR_STORE_COUNT, 0);
    vmcs_write(VMCS_EXIT_MSR_LOAD_COUNT, 0);
    vmcs_write(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
    vmcs_write(VMCS_ENTRY_INTERRUPT, 0);
    vmcs_write(VMCS_CR0_MASK, 0);
    vmcs_write(VMCS_CR4_MASK, 0);
    vmcs_write(VMCS_LINK_POINTER, UINT64_MAX);
}

static void write_host(const struct table_register *gdt, const struct table_register *idt, uint64_t tss) {
    vmcs_write(VMCS_HOST_CR0, read_cr(0));
    vmcs_write(VMCS_HOST_CR3, read_cr(3));
    vmcs_write(VMCS_HOST_CR4, read_cr(4));
    vmcs_write(VMCS_HOST_CS, SEL_CODE);
    vmcs_write(VMCS_HOST_SS, SEL_DATA);
    vmcs_write(VMCS_HOST_DS, SEL_DATA);
    vmcs_write(VMCS_HOST_ES, SEL_DATA);
    vmcs_write(VMCS_HOST_FS, 0);
    vmcs_write(VMCS_HOST_GS, 0);
    vmcs_write(VMCS_HOST_TR, SEL_TSS);
    vmcs_write(VMCS_HOST_FS_BASE, 0);
    vmcs_write(VMCS_HOST_GS_BASE, rdmsr(MSR_GS_BASE));
    vmcs_write(VMCS_HOST_TR_BASE, tss);
    vmcs_write(VMCS_HOST_GDTR_BASE, gdt->base);
    vmcs_write(VMCS_HOST_IDTR_BASE, idt->base);
    vmcs_write(VMCS_HOST_SYSENTER_CS, 0);
    vmcs_write(VMCS_HOST_SYSENTER_ESP, 0);
    vmcs_write(VMCS_HOST_SYSENTER_EIP, 0);
    vmcs_write(VMCS_HOST_RSP, (uint64_t)host_stack + sizeof(host_stack) - 8); /* 16-aligned at the call */
    vmcs_write(VMCS_HOST_RIP, (uint64_t)(guest_has_word("asm") ? floor_exit_asm : floor_exit));
}

static void write_segment(unsigned index, uint16_t selector, uint64_t base, uint32_t limit, uint32_t rights) {
    vmcs_write((vmcs_16){VMCS_GUEST_ES.encoding + 2 * index}, selector);
    vmcs_write((vmcs_n){VMCS_GUEST_ES_BASE.encoding + 2 * index}, base);
    vmcs_write((vmcs_32){VMCS_GUEST_ES_LIMIT.encoding + 2 * index}, limit);
    vmcs_write((vmcs_32){VMCS_GUEST_ES_RIGHTS.encoding + 2 * index}, rights);
}

/* It goes on in the state that we are in, with its own stack. */
static void write_guest(const struct table_register *gdt, const struct table_register *idt, uint64_t tss) {
    vmcs_write(VMCS_GUEST_CR0, read_cr(0));
    vmcs_write(VMCS_GUEST_CR3, read_cr(3));
    vmcs_write(VMCS_GUEST_CR4, read_cr(4));
    for (unsigned i = 0; i < 6; i++) /* ES CS SS DS FS GS */
        write_segment(i, i == 1 ? SEL_CODE : SEL_DATA, 0, UINT32_MAX, i == 1 ? RIGHTS_CODE : RIGHTS_DATA);
    write_segment(6, 0, 0, 0, UNUSABLE); /* LDTR */
    write_segment(7, SEL_TSS, tss, 0x67, RIGHTS_TSS);
    vmcs_write(VMCS_GUEST_GDTR_BASE, gdt->base);
    vmcs_write(VMCS_GUEST_GDTR_LIMIT, gdt->limit);
    vmcs_write(VMCS_GUEST_IDTR_BASE, idt->base);
    vmcs_write(VMCS_GUEST_IDTR_LIMIT, idt->limit);
    vmcs_write(VMCS_GUEST_DEBUGCTL, 0);
    vmcs_write(VMCS_GUEST_DR7, 0x400);
    vmcs_write(VMCS_GUEST_SYSENTER_CS, 0);
    vmcs_write(VMCS_GUEST_SYSENTER_ESP, 0);
    vmcs_write(VMCS_GUEST_SYSENTER_EIP, 0);
    vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
    vmcs_write(VMCS_GUEST_ACTIVITY, 0);
    vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
    vmcs_write(VMCS_GUEST_RFLAGS, 2);
    vmcs_write(VMCS_GUEST_RSP, (uint64_t)guest_stack + sizeof(guest_stack) - 8);
    vmcs_write(VMCS_GUEST_RIP, (uint64_t)floor_guest);
}

void guest_main(void) {
    uint64_t tss = guest_gdt[SEL_TSS / 8] >> 16 & 0xFFFFFF; /* below 16 MiB */
    struct table_register gdt, idt;

    __asm__ volatile("sgdt %0" : "=m"(gdt));
    __asm__ volatile("sidt %0" : "=m"(idt));
    vmx_begin();
    write_controls();
    write_host(&gdt, &idt, tss);
    write_guest(&gdt, &idt, tss);
    floor_launch();
    guest_print("floor: no VM entry: error %u\n", vmcs_read(VMCS_INSTRUCTION_ERROR));
}
