/* SPDX-License-Identifier: Apache-2.0 */
/* What happens around an instruction that exits (trap flag, shadows, breakpoints), and NMIs. */
#include "guests/rows/rows.h"

#include "core/hypercall_abi.h"
#include "core/str.h"

#define RFLAGS_TF BIT(8)
#define RFLAGS_RF BIT(16)
#define DR6_B0    BIT(0)
#define DR6_B1    BIT(1)
#define DR6_BS    BIT(14)
#define DR6_RESET UINT64_C(0xFFFF0FF0)
#define VECTOR    0x42

static struct {
    uint64_t rip[8], dr6[8];
    volatile unsigned count;
} seen;

static void see(const struct guest_frame *frame) {
    uint64_t dr6;

    __asm__ volatile("mov %%db6, %0" : "=r"(dr6));
    if (seen.count < ARRAY_SIZE(seen.rip)) {
        seen.rip[seen.count] = frame->rip;
        seen.dr6[seen.count] = dr6;
    }
    seen.count++;
}

/* Once: then steps no further, and a breakpoint on the instruction at hand lets it run. */
static void on_debug(const struct guest_frame *frame) {
    struct guest_frame *back = (struct guest_frame *)frame;

    see(frame);
    back->rflags = (frame->rflags & ~RFLAGS_TF) | RFLAGS_RF;
    __asm__ volatile("mov %0, %%db6" : : "r"(DR6_RESET));
}

static void on_interrupt(const struct guest_frame *frame) {
    see(frame);
    guest_apic_write(APIC_EOI, 0);
}

static void single_step(void) {
    uint64_t after;

    guest_on_irq(1, on_debug);
    seen.count = 0;
    __asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; cpuid\n"
                     "1: lea 1b(%%rip), %0"
                     : "=&r"(after)
                     : "a"(0), "c"(0)
                     : "rbx", "rdx", "memory");
    EXPECT("V044 V034 V035 X08 a step over CPUID ends behind it", seen.count == 1 && seen.rip[0] == after);
    EXPECT("V044 X01 with DR6.BS", seen.dr6[0] == (DR6_RESET | DR6_BS));
    guest_on_irq(1, NULL);
}

static void sti_shadow(void) {
    uint64_t after;

    guest_on_irq(VECTOR, on_interrupt);
    guest_apic_write(0x0F, 0x1FF);
    seen.count = 0;
    guest_ipi(0, ICR_FIXED | VECTOR);
    __asm__ volatile("sti; cpuid\n"
                     "1: nop; cli; lea 1b(%%rip), %0"
                     : "=&r"(after)
                     : "a"(0), "c"(0)
                     : "rbx", "rdx", "memory");
    EXPECT("V046 V047 V053 the shadow of STI ends behind an instruction that exits",
           seen.count == 1 && seen.rip[0] == after);
}

/* CPUID in the shadow of MOV SS under TF: the step comes behind CPUID, not behind MOV SS. */
static void mov_ss_shadow(void) {
    uint64_t after;

    guest_on_irq(1, on_debug);
    seen.count = 0;
    __asm__ volatile("mov %%ss, %%esi; pushfq; orl $0x100, (%%rsp); popfq; mov %%esi, %%ss; cpuid\n"
                     "1: lea 1b(%%rip), %0"
                     : "=&r"(after)
                     : "a"(0), "c"(0)
                     : "rbx", "rdx", "rsi", "memory");
    EXPECT("V046 V047 the shadow of MOV SS ends behind an instruction that exits",
           seen.count == 1 && seen.rip[0] == after);
    guest_on_irq(1, NULL);
}

/* Where TF meets a shadow or a halt, entry wants a step to be pending, or no shadow and no halt. */
static void step_over_int1(void) {
    uint64_t after;

    guest_on_irq(1, on_debug);
    seen.count = 0;
    __asm__ volatile("mov %%ss, %%esi; pushfq; orl $0x100, (%%rsp); popfq; mov %%esi, %%ss; .byte 0xf1\n"
                     "1: lea 1b(%%rip), %0"
                     : "=&r"(after)
                     :
                     : "rsi", "memory");
    EXPECT("V046 X01 INT1 in the shadow of MOV SS under TF", seen.count >= 1 && seen.rip[0] == after);
    guest_on_irq(1, NULL);
}

static void step_over_wait(void) {
    uint64_t after, result = HYPERCALL_WAIT, until = rdtsc() + 1000000000;

    guest_on_irq(1, on_debug);
    seen.count = 0;
    __asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; vmcall\n"
                     "1: lea 1b(%%rip), %0"
                     : "=&r"(after), "+a"(result)
                     : "b"(until), "c"(0)
                     : "memory");
    EXPECT("V044 X49 a step over a wait ends it", seen.count == 1 && seen.rip[0] == after && rdtsc() < until);
    guest_on_irq(1, NULL);
}

static void skip_rdmsr(const struct guest_frame *frame) {
    see(frame);
    seen.rip[0] = frame->rflags;
    ((struct guest_frame *)frame)->rip += 2;
}

static void fault_flags(void) {
    guest_on_irq(13, skip_rdmsr);
    seen.count = 0;
    __asm__ volatile("rdmsr" : : "c"(0x480) : "rax", "rdx", "memory");
    EXPECT("V051 X09 a fault that is injected pushes RF", seen.count == 1 && (seen.rip[0] & RFLAGS_RF) != 0);
    guest_on_irq(13, NULL);
}

static void breakpoints(void) {
    uint64_t first, second;

    guest_on_irq(1, on_debug);
    seen.count = 0;
    __asm__ volatile("lea 1f(%%rip), %0; mov %0, %%db0; lea 2f(%%rip), %1; mov %1, %%db1\n"
                     "mov $0x405, %%esi; mov %%rsi, %%db7\n"
                     "1: cpuid\n"
                     "2: nop\n"
                     "mov $0x400, %%esi; mov %%rsi, %%db7"
                     : "=&r"(first), "=&r"(second)
                     : "a"(0), "c"(0)
                     : "rbx", "rdx", "rsi", "memory");
    EXPECT("C07 V031 X07 breakpoints on CPUID and behind it",
           seen.count == 2 && seen.rip[0] == first && seen.rip[1] == second);
    EXPECT("C07 with the right bits of DR6",
           seen.dr6[0] == (DR6_RESET | DR6_B0) && seen.dr6[1] == (DR6_RESET | DR6_B1));

    seen.count = 0;
    __asm__ volatile(".byte 0xf1\n"
                     "1: lea 1b(%%rip), %0"
                     : "=r"(first));
    EXPECT("X01 V051 INT1 returns behind itself",
           seen.count == 1 && seen.rip[0] == first && seen.dr6[0] == DR6_RESET);
    guest_on_irq(1, NULL);
}

/* ---- NMIs ---- */
static volatile unsigned nmis, deepest, depth;
static volatile bool send_second, second_sent;

static void send_nmi(void *arg) {
    guest_ipi(0, ICR_NMI);
}

static void send_two(void *arg) {
    guest_ipi(0, ICR_NMI);
    while (!send_second)
        __builtin_ia32_pause();
    guest_ipi(0, ICR_NMI);
    second_sent = true;
}

static void on_nmi(const struct guest_frame *frame) {
    uint64_t end = rdtsc() + 2000000;

    if (++depth > deepest)
        deepest = depth;
    if (nmis++ == 0) {
        send_second = true;
        while (!second_sent && rdtsc() < end)
            __builtin_ia32_pause();
        for (volatile unsigned i = 0; i < 10000; i++)
            ;
    }
    depth--;
}

static void two_nmis(void) {
    uint64_t end = rdtsc() + 20000000;

    guest_on_irq(2, on_nmi);
    nmis = deepest = depth = 0;
    send_second = second_sent = false;
    EXPECT("V050 NMI IPI is sent", guest_cpu_run(1, send_two, NULL));
    while (nmis < 2 && rdtsc() < end)
        __builtin_ia32_pause();
    EXPECT("X04 V050 V057 G07 two NMIs in a row arrive", nmis == 2);
    EXPECT("V054 V055 the second waits for the first one's IRET",
           deepest == 1 && guest_cpu_wait(1, 10000000));
    guest_on_irq(2, NULL);
}

/* The other CPU waits, so that this one is halted when the NMI comes. */
static void send_nmi_later(void *arg) {
    for (volatile unsigned i = 0; i < 100000; i++)
        ;
    send_nmi(arg);
}

static void nmi_wakes(void) {
    guest_on_irq(2, see);
    seen.count = 0;
    EXPECT("V050 other CPU runs", guest_cpu_run(1, send_nmi_later, NULL));
    while (seen.count == 0)
        __asm__ volatile("cli; hlt"); /* the emulator ends a HLT at any exit */
    EXPECT("V050 X12 an NMI wakes from HLT", seen.count == 1 && guest_cpu_wait(1, 10000000));
    guest_on_irq(2, NULL);
}

/* ---- #AC and #DB ---- */
static void set_am(bool on) {
    uint64_t cr0;

    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    __asm__ volatile("mov %0, %%cr0" : : "r"(on ? cr0 | BIT(18) : cr0 & ~BIT(18)));
}

static void misalign(void *arg) {
    static volatile uint64_t words[2];

    __asm__ volatile("pushfq; orl $0x40000, (%%rsp); popfq; mov 1(%0), %%eax"
                     :
                     : "r"(words)
                     : "rax", "memory");
}

static void alignment(void) {
    struct guest_fault fault = {0};

    set_am(true);
    EXPECT("X01 V014 M05 #AC is passed on",
           guest_catch_user(misalign, NULL, &fault) && fault.vector == 17 && fault.error == 0);
    set_am(false);
}

/* A data breakpoint where the delivery of #DB pushes: each delivery makes the next. */
static void storm(void *arg) {
    uint64_t rsp;

    __asm__ volatile("mov %%rsp, %0" : "=r"(rsp));
    for (uint64_t at = (rsp & ~UINT64_C(15)) - 8, i = 0; i < 1; i++)
        __asm__ volatile("mov %0, %%db0; mov %1, %%db7" : : "r"(at), "r"(UINT64_C(0x00090401)));
    *(volatile bool *)arg = true;
    for (;;)
        __asm__ volatile("push %%rax; pop %%rax" : : : "memory");
}

static void on_storm(const struct guest_frame *frame) {
}

/* The console's NMIs may come at any time; two hypercalls. */
static uint64_t exits_but_nmis(void) {
    return guest_exits() - guest_counter(HYPERCALL_COUNTER_EXIT_REASON + 0);
}

static void debug_storm(void) {
    static volatile bool started;
    uint64_t exits, end = rdtsc() + 1000000;

    guest_on_irq(1, on_storm);
    EXPECT("X01 X52 #DB storm on the other vCPU", guest_cpu_run(1, storm, (void *)&started));
    while (!started || rdtsc() < end)
        __builtin_ia32_pause();
    exits = exits_but_nmis();
    for (volatile unsigned i = 0; i < 10000; i++)
        ;
    EXPECT("X01 does not reach this one", exits_but_nmis() - exits == 2);
    EXPECT("X01 V101 Y01 G07 and ends by INIT", guest_cpu_start(1, GUEST_TRAMPOLINE));
    guest_on_irq(1, NULL);
}

/* ---- An exit in the middle of a delivery ---- */
void row_legacy_interrupt(void); /* legacy.S */
extern volatile uint32_t row_legacy_acs, row_legacy_interrupts;

static void held_interrupt(void) {
    uint64_t gs = rdmsr(0xC0000101), windows = guest_counter(HYPERCALL_COUNTER_EXIT_REASON + 7);

    wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) & ~(BIT(11) | BIT(10)));
    wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BIT(11)); /* xAPIC mode, whatever it was */
    guest_apic_write(0x0F, 0x1FF);
    row_legacy_interrupt();
    wrmsr(0xC0000101, gs);
    EXPECT("X01 V051 #AC in the delivery of an interrupt", row_legacy_acs == 1);
    EXPECT("X11 V049 V052 V058 the interrupt comes when it can", row_legacy_interrupts == 1);
    EXPECT("X11 V036 by one interrupt window",
           guest_counter(HYPERCALL_COUNTER_EXIT_REASON + 7) == windows + 1);
}

/* An NMI handler that leaves by RETF to CPL 3, where an IRET, which ends the blocking of NMIs, faults by #AC
 * (iret.S): it will be run again, so NMIs have to be blocked again meanwhile. */
extern const uint8_t row_nmi_stub[], row_iret_done[];
extern uint64_t *row_iret_frame;
extern uint8_t guest_user_stack_top[];
static volatile unsigned acs, nmis_at_ac;

static void set_nmi_gate(const uint8_t *to, uint64_t gate[2]) {
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t *base;
    } idtr;

    __asm__ volatile("sidt %0" : "=m"(idtr));
    if (to != NULL) {
        uint64_t at = (uint64_t)to;

        gate[0] = idtr.base[4];
        gate[1] = idtr.base[5];
        idtr.base[4] = (at & 0xFFFF) | (at >> 16 & 0xFFFF) << 48 | UINT64_C(0x8E0000080000);
        idtr.base[5] = at >> 32;
    } else {
        idtr.base[4] = gate[0];
        idtr.base[5] = gate[1];
    }
}

static uint64_t kit_gate[2];

static void count_nmi(const struct guest_frame *frame) {
    nmis++;
}

static void on_iret_ac(const struct guest_frame *frame) {
    uint64_t end = rdtsc() + 1000000;

    acs++;
    set_nmi_gate(NULL, kit_gate);
    guest_ipi(0, ICR_NMI);
    while (rdtsc() < end)
        __builtin_ia32_pause();
    nmis_at_ac = nmis;
    ((struct guest_frame *)frame)->rflags &= ~BIT(18);
}

static void nmi_to_self(void *arg) {
    guest_ipi(0, ICR_NMI);
    for (;;)
        __builtin_ia32_pause();
}

static void faulting_iret(void) {
    static uint8_t frame[48];
    uint64_t words[5] = {(uint64_t)row_iret_done, 0x3B, 2, (uint64_t)guest_user_stack_top - 128, 0x33};
    struct guest_fault fault = {0};

    memcpy(frame + 1, words, sizeof(words));
    row_iret_frame = (uint64_t *)(frame + 1);
    nmis = acs = nmis_at_ac = 0;
    guest_on_irq(2, count_nmi);
    guest_on_irq(17, on_iret_ac);
    set_nmi_gate(row_nmi_stub, kit_gate);
    set_am(true);
    EXPECT("V056 comes back from CPL 3", guest_catch(nmi_to_self, NULL, &fault) && fault.vector == 0x81);
    set_am(false);
    EXPECT("V056 an IRET that faults keeps NMIs blocked", acs == 1 && nmis_at_ac == 0);
    EXPECT("V056 V055 until the handler of the fault returns", nmis == 1);
    guest_on_irq(2, NULL);
    guest_on_irq(17, NULL);
}

const struct row_test rows_event[] = {
    {"held interrupt", held_interrupt, NULL, 0},
    {"faulting IRET", faulting_iret, NULL, 0},
    {"single step", single_step, NULL, 0},
    {"STI", sti_shadow, NULL, 0},
    {"MOV SS", mov_ss_shadow, NULL, 0},
    {"INT1 behind MOV SS", step_over_int1, NULL, 0},
    {"step over a wait", step_over_wait, NULL, 0},
    {"RF of a fault", fault_flags, NULL, 0},
    {"breakpoints", breakpoints, NULL, 0},
    {"two NMIs", two_nmis, NULL, 2},
    {"NMI wakes", nmi_wakes, NULL, 2},
    {"#AC", alignment, NULL, 0},
    {"storm", debug_storm, NULL, 2},
    {0},
};
