/* SPDX-License-Identifier: Apache-2.0 */
/* What a vCPU finds: at the partition's start and after each restart, and after INIT and SIPI. "Processor
 * State After Reset" and "Local APIC State After It Receives an INIT Reset". */
#include "guests/rows/rows.h"

#define DR6_RESET 0xFFFF0FF0u
#define DR7_RESET 0x400u
#define SCRUBBED  UINT64_C(0x900000) /* RAM that nothing else uses */
#define MB1_MAGIC 0x2BADB002u

static bool is_zero(uint64_t from, uint64_t bytes) {
    const uint64_t *at = (const uint64_t *)from;

    for (uint64_t i = 0; i < bytes / 8; i++)
        if (at[i] != 0)
            return false;
    return true;
}

static bool debug_state_reset(const struct guest_state *s) {
    return s->dr0 == 0 && s->dr1 == 0 && s->dr2 == 0 && s->dr3 == 0 && s->dr6 == DR6_RESET &&
           s->dr7 == DR7_RESET;
}

static bool apic_reset(void) {
    static const uint8_t lvts[] = {0x32, 0x33, 0x34, 0x35, 0x36, 0x37};
    bool good = guest_apic_read(0x0F) == 0xFF && guest_apic_read(0x08) == 0 && guest_apic_read(0x38) == 0 &&
                guest_apic_read(0x39) == 0 && guest_apic_read(0x3E) == 0 && guest_apic_read(0x0D) == 0 &&
                guest_apic_read(0x0E) == UINT32_MAX && guest_apic_read(0x28) == 0;

    for (unsigned i = 0; i < ARRAY_SIZE(lvts); i++)
        good = good && guest_apic_read(lvts[i]) == 0x10000;
    for (unsigned i = 0x10; i < 0x28; i++)
        good = good && guest_apic_read(i) == 0;
    return good;
}

/* MSRs as RESET leaves them. Those of the kit's own: GS_BASE, and EFER with LME. */
static bool msrs_reset(void) {
    static const struct {
        uint32_t index;
        uint64_t value;
    } expected[] = {
        {0x3B, 0},       {0x1A0, 0x1801}, {0x250, 0x0606060606060606},
        {0x2FF, 0x806},  {0x174, 0},      {0x175, 0},
        {0x176, 0},      {0x1D9, 0},      {0x277, 0x0007040600070406},
        {0xC0000081, 0}, {0xC0000082, 0}, {0xC0000083, 0},
        {0xC0000084, 0}, {0xC0000100, 0}, {0xC0000102, 0},
    };
    bool good = true;

    for (unsigned i = 0; i < ARRAY_SIZE(expected); i++) {
        uint64_t value, vector = guest_rdmsr(expected[i].index, &value);

        if (vector != GUEST_NO_FAULT || value != expected[i].value) {
            guest_print("MSR 0x%x is 0x%lx, vector %ld\n", expected[i].index, value, (int64_t)vector);
            good = false;
        }
    }
    return good;
}

/* The initial state of XMM5 and MM3; then leaves something in both. */
static bool fpu_reset(void) {
    static const uint64_t pattern[2] = {0x1234, 0x5678};
    uint64_t cr4, xmm[2], mm = 0;

    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | BIT(9)));
    __asm__ volatile("movdqu %%xmm5, (%0)" : : "r"(xmm) : "memory");
    __asm__ volatile("movq %%mm3, %0" : "=r"(mm));
    __asm__ volatile("movdqu (%0), %%xmm5; movq %1, %%mm3; emms"
                     :
                     : "r"(pattern), "r"(pattern[0])
                     : "memory");
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4));
    return xmm[0] == 0 && xmm[1] == 0 && mm == 0;
}

/* Leave behind what a restart must clear. */
static void soil(void) {
    for (uint64_t i = 0; i < 512; i++)
        ((uint64_t *)SCRUBBED)[i] = 0x5EC2E7;
    wrmsr(0x174, 8);
    wrmsr(0x175, 0x1234);
    wrmsr(0x1A0, 0x1800);
    wrmsr(0x250, 0);
    wrmsr(0x2FF, 0);
    wrmsr(0x277, 0x0606060606060606);
    wrmsr(0xC0000082, 0x1234);
    wrmsr(0xC0000102, 0x1234);
    __asm__ volatile("mov %0, %%db0; mov %0, %%db3" : : "r"(UINT64_C(0x5000)));
    guest_apic_write(0x0F, 0x1FF);
    guest_apic_write(0x32, 0x20040);
    guest_apic_write(0x38, 0xFFFFFFFF);
    guest_apic_write(0x08, 0x50);
    guest_apic_write(0x08, 0);
}

static void start_state(void) {
    const struct guest_state *s = &guest_entry_state;

    EXPECT("V010 M01 registers at the start", s->eax == MB1_MAGIC && s->ebx != 0 && s->ecx == 0 &&
                                                  s->edi == 0 && s->esi == 0 && s->ebp == 0 && s->esp == 0 &&
                                                  s->eflags == 2 && s->edx == cpuid(1, 0).eax);
    EXPECT("V010 M01 control registers at the start",
           s->cr0 == 0x11 && s->cr2 == 0 && s->cr3 == 0 && s->cr4 == 0 && s->efer == 0);
    EXPECT("V010 V020 segments at the start",
           s->cs == 8 && s->ds == 0x10 && s->es == 0x10 && s->ss == 0x10 && s->fs == 0x10 && s->gs == 0x10);
    EXPECT("V028 IDTR at the start", s->idt_base == 0 && s->idt_limit == 0xFFFF);
    EXPECT("V030 GDTR at the start holds what the segments select", s->gdt_base != 0 && s->gdt_limit == 23);
    EXPECT("V010 V031 C07 debug registers at the start", debug_state_reset(s));
    EXPECT("V010 MSRs at the start", msrs_reset());
    EXPECT("V010 K10 APIC base at the start", rdmsr(MSR_APIC_BASE) == 0xFEE00900);
    EXPECT("V010 local APIC at the start", apic_reset());
    EXPECT("V010 G14 FPU at the start", fpu_reset());
    EXPECT("V007 memory at the start is scrubbed", is_zero(SCRUBBED, 4096));
    soil();
}

static void be_dirty(void *arg) {
    wrmsr(0x175, 0x5678);
    wrmsr(0x277, 0x0006060606060606);
    wrmsr(0xC0000082, 0x5678);
    __asm__ volatile("mov %0, %%db1; mov %0, %%cr2" : : "r"(UINT64_C(0x7000)));
    *(volatile bool *)arg = true;
    for (;;)
        __asm__ volatile("mov $-1, %%eax; mov $-1, %%ecx; mov $-1, %%esi; mov $-1, %%edi; pause"
                         :
                         :
                         : "rax", "rcx", "rsi", "rdi");
}

static uint64_t kept[3];

static void read_kept(void *arg) {
    kept[0] = rdmsr(0x175);
    kept[1] = rdmsr(0x277);
    kept[2] = rdmsr(0xC0000082);
}

static void init_state(void) {
    static volatile bool dirty;
    const struct guest_state *s = guest_cpu_state(GUEST_TRAMPOLINE);

    EXPECT("V105 SIPI starts a vCPU", guest_cpu_run(1, be_dirty, (void *)&dirty));
    EXPECT("V010 CR0 after RESET", s->cr0 == 0x60000010);
    while (!dirty)
        __builtin_ia32_pause();
    EXPECT("Y02 K09 INIT and SIPI again", guest_cpu_start(1, GUEST_TRAMPOLINE));
    EXPECT("V010 registers after INIT", s->eax == 0 && s->ebx == 0 && s->ecx == 0 &&
                                            s->edx == cpuid(1, 0).eax && s->esi == 0 && s->edi == 0 &&
                                            s->ebp == 0 && s->esp == 0 && s->eflags == 2);
    EXPECT("V010 V022 control registers after INIT",
           s->cr0 == 0x10 && s->cr2 == 0 && s->cr3 == 0 && s->cr4 == 0 && s->efer == 0);
    EXPECT("V105 CS by the SIPI's vector, the others 0", s->cs == GUEST_TRAMPOLINE >> 4 && s->ds == 0 &&
                                                             s->es == 0 && s->ss == 0 && s->fs == 0 &&
                                                             s->gs == 0);
    EXPECT("V010 descriptor tables after INIT",
           s->gdt_base == 0 && s->gdt_limit == 0xFFFF && s->idt_base == 0 && s->idt_limit == 0xFFFF);
    EXPECT("V010 V031 debug registers after INIT", debug_state_reset(s));
    EXPECT("V010 INIT keeps MSRs", guest_cpu_run(1, read_kept, NULL) && guest_cpu_wait(1, 10000000) &&
                                       kept[0] == 0x5678 && kept[1] == 0x0006060606060606 &&
                                       kept[2] == 0x5678);
    guest_cpu_stop(1);
}

const struct row_test rows_state[] = {
    {"start", start_state, NULL, 0},
    {"init", init_state, NULL, 2},
    {0},
};
