/* SPDX-License-Identifier: Apache-2.0 */
/* As many exits as there can be, of one kind for some time: what do they cost a neighbour? */
#include "guests/hostile/hostile.h"

#define TICKS   UINT64_C(8600000) /* two periods of the witness */
#define NO_PORT 0x3A
#define NO_MSR  0x123u
#define COM1    0x3F8u

static uint64_t end;

static void repeat(void *arg) {
    void (*once)(void) = (void (*)(void))arg;

    while (rdtsc() < end)
        once();
}

/* On all vCPUs. */
static void keep_busy(void (*once)(void)) {
    end = rdtsc() + TICKS;
    if (guest_nr_cpus() > 1)
        guest_cpu_run(1, repeat, (void *)once);
    repeat((void *)once);
    guest_cpu_wait(1, TICKS);
}

static void no_exit(void) {
}

static void do_cpuid(void) {
    (void)cpuid(0, 0);
}

static void refused_msr(void) {
    uint64_t value;

    guest_rdmsr(NO_MSR, &value);
}

static void absent_port(void) {
    outb(NO_PORT, 0);
}

static void absent_memory(void) {
    hostile_exchange(NOWHERE);
}

static void console_port(void) {
    (void)inb(COM1 + 5);
}

static void string(void) {
    static uint8_t bytes[16];
    uint64_t from = (uint64_t)bytes, count = sizeof(bytes);

    __asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(NO_PORT) : "memory");
}

static void hypercall(void) {
    uint64_t number = 0xFFFF;

    __asm__ volatile("vmcall" : "+a"(number) : "b"(0), "c"(0) : "memory");
}

static void caches(void) {
    __asm__ volatile("wbinvd" : : : "memory");
}

static void cr0(void) {
    uint64_t value;

    __asm__ volatile("mov %%cr0, %0; xor %1, %0; mov %0, %%cr0" : "=&r"(value) : "r"(BIT(30)) : "memory");
}

static void ignore(const struct guest_frame *frame) {
}

static void nmi(void) {
    guest_ipi(guest_cpu() ^ 1, ICR_NMI);
}

static void busy_spin(void) {
    keep_busy(no_exit);
}
#define BUSY(name)                                                                                           \
    static void busy_##name(void) {                                                                          \
        keep_busy(name);                                                                                     \
    }
BUSY(do_cpuid)
BUSY(refused_msr)
BUSY(absent_port)
BUSY(absent_memory)
BUSY(console_port)
BUSY(string)
BUSY(hypercall)
BUSY(caches)
BUSY(cr0)

static void busy_nmi(void) {
    guest_on_irq(2, ignore);
    guest_x2apic_on();
    keep_busy(nmi);
}

const struct attack attacks_busy[] = {
    {"busy-spin", busy_spin, 1, NULL},
    {"busy-cpuid", busy_do_cpuid, 1, NULL},
    {"busy-msr", busy_refused_msr, 1, NULL},
    {"busy-port", busy_absent_port, 1, NULL},
    {"busy-memory", busy_absent_memory, 1, NULL},
    {"busy-console", busy_console_port, 1, NULL},
    {"busy-string", busy_string, 1, NULL},
    {"busy-hypercall", busy_hypercall, 1, NULL},
    {"busy-caches", busy_caches, 1, NULL},
    {"busy-cr0", busy_cr0, 1, NULL},
    {"busy-nmi", busy_nmi, 2, NULL},
    {0},
};
