/* SPDX-License-Identifier: Apache-2.0 */
/* IPIs between two vCPUs: every kind of destination, in both modes and between them; NMI, INIT and SIPI. */
#include "guests/rows/rows.h"

#define EN         BIT(11)
#define EXTD       BIT(10)
#define VECTOR     0x52
#define NMI        2
#define WAIT       1000000 /* ticks in which an IPI that is sent has come */

#define APIC_LDR   0x0Du
#define APIC_DFR   0x0Eu
#define APIC_SVR   0x0Fu
#define APIC_HIGH  0x31u

#define LOGICAL    0x800u
#define LOWEST     0x100u
#define TO_SELF    0x40000u
#define TO_ALL     0x80000u
#define TO_OTHERS  0xC0000u

#define OTHER_PAGE 0x8000u

static volatile unsigned got[2], nmis[2];
static volatile uint64_t beats; /* of CPU 1 */

static void on_interrupt(const struct guest_frame *frame) {
    (void)frame;
    got[guest_cpu()]++;
    guest_apic_write(APIC_EOI, 0);
}

static void on_nmi(const struct guest_frame *frame) {
    (void)frame;
    nmis[guest_cpu()]++;
}

static void set_mode(uint64_t mode) {
    uint64_t base = rdmsr(MSR_APIC_BASE) & ~(EN | EXTD);

    if (((base | mode) ^ rdmsr(MSR_APIC_BASE)) != 0) {
        wrmsr(MSR_APIC_BASE, base);
        wrmsr(MSR_APIC_BASE, base | EN);
        wrmsr(MSR_APIC_BASE, base | mode);
    }
    guest_apic_write(APIC_SVR, 0x1FF);
}

static void other_mode(void *arg) {
    set_mode((uint64_t)arg);
}

static void other_beats(void *arg) {
    (void)arg;
    __asm__ volatile("sti");
    for (;;)
        beats++;
}

static volatile uint32_t other_ldr, other_dfr;

static void other_logical(void *arg) {
    (void)arg;
    guest_apic_write(APIC_LDR, other_ldr);
    guest_apic_write(APIC_DFR, other_dfr);
}

static bool beating(void) {
    uint64_t before = beats, end = rdtsc() + WAIT;

    while (beats == before && rdtsc() < end)
        __builtin_ia32_pause();
    return beats != before;
}

static bool on_cpu_1(void (*code)(void *), uint64_t arg) {
    return guest_cpu_run(1, code, (void *)arg) && guest_cpu_wait(1, 10 * WAIT);
}

/* CPU 1 in that mode, its logical ID set where there is one, waiting for interrupts. */
static bool prepare(uint64_t mode, uint64_t mode_1, uint32_t ldr, uint32_t ldr_1, uint32_t dfr) {
    guest_cpu_stop(1);
    set_mode(mode);
    if (mode == EN) {
        guest_apic_write(APIC_LDR, ldr);
        guest_apic_write(APIC_DFR, dfr);
    }
    other_ldr = ldr_1;
    other_dfr = dfr;
    bool good = on_cpu_1(other_mode, mode_1) && (mode_1 != EN || on_cpu_1(other_logical, 0));

    return good && guest_cpu_run(1, other_beats, NULL) && beating();
}

/* Who gets it, a bit a CPU; 8 if one got more than one. */
static unsigned sent_to(uint32_t destination, uint32_t low) {
    uint64_t end = rdtsc() + WAIT;

    got[0] = got[1] = 0;
    guest_ipi(destination, low | 0x4000 | VECTOR);
    while (rdtsc() < end)
        __asm__ volatile("sti; pause; cli" : : : "memory");
    return got[0] > 1 || got[1] > 1 ? 8 : got[0] | got[1] << 1;
}

static bool common(void) {
    return sent_to(0, 0) == 1 && sent_to(1, 0) == 2 && sent_to(0, TO_SELF) == 1 && sent_to(0, TO_ALL) == 3 &&
           sent_to(0, TO_OTHERS) == 2;
}

static unsigned one(unsigned mask) {
    return mask == 1 || mask == 2;
}

static void destinations(void) {
    guest_on_irq(VECTOR, on_interrupt);
    EXPECT("X27 two vCPUs in xAPIC mode, flat", prepare(EN, EN, 0x01000000, 0x02000000, 0xFFFFFFFF));
    EXPECT("X27 xAPIC: by ID and shorthand", common());
    EXPECT("X27 xAPIC: broadcast", sent_to(0xFF, 0) == 3 && sent_to(0xFF, LOGICAL) == 3);
    EXPECT("X27 xAPIC: flat logical", sent_to(1, LOGICAL) == 1 && sent_to(2, LOGICAL) == 2 &&
                                          sent_to(3, LOGICAL) == 3 && sent_to(4, LOGICAL) == 0);
    EXPECT("X27 xAPIC: the lowest priority is one", one(sent_to(3, LOGICAL | LOWEST)));
    EXPECT("X27 xAPIC: nobody else is there",
           sent_to(2, 0) == 0 && sent_to(3, 0) == 0 && sent_to(0xFE, 0) == 0);

    EXPECT("X27 two vCPUs in xAPIC mode, clusters", prepare(EN, EN, 0x31000000, 0x38000000, 0x0FFFFFFF));
    EXPECT("X27 xAPIC: cluster", sent_to(0x31, LOGICAL) == 1 && sent_to(0x38, LOGICAL) == 2 &&
                                     sent_to(0x3F, LOGICAL) == 3 && sent_to(0x2F, LOGICAL) == 0);

    EXPECT("X10 two vCPUs in x2APIC mode", prepare(EN | EXTD, EN | EXTD, 0, 0, 0));
    EXPECT("X10 x2APIC: by ID and shorthand", common());
    EXPECT("X10 x2APIC: broadcast", sent_to(UINT32_MAX, 0) == 3 && sent_to(UINT32_MAX, LOGICAL) == 3);
    EXPECT("X10 x2APIC: logical", sent_to(1, LOGICAL) == 1 && sent_to(2, LOGICAL) == 2 &&
                                      sent_to(3, LOGICAL) == 3 && sent_to(0x10001, LOGICAL) == 0 &&
                                      sent_to(4, LOGICAL) == 0);
    EXPECT("X10 x2APIC: the lowest priority is one", one(sent_to(3, LOGICAL | LOWEST)));
    EXPECT("X10 x2APIC: nobody else is there",
           sent_to(2, 0) == 0 && sent_to(3, 0) == 0 && sent_to(0xFF, 0) == 0);

    EXPECT("V060 one vCPU in x2APIC mode, one in xAPIC mode",
           prepare(EN | EXTD, EN, 0, 0x02000000, 0xFFFFFFFF));
    EXPECT("V060 by ID and shorthand over the modes", common());
    EXPECT("V060 and the other way round", prepare(EN, EN | EXTD, 0x01000000, 0, 0xFFFFFFFF) && common());
    set_mode(EN);
    guest_cpu_stop(1);
    guest_on_irq(VECTOR, NULL);
}

static void kinds_of_ipi(void) {
    guest_on_irq(VECTOR, on_interrupt);
    guest_on_irq(NMI, on_nmi);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t mode = i == 0 ? EN : EN | EXTD;
        bool ready = prepare(mode, mode, 0x01000000, 0x02000000, 0xFFFFFFFF);

        nmis[0] = nmis[1] = 0;
        guest_ipi(1, ICR_NMI);
        bool one_came = beating() && beating() && nmis[0] == 0 && nmis[1] == 1;

        guest_ipi(0, ICR_NMI | TO_OTHERS);
        bool two_came = beating() && beating() && nmis[0] == 0 && nmis[1] == 2;

        guest_ipi(0, ICR_NMI);
        bool self_came = nmis[0] == 1 && nmis[1] == 2;

        sent_to(1, 0x200); /* SMI */
        sent_to(1, 0x300); /* remote read, long gone */
        sent_to(1, 0x700); /* reserved */
        bool dropped = got[0] == 0 && got[1] == 0 && beating() && nmis[0] == 1 && nmis[1] == 2;

        if (i == 0) {
            EXPECT("V050 xAPIC: NMI to the other, to all others, to oneself",
                   ready && one_came && two_came && self_came);
            EXPECT("V096 xAPIC: SMI and reserved modes are dropped", dropped);
        } else {
            EXPECT("V050 x2APIC: NMI to the other, to all others, to oneself",
                   ready && one_came && two_came && self_came);
            EXPECT("V096 x2APIC: SMI and reserved modes are dropped", dropped);
        }
    }
    set_mode(EN);
    guest_cpu_stop(1);
    guest_on_irq(VECTOR, NULL);
    guest_on_irq(NMI, NULL);
}

static uint64_t base_seen;

static void read_base(void *arg) {
    (void)arg;
    base_seen = rdmsr(MSR_APIC_BASE);
}

static void other_off(void *arg) {
    (void)arg;
    wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) & ~(EN | EXTD));
}

static volatile bool stay_off;

static void other_off_for_a_while(void *arg) {
    other_off(arg);
    while (stay_off)
        beats++;
    set_mode(EN);
}

static void init_and_sipi(void) {
    set_mode(EN);
    EXPECT("V105 one SIPI is enough, and its vector may be 0", guest_cpu_start(1, 0));
    EXPECT("V105 it runs there", guest_cpu_state(0)->cs == 0 && guest_cpu_state(0)->edx == cpuid(1, 0).eax);

    EXPECT("V105 a running vCPU", guest_cpu_run(1, other_beats, NULL) && beating());
    *(volatile uint16_t *)OTHER_PAGE = 0xFEEB; /* JMP to itself: it would beat no more */
    guest_ipi(1, ICR_SIPI | OTHER_PAGE >> 12);
    EXPECT("V105 SIPI to a running vCPU is dropped", beating() && beating());
    guest_ipi(1, ICR_INIT);
    for (uint64_t end = rdtsc() + WAIT; rdtsc() < end;)
        __builtin_ia32_pause();
    EXPECT("V101 INIT stops a running vCPU", !beating());
    guest_ipi(1, ICR_NMI);
    EXPECT("V101 and NMI does not start it", !beating());

    guest_cpu_stop(1);
    guest_ipi(1, ICR_SIPI | GUEST_TRAMPOLINE >> 12);
    guest_ipi(1, ICR_SIPI | OTHER_PAGE >> 12);
    EXPECT("V105 of two SIPIs the first one counts", guest_cpu_run(1, other_beats, NULL) && beating());

    guest_ipi(0, ICR_INIT | TO_OTHERS);
    for (uint64_t end = rdtsc() + WAIT; rdtsc() < end;)
        __builtin_ia32_pause();
    EXPECT("V101 INIT to all others", !beating());
    guest_cpu_stop(1);

    EXPECT("V101 x2APIC mode", on_cpu_1(other_mode, EN | EXTD));
    guest_cpu_stop(1);
    EXPECT("V101 INIT keeps APIC_BASE", on_cpu_1(read_base, 0) && base_seen == (0xFEE00000 | EN | EXTD));
    EXPECT("V101 and resets the rest", on_cpu_1(other_mode, EN));

    stay_off = true;
    EXPECT("V101 without an APIC", guest_cpu_run(1, other_off_for_a_while, NULL) && beating());
    guest_ipi(1, ICR_INIT);
    EXPECT("V101 INIT does not come", beating() && beating());
    stay_off = false;
    EXPECT("V101 until it is on again", guest_cpu_wait(1, 10 * WAIT));
    guest_cpu_stop(1);
}

static void init_to_oneself(void) {
    guest_ipi(guest_cpu(), ICR_INIT);
    guest_halt();
}

const struct row_test rows_smp[] = {
    {"destinations", destinations, NULL, 2},
    {"kinds", kinds_of_ipi, NULL, 2},
    {"init", init_and_sipi, NULL, 2},
    {"V101 INIT to the boot vCPU", init_to_oneself, "INIT to the boot vCPU resets the partition", 0},
    {0},
};
