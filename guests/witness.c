/* SPDX-License-Identifier: Apache-2.0 */
/* Does a neighbour get through? Over and over this checks what is its own: memory that nobody else should
 * write, registers that no VMCS field holds, its local APIC, its timer. Once a period it says how many of
 * those were not as it had left them, how many TSC ticks a piece of that work took, and what was typed.
 * Command line: kib=1024 (the memory that is watched), lines=0 (for ever), quiet (after the first only those
 * in which something was typed). */
#include "guests/lib/guest.h"

#include "core/str.h"

#define PERIOD       BIT(22) /* TSC ticks */
#define WORDS        512     /* of memory, a piece of work */
#define VECTOR       0x40
#define LVT_TIMER    (MSR_X2APIC + 0x32)
#define TSC_DEADLINE BIT(18)
#define AHEAD        400 /* ticks to the deadline */
#define PATTERN      UINT64_C(0x9E3779B97F4A7C15)
#define MEMORY       ((volatile uint64_t *)UINT64_C(0x200000))
#define APIC_TPR     0x08
#define APIC_ISR     0x10 /* eight registers each */
#define APIC_IRR     0x20

static struct period {
    uint64_t units, sum, min, max, late; /* ticks; the last: the worst of a deadline */
} period;
static struct faults { uint64_t memory, registers, apic, timer, strays; } faults;
static volatile uint64_t fired, strays;

static void on_timer(const struct guest_frame *frame) {
    fired = frame->tsc;
    wrmsr(MSR_X2APIC + APIC_EOI, 0);
}

static void on_stray(const struct guest_frame *frame) {
    strays++;
    if (frame->vector != 2)
        wrmsr(MSR_X2APIC + APIC_EOI, 0);
}

static void check_memory(uint64_t words) {
    static uint64_t at;

    for (unsigned i = 0; i < WORDS; i++, at = at + 1 < words ? at + 1 : 0) {
        faults.memory += MEMORY[at] != at * PATTERN;
        MEMORY[at] = at * PATTERN;
    }
}

/* All that a neighbour's core has too, and that an exit of its could mix up: kept for some time. */
static bool registers_stay(void) {
    uint64_t differ, scratch;

    __asm__ volatile(
        "push %%rbp; mov $3, %%ebx; mov $5, %%ebp; mov $6, %%esi; mov $7, %%edi; mov $8, %%r8d\n"
        "mov $9, %%r9d; mov $10, %%r10d; mov $11, %%r11d; mov $12, %%r12d; mov $13, %%r13d\n"
        "mov $14, %%r14d; mov $15, %%r15d; movq %%rsp, %%xmm3; mov $200, %%ecx\n"
        "1: dec %%ecx; jnz 1b\n"
        "xor $3, %%rbx; xor $5, %%rbp; xor $6, %%rsi; xor $7, %%rdi; xor $8, %%r8; xor $9, %%r9\n"
        "xor $10, %%r10; xor $11, %%r11; xor $12, %%r12; xor $13, %%r13; xor $14, %%r14\n"
        "xor $15, %%r15; movq %%xmm3, %%rax; xor %%rsp, %%rax\n"
        ".irp reg, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15\n"
        "or %%\\reg, %%rax\n.endr\n"
        "pop %%rbp; mov %%cr2, %%rdx; xor %%rdx, %%rax"
        : "=a"(differ), "=d"(scratch)
        :
        : "rbx", "rcx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory");
    __asm__ volatile("mov %%db0, %0" : "=r"(scratch));
    differ |= scratch ^ PATTERN >> 20;
    __asm__ volatile("mov %%db3, %0" : "=r"(scratch));
    differ |= scratch ^ PATTERN >> 20;
    return differ == PATTERN; /* CR2 */
}

static void set_registers(void) {
    uint64_t cr4;

    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | BIT(9) | BIT(10))); /* OSFXSR, OSXMMEXCPT */
    __asm__ volatile("mov %0, %%cr2" : : "r"(PATTERN));
    __asm__ volatile("mov %0, %%db0; mov %0, %%db3" : : "r"(PATTERN >> 20));
}

/* No interrupt is pending or in service while interrupts are off and none was asked for. */
static void check_apic(void) {
    uint64_t bits = rdmsr(MSR_X2APIC + APIC_TPR);

    for (unsigned i = 0; i < 8; i++)
        bits |= rdmsr(MSR_X2APIC + APIC_ISR + i) | rdmsr(MSR_X2APIC + APIC_IRR + i);
    faults.apic += bits != 0;
}

static void check_timer(void) {
    uint64_t deadline = rdtsc() + AHEAD, give_up = deadline + PERIOD;

    fired = 0;
    wrmsr(MSR_TSC_DEADLINE, deadline);
    while (fired == 0 && rdtsc() < give_up)
        __asm__ volatile("sti; pause; cli" : : : "memory");
    if (fired < deadline)
        faults.timer++; /* early or never */
    else if (fired - deadline > period.late)
        period.late = fired - deadline;
}

static void work(uint64_t words) {
    uint64_t start = rdtsc(), spent;

    check_memory(words);
    faults.registers += !registers_stay();
    check_apic();
    spent = rdtsc() - start;
    period.units++;
    period.sum += spent;
    period.min = spent < period.min ? spent : period.min;
    period.max = spent > period.max ? spent : period.max;
    check_timer();
}

/* What was typed since the last time. */
static void heard(char *text, unsigned room) {
    while (--room > 0 && (inb(0x3FD) & 1) != 0)
        *text++ = (char)inb(0x3F8);
    *text = '\0';
}

/* By hypercalls; returns the ticks of the longest. */
static uint64_t say(const char *text) {
    uint64_t longest = 0;

    for (size_t left = str_length(text); left > 0;) {
        uint64_t bytes = 0, count = left < 8 ? left : 8, taken, start;

        memcpy(&bytes, text, count);
        start = rdtsc();
        guest_hypercall(HYPERCALL_WRITE, bytes, count, &taken);
        longest = rdtsc() - start > longest ? rdtsc() - start : longest;
        text += taken;
        left -= taken;
    }
    return longest;
}

void guest_main(void) {
    uint64_t words = guest_number("kib", 1024) * 128, lines = guest_number("lines", 0), longest = 0;
    char text[256], typed[32];

    if (!guest_x2apic_on())
        return;
    for (unsigned vector = 32; vector < 256; vector++)
        guest_on_irq(vector, vector == VECTOR ? on_timer : on_stray);
    guest_on_irq(2, on_stray);
    wrmsr(LVT_TIMER, VECTOR | TSC_DEADLINE);
    set_registers();
    for (uint64_t at = 0; at < words; at++)
        MEMORY[at] = at * PATTERN;
    for (uint64_t line = 1; lines == 0 || line <= lines; line++) {
        uint64_t begin = rdtsc(), exits = guest_exits();

        period = (struct period){.min = UINT64_MAX};
        while (rdtsc() - begin < PERIOD)
            work(words);
        exits = guest_exits() - exits - 1;
        faults.strays = strays;
        heard(typed, sizeof(typed));
        size_t used =
            str_format(text, sizeof(text), "witness: %lu from %lu to %lu units %lu ticks %lu %lu %lu ", line,
                       begin, rdtsc(), period.units, period.min, period.sum / period.units, period.max);
        str_format(text + used, sizeof(text) - used,
                   "late %lu exits %lu said %lu faults %lu %lu %lu %lu %lu heard %s\n", period.late, exits,
                   longest, faults.memory, faults.registers, faults.apic, faults.timer, faults.strays, typed);
        if (line == 1 || typed[0] != '\0' || !guest_has_word("quiet"))
            longest = say(text);
    }
}
