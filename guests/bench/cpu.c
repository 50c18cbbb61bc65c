/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions about the CPU itself. */
#include "guests/bench/bench.h"

#define CR0_NE       BIT(5)
#define CR4_OSXSAVE  BIT(18)

#define NO_SUCH_CALL 0x7E57u

/* Kept for each guest by KVM and by Mullion, there in every CPU with MTRRs, and without effect when it is
 * written with what it holds. */
#define MTRR_DEF_TYPE 0x2FFu

static uint64_t def_type, xcr0;

static uint64_t read_cr0(void) {
    uint64_t value;

    __asm__ volatile("mov %%cr0, %0" : "=r"(value));
    return value;
}

static uint64_t read_cr3(void) {
    uint64_t value;

    __asm__ volatile("mov %%cr3, %0" : "=r"(value));
    return value;
}

static void xsetbv(uint64_t value) {
    __asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

BENCH_LOOP(cpuid_0, cpuid(0, 0))
BENCH_LOOP(cpuid_1, cpuid(1, 0))
BENCH_LOOP(cpuid_7, cpuid(7, 0))
BENCH_LOOP(cpuid_hypervisor, cpuid(0x40000000, 0))
BENCH_LOOP(run_rdmsr, rdmsr(MTRR_DEF_TYPE))
BENCH_LOOP(run_wrmsr, wrmsr(MTRR_DEF_TYPE, def_type))
BENCH_LOOP(run_xsetbv, xsetbv(xcr0))
BENCH_LOOP(run_invlpg, __asm__ volatile("invlpg 0x800000" : : : "memory"))

static void vmcall(void) {
    uint64_t rax = NO_SUCH_CALL;

    __asm__ volatile("vmcall" : "+a"(rax) : : "memory");
}

BENCH_LOOP(run_vmcall, vmcall())

static uint64_t run_cr0(unsigned turns) {
    uint64_t value = read_cr0(), start = rdtsc();

    for (unsigned i = 0; i < turns; i++) {
        value ^= CR0_NE;
        __asm__ volatile("mov %0, %%cr0" : : "r"(value) : "memory");
    }
    return rdtsc() - start;
}

static uint64_t run_cr3(unsigned turns) {
    uint64_t value = read_cr3(), start = rdtsc();

    for (unsigned i = 0; i < turns; i++)
        __asm__ volatile("mov %0, %%cr3" : : "r"(value) : "memory");
    return rdtsc() - start;
}

static void do_vmcall(void *arg) {
    (void)arg;
    vmcall();
}

static const char *no_vmcall(void) {
    return guest_fault_of(do_vmcall, NULL) == GUEST_NO_FAULT ? NULL : "VMCALL is undefined";
}

static const char *no_msr(void) {
    return guest_rdmsr(MTRR_DEF_TYPE, &def_type) == GUEST_NO_FAULT &&
                   guest_wrmsr(MTRR_DEF_TYPE, def_type) == GUEST_NO_FAULT
               ? NULL
               : "no IA32_MTRR_DEF_TYPE";
}

static const char *no_xsave(void) {
    uint32_t low, high;
    uint64_t cr4;

    if ((cpuid(1, 0).ecx & BIT(26)) == 0)
        return "no XSAVE";
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | CR4_OSXSAVE));
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    xcr0 = (uint64_t)high << 32 | low;
    return NULL;
}

const struct bench_row bench_cpu[] = {
    {.name = "cpuid-0", cpuid_0, .loop = true},
    {.name = "cpuid-1", cpuid_1, .loop = true},
    {.name = "cpuid-7", cpuid_7, .loop = true},
    {.name = "cpuid-40000000", cpuid_hypervisor, .loop = true},
    {.name = "rdmsr", run_rdmsr, no_msr, .loop = true},
    {.name = "wrmsr", run_wrmsr, no_msr, .loop = true},
    {.name = "vmcall", run_vmcall, no_vmcall, .loop = true},
    {.name = "mov-cr0", run_cr0, .loop = true}, /* CR0.NE, on and off */
    {.name = "xsetbv", run_xsetbv, no_xsave, .loop = true},
    {.name = "mov-cr3", run_cr3, .loop = true},
    {.name = "invlpg", run_invlpg, .loop = true},
    {.name = NULL},
};
