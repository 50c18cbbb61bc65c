/* SPDX-License-Identifier: Apache-2.0 */
/* One vCPU's local APIC: the xAPIC page by all kinds of instructions, x2APIC registers without an exit, what
 * may be in the LVT, and the ways between the modes. IPIs to others are in smp.c. */
#include "guests/rows/rows.h"

#define PAGE      UINT64_C(0xFEE00000)
#define EN        BIT(11)
#define EXTD      BIT(10)
#define VECTOR    0x51
#define MASKED    0x10000u

#define APIC_ID   0x02u
#define APIC_VER  0x03u
#define APIC_TPR  0x08u
#define APIC_PPR  0x0Au
#define APIC_LDR  0x0Du
#define APIC_DFR  0x0Eu
#define APIC_SVR  0x0Fu
#define APIC_ISR  0x10u
#define APIC_IRR  0x20u
#define APIC_ESR  0x28u
#define APIC_HIGH 0x31u
#define APIC_LVTT 0x32u
#define APIC_LVT0 0x35u
#define APIC_LVTE 0x37u
#define APIC_INIT 0x38u
#define APIC_NOW  0x39u
#define APIC_DIV  0x3Eu
#define APIC_SELF 0x3Fu

#define FLAG_CF   BIT(0)
#define FLAG_ZF   BIT(6)
#define FLAG_SF   BIT(7)

static volatile unsigned interrupts;

static void on_interrupt(const struct guest_frame *frame) {
    (void)frame;
    interrupts++;
    guest_apic_write(APIC_EOI, 0);
}

/* Without a look at the mode, which exits. */
static void on_x2apic_interrupt(const struct guest_frame *frame) {
    (void)frame;
    interrupts++;
    wrmsr(MSR_X2APIC + APIC_EOI, 0);
}

static void set_base(uint64_t mode) {
    wrmsr(MSR_APIC_BASE, (rdmsr(MSR_APIC_BASE) & ~(EN | EXTD)) | mode);
}

/* Into a mode, by way of none, and software-enabled. */
static void to_mode(uint64_t mode) {
    set_base(0);
    set_base(EN);
    set_base(mode);
    guest_apic_write(APIC_SVR, 0x1FF);
}

static bool base_is_gp(uint64_t value) {
    uint64_t before = rdmsr(MSR_APIC_BASE);

    return guest_wrmsr(MSR_APIC_BASE, value) == 13 && rdmsr(MSR_APIC_BASE) == before;
}

/* Interrupts on until one came, or for so many ticks. */
static unsigned interrupts_within(uint64_t ticks) {
    uint64_t end = rdtsc() + ticks;

    while (interrupts == 0 && rdtsc() < end)
        __asm__ volatile("sti; pause; cli" : : : "memory");
    return interrupts;
}

static uint64_t read_cr8(void) {
    uint64_t value;

    __asm__ volatile("mov %%cr8, %0" : "=r"(value));
    return value;
}

static void write_cr8(uint64_t value) {
    __asm__ volatile("mov %0, %%cr8" : : "r"(value));
}

static volatile uint32_t *reg32(unsigned reg) {
    return (volatile uint32_t *)(PAGE + reg * 16);
}

/* ---- The page ---- */
static void page_registers(void) {
    static const uint8_t absent[] = {0x00, 0x01, 0x04, 0x07, 0x09, 0x0B, 0x0C, 0x29, 0x2E, 0x3A, 0x3D, 0x3F};
    uint64_t violations = guest_counter(HYPERCALL_COUNTER_EXIT_REASON + 48);
    uint64_t value;
    bool zero = true;

    to_mode(EN);
    EXPECT("X27 xAPIC ID", *reg32(APIC_ID) == cpuid(1, 0).ebx >> 24 << 24);
    EXPECT("X27 version", (*reg32(APIC_VER) & 0xF0) == 0x10 && (*reg32(APIC_VER) >> 16 & 0xFF) >= 4);
    *reg32(APIC_ID) = 0x7F000000;
    EXPECT("X27 the ID cannot be changed", *reg32(APIC_ID) == cpuid(1, 0).ebx >> 24 << 24);
    *reg32(APIC_LDR) = 0xA5FFFFFF;
    *reg32(APIC_DFR) = 0x0ABCDEF0;
    EXPECT("X27 LDR", *reg32(APIC_LDR) == 0xA5000000);
    EXPECT("X27 DFR", *reg32(APIC_DFR) == 0x0FFFFFFF);
    *reg32(APIC_HIGH) = 0x03FFFFFF;
    EXPECT("X27 ICR, high half", *reg32(APIC_HIGH) == 0x03000000);
    for (unsigned i = 0; i < sizeof(absent); i++) {
        *reg32(absent[i]) = 0xFFFFFFFF;
        zero = zero && *reg32(absent[i]) == 0;
    }
    EXPECT("X27 reserved registers read 0", zero);
    EXPECT("X27 between the registers is nothing", *(volatile uint32_t *)(PAGE + 0x34) == UINT32_MAX);
    EXPECT("X27 C16 by EPT violations, not by APIC accesses",
           guest_counter(HYPERCALL_COUNTER_EXIT_REASON + 48) >= violations + 30 &&
               guest_counter(HYPERCALL_COUNTER_EXIT_REASON + 44) == 0);
    EXPECT("V060 MSR 802H is #GP in xAPIC mode, to read and to write",
           guest_rdmsr(MSR_X2APIC + APIC_ID, &value) == 13 && guest_wrmsr(MSR_X2APIC + APIC_TPR, 0) == 13 &&
               guest_rdmsr(MSR_X2APIC + APIC_TPR, &value) == 13 &&
               guest_wrmsr(MSR_X2APIC + APIC_EOI, 0) == 13);
}

static void page_tpr(void) {
    to_mode(EN);
    *reg32(APIC_TPR) = 0x52;
    EXPECT("C02 C03 X27 TPR shows in CR8", read_cr8() == 5);
    write_cr8(9);
    EXPECT("C02 C03 X27 CR8 shows in TPR", *reg32(APIC_TPR) == 0x90);
    EXPECT("X27 PPR follows TPR", *reg32(APIC_PPR) == 0x90);
    write_cr8(0);
}

/* Accesses that are not aligned 32-bit ones: parts of a register can be read, the rest does no harm. */
static void page_odd_accesses(void) {
    uint32_t version = *reg32(APIC_VER);

    to_mode(EN);
    EXPECT("X27 bytes of a register", *(volatile uint8_t *)(PAGE + 0x30) == (uint8_t)version &&
                                          *(volatile uint8_t *)(PAGE + 0x32) == (uint8_t)(version >> 16));
    EXPECT("X27 a half of a register", *(volatile uint16_t *)(PAGE + 0x32) == version >> 16);
    EXPECT("X27 64 bits are of nothing", *(volatile uint64_t *)(PAGE + 0x30) == UINT64_MAX);
    EXPECT("X27 across two words is of nothing", *(volatile uint32_t *)(PAGE + 0x32) == UINT32_MAX);
    *(volatile uint8_t *)(PAGE + 0xF0) = 0x33;
    *(volatile uint16_t *)(PAGE + 0xF0) = 0x3333;
    *(volatile uint64_t *)(PAGE + 0xF0) = 0x133;
    *(volatile uint32_t *)(PAGE + 0xF2) = 0x133;
    EXPECT("X27 only an aligned 32-bit write counts", *reg32(APIC_SVR) == 0x1FF);
}

/* LDR keeps what its highest byte is given: memory for all that reads and writes. */
#define ON_LDR(text, in)                                                                                     \
    ({                                                                                                       \
        uint64_t flags_;                                                                                     \
        uint32_t reg_ = (in);                                                                                \
        __asm__ volatile("xor %%ecx, %%ecx\n" text "\n pushfq; pop %0"                                       \
                         : "=r"(flags_), "+a"(reg_)                                                          \
                         : "D"(PAGE + 0xD0)                                                                  \
                         : "memory", "rcx", "cc");                                                           \
        got = reg_;                                                                                          \
        flags_;                                                                                              \
    })

static void page_instructions(void) {
    volatile uint32_t *ldr = reg32(APIC_LDR);
    static uint32_t words[4] = {0x11000000, 0, 0, 0};
    void *from = words, *to = (void *)ldr;
    uint64_t got, flags;

    to_mode(EN);
    *ldr = 0x81000000;
    ON_LDR("orl $0x42000000, (%%rdi)", 0);
    EXPECT("X27 OR", *ldr == 0xC3000000);
    ON_LDR("andl %%eax, (%%rdi)", 0x87FFFFFF);
    EXPECT("X27 AND", *ldr == 0x83000000);
    ON_LDR("xorl %%eax, (%%rdi, %%rcx, 4)", 0xFF000000);
    EXPECT("X27 XOR", *ldr == 0x7C000000);
    flags = ON_LDR("addl %%eax, (%%rdi)", 0x84000000);
    EXPECT("X27 ADD and its flags", *ldr == 0 && (flags & (FLAG_CF | FLAG_ZF)) == (FLAG_CF | FLAG_ZF));
    flags = ON_LDR("subl $0x01000000, (%%rdi)", 0);
    EXPECT("X27 SUB and its flags",
           *ldr == 0xFF000000 && (flags & (FLAG_CF | FLAG_SF)) == (FLAG_CF | FLAG_SF));
    ON_LDR("xchgl %%eax, (%%rdi)", 0x12000000);
    EXPECT("X27 XCHG", *ldr == 0x12000000 && got == 0xFF000000);
    ON_LDR("lock orl %%eax, (%%rdi)", 0x01000000);
    EXPECT("X27 LOCK OR", *ldr == 0x13000000);
    flags = ON_LDR("testl $0x10000000, (%%rdi)", 0);
    EXPECT("X27 TEST", (flags & FLAG_ZF) == 0 && *ldr == 0x13000000);
    flags = ON_LDR("cmpl %%eax, (%%rdi)", 0x13000000);
    EXPECT("X27 CMP", (flags & FLAG_ZF) != 0 && *ldr == 0x13000000);
    flags = ON_LDR("cmpl $0x14000000, (%%rdi)", 0);
    EXPECT("X27 CMP with an immediate", (flags & (FLAG_ZF | FLAG_CF)) == FLAG_CF);
    *ldr = 0x93000000;
    ON_LDR("movzbl 3(%%rdi), %%eax", 0x55555555);
    EXPECT("X27 MOVZX", got == 0x93);
    ON_LDR("movsbl 3(%%rdi), %%eax", 0);
    EXPECT("X27 MOVSX", got == 0xFFFFFF93);
    ON_LDR("movl $0x26000000, (%%rdi)", 0);
    EXPECT("X27 MOV of an immediate", *ldr == 0x26000000);
    ON_LDR("mov %%rsp, %%rcx; mov %%edi, %%esp; mov (%%rsp), %%eax; mov %%rcx, %%rsp", 0);
    EXPECT("X27 MOV through RSP", got == 0x26000000);
    ON_LDR("mov %%rsp, %%rcx; mov (%%rdi), %%esp; mov %%esp, %%eax; mov %%rcx, %%rsp", 0);
    EXPECT("X27 MOV to RSP", got == 0x26000000);
    ON_LDR("movabsl 0xFEE000D0, %%eax", 0);
    EXPECT("X27 MOV with an offset", got == 0x26000000);
    ON_LDR("addr32 mov (%%edi), %%eax", 0);
    EXPECT("X27 MOV with 32-bit addressing", got == 0x26000000);
    __asm__ volatile("movsl" : "+S"(from), "+D"(to) : : "memory");
    EXPECT("X27 MOVS to a register", *ldr == 0x11000000 && from == words + 1 && to == (void *)(ldr + 1));
    from = (void *)ldr;
    to = words + 2;
    __asm__ volatile("movsl" : "+S"(from), "+D"(to) : : "memory");
    EXPECT("X27 MOVS from a register", words[2] == 0x11000000 && words[3] == 0);
    to = (void *)ldr;
    __asm__ volatile("stosl" : "+D"(to) : "a"(0x77000000) : "memory");
    EXPECT("X27 STOS to a register", *ldr == 0x77000000);
    from = (void *)ldr;
    __asm__ volatile("lodsl" : "+S"(from), "=a"(got) : "a"(UINT64_MAX) : "memory");
    EXPECT("X27 LODS from a register", got == 0x77000000 && from == (void *)(ldr + 1));
}

/* ---- Interrupts to oneself, in both modes ---- */
static bool self_by(uint64_t high, uint32_t low) {
    interrupts = 0;
    if ((rdmsr(MSR_APIC_BASE) & EXTD) != 0) {
        wrmsr(MSR_X2APIC + APIC_ICR, high << 32 | low);
    } else {
        *reg32(APIC_HIGH) = (uint32_t)high << 24;
        *reg32(APIC_ICR) = low;
    }
    return interrupts_within(1000000) == 1;
}

static bool timer_by(uint32_t lvt, uint32_t count) {
    interrupts = 0;
    guest_apic_write(APIC_DIV, 0xB);
    guest_apic_write(APIC_LVTT, lvt);
    guest_apic_write(APIC_INIT, count);
    bool came = interrupts_within(5000000) == 1;

    guest_apic_write(APIC_INIT, 0);
    guest_apic_write(APIC_LVTT, MASKED);
    return came;
}

static bool in_service_during;

static void on_look(const struct guest_frame *frame) {
    (void)frame;
    in_service_during = guest_apic_read(APIC_ISR + VECTOR / 32) == BIT(VECTOR % 32);
    interrupts++;
    guest_apic_write(APIC_EOI, 0);
}

static bool illegal_is_shown(void) {
    guest_apic_write(APIC_ESR, 0);
    guest_apic_write(APIC_ESR, 0);
    guest_apic_write(APIC_LVTE, VECTOR);
    bool sent = self_by(0, 0x44005); /* self, vector 5: the interrupt is the error's */
    bool before = (guest_apic_read(APIC_ESR) & 0x20) == 0;

    guest_apic_write(APIC_ESR, 0);
    bool after = (guest_apic_read(APIC_ESR) & 0x20) != 0;

    guest_apic_write(APIC_ESR, 0);
    guest_apic_write(APIC_LVTE, MASKED);
    return sent && before && after && (guest_apic_read(APIC_ESR) & 0x20) == 0;
}

static bool masked_until_enabled(void) {
    guest_apic_write(APIC_SVR, 0xFF);
    guest_apic_write(APIC_LVTT, VECTOR);
    bool masked = guest_apic_read(APIC_LVTT) == (MASKED | VECTOR);

    guest_apic_write(APIC_SVR, 0x1FF);
    guest_apic_write(APIC_LVTT, VECTOR);
    masked = masked && guest_apic_read(APIC_LVTT) == VECTOR;
    guest_apic_write(APIC_SVR, 0xFF);
    masked = masked && guest_apic_read(APIC_LVTT) == (MASKED | VECTOR);
    guest_apic_write(APIC_SVR, 0x1FF);
    return masked;
}

static bool lvt_refuses(uint32_t mode) {
    guest_apic_write(APIC_LVT0, mode | VECTOR);
    return guest_apic_read(APIC_LVT0) == (MASKED | VECTOR);
}

static bool tpr_holds_back(void) {
    write_cr8(VECTOR >> 4);
    bool held =
        !self_by(0, 0x44000 | VECTOR) && (guest_apic_read(APIC_IRR + VECTOR / 32) & BIT(VECTOR % 32)) != 0;

    write_cr8(0);
    return held && interrupts_within(1000000) == 1;
}

static void both_modes_page(void) {
    uint32_t id = cpuid(1, 0).ebx >> 24;

    to_mode(EN);
    guest_on_irq(VECTOR, on_interrupt);
    EXPECT("X27 xAPIC: IPI to self by shorthand", self_by(0, 0x44000 | VECTOR));
    EXPECT("X27 xAPIC: IPI to self by ID", self_by(id, 0x4000 | VECTOR));
    *reg32(APIC_DFR) = 0xFFFFFFFF;
    *reg32(APIC_LDR) = 0x80000000;
    EXPECT("X27 xAPIC: IPI to self by flat logical ID", self_by(0xC0, 0x4800 | VECTOR));
    EXPECT("X27 xAPIC: not by another flat logical ID", !self_by(0x41, 0x4800 | VECTOR));
    *reg32(APIC_DFR) = 0x0FFFFFFF;
    *reg32(APIC_LDR) = 0x24000000;
    EXPECT("X27 xAPIC: IPI to self by cluster", self_by(0x2C, 0x4800 | VECTOR));
    EXPECT("X27 xAPIC: not by another cluster", !self_by(0x34, 0x4800 | VECTOR));
    EXPECT("X27 xAPIC: one-shot timer", timer_by(VECTOR, 10000));
    EXPECT("X27 xAPIC: illegal vector in ESR", illegal_is_shown());
    EXPECT("X27 xAPIC: LVT is masked while software-disabled", masked_until_enabled());
    EXPECT("X27 xAPIC: LVT refuses SMI, INIT and reserved modes",
           lvt_refuses(0x200) && lvt_refuses(0x500) && lvt_refuses(0x100) && lvt_refuses(0x300) &&
               lvt_refuses(0x600));
    EXPECT("C02 xAPIC: TPR holds an interrupt back", tpr_holds_back());
    guest_on_irq(VECTOR, on_look);
    EXPECT("X27 xAPIC: in service during its handler, not after",
           self_by(0, 0x44000 | VECTOR) && in_service_during && *reg32(APIC_ISR + VECTOR / 32) == 0);
    guest_on_irq(VECTOR, NULL);
}

static void both_modes_msr(void) {
    uint64_t id = cpuid(1, 0).ebx >> 24, value;
    bool deadline = (cpuid(1, 0).ecx & BIT(24)) != 0;

    to_mode(EN | EXTD);
    guest_on_irq(VECTOR, on_interrupt);
    EXPECT("V060 x2APIC ID", rdmsr(MSR_X2APIC + APIC_ID) == id);
    EXPECT("V060 x2APIC LDR", rdmsr(MSR_X2APIC + APIC_LDR) == (id >> 4 << 16 | BIT(id & 15)));
    EXPECT("V060 ID and LDR are read-only, DFR is not there",
           guest_wrmsr(MSR_X2APIC + APIC_ID, id) == 13 && guest_wrmsr(MSR_X2APIC + APIC_LDR, 1) == 13 &&
               guest_rdmsr(MSR_X2APIC + APIC_DFR, &value) == 13);
    EXPECT("X10 x2APIC: reserved bits are #GP", guest_wrmsr(MSR_X2APIC + APIC_ICR, BIT(13)) == 13 &&
                                                    guest_wrmsr(MSR_X2APIC + APIC_LVTT, BIT(13)) == 13 &&
                                                    guest_wrmsr(MSR_X2APIC + APIC_SVR, BIT(10)) == 13 &&
                                                    guest_wrmsr(MSR_X2APIC + APIC_ESR, 1) == 13 &&
                                                    guest_wrmsr(MSR_X2APIC + APIC_EOI, 1) == 13 &&
                                                    guest_wrmsr(MSR_X2APIC + APIC_TPR, 0x100) == 13);
    EXPECT("X09 x2APIC: absent registers are #GP", guest_rdmsr(MSR_X2APIC + 0x01, &value) == 13 &&
                                                       guest_rdmsr(MSR_X2APIC + APIC_HIGH, &value) == 13 &&
                                                       guest_rdmsr(MSR_X2APIC + 0x40, &value) == 13 &&
                                                       guest_rdmsr(MSR_X2APIC + 0xFF, &value) == 13 &&
                                                       guest_rdmsr(MSR_X2APIC + APIC_SELF, &value) == 13 &&
                                                       guest_rdmsr(MSR_X2APIC + APIC_EOI, &value) == 13);
    EXPECT("X10 x2APIC: IPI to self by shorthand", self_by(0, 0x44000 | VECTOR));
    EXPECT("X10 x2APIC: IPI to self by ID", self_by(id, 0x4000 | VECTOR));
    EXPECT("X10 x2APIC: IPI to self by cluster", self_by(BIT(id), 0x4800 | VECTOR));
    EXPECT("X10 x2APIC: not to an absent ID",
           !self_by(0xFE, 0x4000 | VECTOR) && !self_by(0xFF, 0x4000 | VECTOR));
    EXPECT("X10 x2APIC: ICR reads back",
           rdmsr(MSR_X2APIC + APIC_ICR) == (UINT64_C(0xFF) << 32 | 0x4000 | VECTOR));
    EXPECT("X10 x2APIC: one-shot timer", timer_by(VECTOR, 10000));
    EXPECT("X10 x2APIC: illegal vector in ESR", illegal_is_shown());
    EXPECT("X10 x2APIC: LVT is masked while software-disabled", masked_until_enabled());
    EXPECT("X10 x2APIC: LVT refuses SMI and INIT", lvt_refuses(0x200) && lvt_refuses(0x500));
    interrupts = 0;
    wrmsr(MSR_X2APIC + APIC_LVTT, deadline ? VECTOR | BIT(18) : MASKED);
    if (deadline)
        wrmsr(MSR_TSC_DEADLINE, rdtsc() + 100000);
    else
        wrmsr(MSR_X2APIC + APIC_SELF, VECTOR);
    EXPECT("X10 x2APIC: TSC deadline", interrupts_within(5000000) == 1);
    EXPECT("C02 x2APIC: TPR holds an interrupt back", tpr_holds_back());
    guest_on_irq(VECTOR, NULL);
}

/* ---- No exits ---- */

/* The exits that code() takes, without the NMIs by which the console drains its output meanwhile. */
static uint64_t exits_of(void (*code)(void)) {
    uint64_t least = UINT64_MAX;

    for (unsigned i = 0; i < 5; i++) {
        uint64_t before = guest_exits(), nmis = guest_counter(HYPERCALL_COUNTER_EXIT_REASON + 0);

        code();
        nmis = guest_counter(HYPERCALL_COUNTER_EXIT_REASON + 0) - nmis;
        uint64_t exits = guest_exits() - before - nmis - 3; /* these calls */

        least = exits < least ? exits : least; /* an NMI may come between the calls */
    }
    return least;
}

static void loop_cr8(void) {
    for (unsigned i = 0; i < 1000; i++)
        write_cr8((read_cr8() + 1) & 15);
    write_cr8(0);
}

static void loop_tpr(void) {
    for (unsigned i = 0; i < 1000; i++)
        wrmsr(MSR_X2APIC + APIC_TPR, rdmsr(MSR_X2APIC + APIC_TPR) ^ 0x10);
    wrmsr(MSR_X2APIC + APIC_TPR, 0);
}

static void loop_self_ipi(void) {
    for (unsigned i = 0; i < 100; i++) {
        interrupts = 0;
        wrmsr(MSR_X2APIC + APIC_SELF, VECTOR);
        interrupts_within(100000); /* its handler ends with an EOI */
    }
}

static void loop_timer(void) {
    for (unsigned i = 0; i < 100; i++) {
        interrupts = 0;
        wrmsr(MSR_X2APIC + APIC_INIT, 1000);
        (void)rdmsr(MSR_X2APIC + APIC_NOW);
        interrupts_within(1000000);
    }
}

static void loop_deadline(void) {
    for (unsigned i = 0; i < 100; i++) {
        interrupts = 0;
        wrmsr(MSR_TSC_DEADLINE, rdtsc() + 1000);
        interrupts_within(1000000);
    }
}

static void loop_state(void) {
    for (unsigned i = 0; i < 100; i++)
        for (unsigned reg = APIC_ISR; reg < APIC_ESR; reg++)
            (void)rdmsr(MSR_X2APIC + reg);
}

static void no_exits(void) {
    bool deadline = (cpuid(1, 0).ecx & BIT(24)) != 0;

    to_mode(EN);
    EXPECT("C02 C03 CR8 never exits", exits_of(loop_cr8) == 0);
    to_mode(EN | EXTD);
    guest_on_irq(VECTOR, on_x2apic_interrupt);
    EXPECT("C02 C03 X10 CR8 and TPR never exit in x2APIC mode",
           exits_of(loop_cr8) == 0 && exits_of(loop_tpr) == 0);
    EXPECT("X10 self IPI and EOI never exit", exits_of(loop_self_ipi) == 0 && interrupts == 1);
    guest_apic_write(APIC_DIV, 0xB);
    guest_apic_write(APIC_LVTT, VECTOR);
    EXPECT("X10 the timer never exits", exits_of(loop_timer) == 0 && interrupts == 1);
    guest_apic_write(APIC_LVTT, deadline ? VECTOR | BIT(18) : VECTOR);
    EXPECT("X10 nor does its TSC deadline",
           exits_of(deadline ? loop_deadline : loop_timer) == 0 && interrupts == 1);
    EXPECT("X09 ISR, TMR and IRR are read without exits", exits_of(loop_state) == 0);
    guest_apic_write(APIC_LVTT, MASKED);
    guest_on_irq(VECTOR, NULL);
}

/* ---- Between the modes ---- */
static void transitions(void) {
    uint64_t base = PAGE | (rdmsr(MSR_APIC_BASE) & BIT(8)), value;
    bool reserved = true;

    to_mode(EN);
    EXPECT("V060 x2APIC without EN is #GP", base_is_gp(base | EXTD));
    EXPECT("V060 a moved page is #GP", base_is_gp(base + 0x1000 + EN) && base_is_gp(base + BIT(32) + EN));
    for (unsigned bit = 0; bit < 8; bit++)
        reserved = reserved && base_is_gp(base | EN | BIT(bit));
    EXPECT("V060 reserved bits are #GP",
           reserved && base_is_gp(base | EN | BIT(9)) && base_is_gp(base | EN | BIT(63)));

    *reg32(APIC_LVTE) = VECTOR;
    *reg32(APIC_TPR) = 0x60;
    *reg32(APIC_LDR) = 0x55000000;
    *reg32(APIC_HIGH) = 0x02000000;
    set_base(EN | EXTD);
    EXPECT("V060 LVT and TPR go along to x2APIC mode, LDR and the ICR's high half do not",
           rdmsr(MSR_X2APIC + APIC_LVTE) == VECTOR && rdmsr(MSR_X2APIC + APIC_TPR) == 0x60 &&
               read_cr8() == 6 && rdmsr(MSR_X2APIC + APIC_LDR) == (UINT64_C(1) << (base & BIT(8) ? 0 : 1)) &&
               rdmsr(MSR_X2APIC + APIC_ICR) >> 32 == 0);
    write_cr8(0);
    EXPECT("V060 the page is nothing in x2APIC mode", *reg32(APIC_VER) == UINT32_MAX);
    *reg32(APIC_SVR) = 0;
    EXPECT("V060 and takes no writes", rdmsr(MSR_X2APIC + APIC_SVR) == 0x1FF);
    EXPECT("V060 x2APIC to xAPIC is #GP", base_is_gp(base | EN));
    EXPECT("V060 and so is EXTD alone", base_is_gp(base | EXTD));
    set_base(0);
    EXPECT("V060 disabled to x2APIC is #GP", base_is_gp(base | EN | EXTD));
    EXPECT("V060 x2APIC registers are #GP when disabled", guest_rdmsr(MSR_X2APIC + APIC_ID, &value) == 13);
    EXPECT("V060 the page is nothing when disabled", *reg32(APIC_VER) == UINT32_MAX);
    set_base(EN);
    EXPECT("V060 disabling resets", *reg32(APIC_SVR) == 0xFF && *reg32(APIC_LVTE) == MASKED &&
                                        *reg32(APIC_ID) == cpuid(1, 0).ebx >> 24 << 24 &&
                                        *reg32(APIC_LDR) == 0 && *reg32(APIC_DFR) == UINT32_MAX);
}

/* EN cleared and set again, as guests do that look for an APIC. */
static void off_and_on(void) {
    static const uint64_t modes[] = {EN, EN | EXTD};

    guest_on_irq(VECTOR, on_interrupt);
    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
        to_mode(modes[i]);
        guest_apic_write(APIC_DIV, 0xB);
        guest_apic_write(APIC_LVTT, VECTOR | BIT(17)); /* periodic */
        guest_apic_write(APIC_INIT, 100000);
        bool shown = (cpuid(1, 0).edx & BIT(9)) != 0;

        set_base(0);
        interrupts = 0;
        if (i == 0) {
            EXPECT("X08 V060 xAPIC: CPUID shows an APIC with EN, and none without",
                   shown && (cpuid(1, 0).edx & BIT(9)) == 0);
            EXPECT("V060 xAPIC: the timer dies with EN", interrupts_within(1000000) == 0);
        } else {
            EXPECT("X08 V060 x2APIC: CPUID shows an APIC with EN, and none without",
                   shown && (cpuid(1, 0).edx & BIT(9)) == 0);
            EXPECT("V060 x2APIC: the timer dies with EN", interrupts_within(1000000) == 0);
        }
        to_mode(modes[i]);
        if (i == 0)
            EXPECT("V060 xAPIC: EN brings the APIC and its timer back", (cpuid(1, 0).edx & BIT(9)) != 0 &&
                                                                            interrupts_within(300000) == 0 &&
                                                                            timer_by(VECTOR, 10000));
        else
            EXPECT("V060 x2APIC: EN brings the APIC and its timer back", (cpuid(1, 0).edx & BIT(9)) != 0 &&
                                                                             interrupts_within(300000) == 0 &&
                                                                             timer_by(VECTOR, 10000));
    }
    guest_on_irq(VECTOR, NULL);
    to_mode(EN);
}

const struct row_test rows_apic[] = {
    {"page", page_registers, NULL, 0},   {"tpr", page_tpr, NULL, 0},
    {"odd", page_odd_accesses, NULL, 0}, {"instructions", page_instructions, NULL, 0},
    {"xapic", both_modes_page, NULL, 0}, {"x2apic", both_modes_msr, NULL, 0},
    {"exits", no_exits, NULL, 0},        {"transitions", transitions, NULL, 0},
    {"off", off_and_on, NULL, 0},        {0},
};
