/* SPDX-License-Identifier: Apache-2.0 */
/* What an exit must leave alone: every register, the FPU, the TLB of nobody else; and which ports exit at
 * all. */
#include "guests/rows/rows.h"

#include "core/str.h"

#define ALIAS      UINT64_C(0xC00000) /* two 2 MiB pages that the kit maps to themselves */
#define OTHER      UINT64_C(0xA00000)
#define PTE_GLOBAL BIT(8)
#define EXIT_IO    (HYPERCALL_COUNTER_EXIT_REASON + 30)

static uint64_t xmm_in[2] = {0x0123456789ABCDEF, 0xFEDCBA9876543210}, xmm_out[2];

/* CPUID changes four registers; OUT to nowhere changes none. All 16 hold known values around it. */
static bool registers_survive(void) {
    uint64_t sum;

    __asm__ volatile(
        "push %%rbp; movq %%rsp, %%xmm1\n"
        "mov $1, %%ebx; mov $2, %%ecx; mov $0x510, %%edx; mov $4, %%esi; mov $5, %%edi; mov $6, %%ebp\n"
        "mov $8, %%r8d; mov $9, %%r9d; mov $10, %%r10d; mov $11, %%r11d; mov $12, %%r12d\n"
        "mov $13, %%r13d; mov $14, %%r14d; mov $15, %%r15d; movabs $0xFFFFFFFF00000003, %%rax\n"
        "out %%al, %%dx\n"
        "xor $1, %%rbx; xor $2, %%rcx; xor $0x510, %%rdx; xor $4, %%rsi; xor $5, %%rdi; xor $6, %%rbp\n"
        "xor $8, %%r8; xor $9, %%r9; xor $10, %%r10; xor $11, %%r11; xor $12, %%r12\n"
        "xor $13, %%r13; xor $14, %%r14; xor $15, %%r15\n"
        "or %%rbx, %%rcx; or %%rdx, %%rcx; or %%rsi, %%rcx; or %%rdi, %%rcx; or %%rbp, %%rcx\n"
        "or %%r8, %%rcx; or %%r9, %%rcx; or %%r10, %%rcx; or %%r11, %%rcx; or %%r12, %%rcx\n"
        "or %%r13, %%rcx; or %%r14, %%rcx; or %%r15, %%rcx\n"
        "movabs $0xFFFFFFFF00000003, %%rdx; xor %%rdx, %%rax; or %%rcx, %%rax\n"
        "movq %%xmm1, %%rdx; xor %%rsp, %%rdx; or %%rdx, %%rax; pop %%rbp"
        : "=a"(sum)
        :
        : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory");
    return sum == 0;
}

static void registers(void) {
    uint64_t cr4;
    bool good = true;

    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | BIT(9) | BIT(10))); /* OSFXSR, OSXMMEXCPT */
    __asm__ volatile("movdqu (%0), %%xmm7" : : "r"(xmm_in));
    for (unsigned i = 0; i < 1000; i++)
        good = registers_survive() && good;
    __asm__ volatile("movdqu %%xmm7, (%0)" : : "r"(xmm_out) : "memory");
    EXPECT("V008 V012 V042 G15 I2 I3 I4 M12 M13 registers live through a thousand exits", good);
    EXPECT("G14 so does the FPU, which nobody saves", memcmp(xmm_in, xmm_out, sizeof(xmm_in)) == 0);
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4));
}

/* The partition has `ports = 0x2f8-0x2ff`: a whole sweep of the others exits once each. */
static void ports(void) {
    uint64_t before = guest_counter(EXIT_IO), at_first = 0, granted = 0;

    for (uint32_t port = 0; port < 0x10000; port++) {
        if (port == 0x2F8)
            at_first = guest_counter(EXIT_IO);
        if (port == 0x300)
            granted = guest_counter(EXIT_IO) - at_first;
        (void)inb((uint16_t)port);
    }
    uint64_t all = guest_counter(EXIT_IO) - before;

    EXPECT("C06 M06 granted ports do not exit", at_first == before + 0x2F8 && granted == 0);
    EXPECT("C06 M06 all others do", all == 0x10000 - 8);
}

/* What an earlier life left in the TLB must not be seen: a life ends with ALIAS mapped to OTHER by a global
 * page, which MOV CR3 does not forget. Bochs forgets everything at each VM entry: only a real CPU could fail
 * this. */
static void translations(void) {
    *(volatile uint64_t *)ALIAS = 1;
    *(volatile uint64_t *)OTHER = 2;
    EXPECT("V037 V038 V040 V082 C19 I6 no translation of an earlier life", *(volatile uint64_t *)ALIAS == 1);
}

void row_soil_translations(void) {
    uint64_t *entry = (uint64_t *)(guest_pml4[0] & ~UINT64_C(0xFFF)), cr4;

    entry = (uint64_t *)(entry[0] & ~UINT64_C(0xFFF)) + ALIAS / PAGE_2M;
    *entry = OTHER | 0x87 | PTE_GLOBAL;
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("mov %0, %%cr4; invlpg (%1)" : : "r"(cr4 | BIT(7)), "r"(ALIAS) : "memory");
    (void)*(volatile uint64_t *)ALIAS;
}

const struct row_test rows_run[] = {
    {"translations", translations, NULL, 0}, /* at each start */
    {"registers", registers, NULL, 0},
    {"ports", ports, NULL, 0},
    {0},
};
