/* SPDX-License-Identifier: Apache-2.0 */
/* Do cores that are in the hypervisor at the same time slow each other down? Every CPU of every partition
 * runs this; in each slot of the common TSC a number of them executes one exiting instruction over and over,
 * and all others spin without an exit, so that the same number of CPUs is busy throughout. Command line:
 * first=0 (number of this partition's CPU 0 among all), busy=1,2,4,7 (how many of them work), phase=0 (TSC
 * ticks by which the slots are shifted). */
#include "guests/lib/guest.h"

#define TIMES     500u
#define SLOT      BIT(18) /* ticks */
#define BEGIN     BIT(22) /* the first slot begins at a multiple of this */
#define MAX_STEPS 4
#define NO_PORT   0x3A /* nothing is there in any partition */
#define MISC      0x1A0
#define BIOS_SIGN 0x8B
#define CR0_CD    BIT(30)
#define NO_CALL   0xFFFF

static void do_cpuid(void) {
    (void)cpuid(0, 0);
}

static void do_rdmsr(void) {
    (void)rdmsr(MISC);
}

static void do_wrmsr(void) {
    wrmsr(BIOS_SIGN, 0);
}

static void do_out(void) {
    outb(NO_PORT, 0);
}

static void do_cr0(void) {
    uint64_t value;

    __asm__ volatile("mov %%cr0, %0; xor %1, %0; mov %0, %%cr0" : "=&r"(value) : "r"(CR0_CD) : "memory");
}

static void do_vmcall(void) {
    uint64_t number = NO_CALL;

    __asm__ volatile("vmcall" : "+a"(number) : "b"(0), "c"(0) : "memory");
}

static const struct row {
    const char *name;
    void (*once)(void);
} rows[] = {{"cpuid", do_cpuid}, {"rdmsr", do_rdmsr}, {"wrmsr", do_wrmsr},
            {"out", do_out},     {"cr0", do_cr0},     {"vmcall", do_vmcall}};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static uint64_t first, begin;
static unsigned busy[MAX_STEPS], steps;
static uint64_t ticks[GUEST_MAX_CPUS][ROWS][MAX_STEPS]; /* of TIMES; 0 = it did not work */

static void work(void *arg) {
    uint64_t at = begin;
    (void)arg;
    for (unsigned row = 0; row < ROWS; row++) {
        for (unsigned step = 0; step < steps; step++, at += SLOT) {
            while (rdtsc() < at)
                continue;
            if (first + guest_cpu() >= busy[step])
                continue;
            uint64_t start = rdtsc();
            for (unsigned i = 0; i < TIMES; i++)
                rows[row].once();
            ticks[guest_cpu()][row][step] = rdtsc() - start;
        }
    }
    while (rdtsc() < at)
        continue;
}

/* "busy=1,2,4,7": numbers of one digit. */
static void read_busy(void) {
    const char *at = guest_cmdline();

    for (; *at != '\0' && (at[0] != 'b' || at[4] != '='); at++)
        continue;
    for (at += *at != '\0' ? 5 : 0; steps < MAX_STEPS && *at >= '1' && *at <= '9'; at += at[1] == ',' ? 2 : 1)
        busy[steps++] = (unsigned)(*at - '0');
}

void guest_main(void) {
    unsigned cpus = guest_nr_cpus();

    first = guest_number("first", 0);
    read_busy();
    for (unsigned cpu = 1; cpu < cpus; cpu++)
        if (!guest_cpu_start(cpu, GUEST_TRAMPOLINE))
            guest_print("scale: CPU %u does not start\n", cpu);
    begin = (rdtsc() + BEGIN) / BEGIN * BEGIN + guest_number("phase", 0);
    for (unsigned cpu = 1; cpu < cpus; cpu++)
        (void)guest_cpu_run(cpu, work, NULL);
    work(NULL);
    for (unsigned cpu = 1; cpu < cpus; cpu++)
        (void)guest_cpu_wait(cpu, SLOT);
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        for (unsigned row = 0; row < ROWS; row++)
            for (unsigned step = 0; step < steps; step++)
                if (ticks[cpu][row][step] != 0)
                    guest_print("scale: begin %lu cpu %lu %s busy %u ticks %lu\n", begin, first + cpu,
                                rows[row].name, busy[step], ticks[cpu][row][step]);
    guest_print("scale: done\n");
    guest_halt(); /* stopping would be a VMCALL that takes other paths than the one measured */
}
