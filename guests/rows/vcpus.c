/* SPDX-License-Identifier: Apache-2.0 */
/* All vCPUs of the partition, however many: who they are, and IPIs from each to each, in both modes of the
 * local APIC. */
#include "guests/rows/rows.h"

#define VECTOR      0x60u
#define TICKS       UINT64_C(4000000)
#define ICR_TO_SELF 0x40000u
#define ICR_TO_ALL  0x80000u
#define ICR_OTHERS  0xC0000u
#define ICR_LOGICAL 0x800u
#define APIC_LDR    0x0Du
#define APIC_SVR    0x0Fu
#define BASE_BSP    BIT(8)
#define BASE_EXTD   BIT(10)
#define BASE_ENABLE BIT(11)

static volatile uint32_t got[GUEST_MAX_CPUS];
static bool ids_right[GUEST_MAX_CPUS];

static void on_ipi(const struct guest_frame *frame) {
    (void)frame;
    got[guest_cpu()]++;
    guest_apic_write(APIC_EOI, 0);
}

/* Who am I? Asked of each vCPU by itself. */
static void check_ids(void *arg) {
    unsigned cpu = guest_cpu(), nr = guest_nr_cpus();
    bool x2apic = (rdmsr(MSR_APIC_BASE) & BASE_EXTD) != 0;

    (void)arg;
    ids_right[cpu] = cpuid(1, 0).ebx >> 24 == cpu && cpuid(0xB, 0).edx == cpu && cpuid(0xB, 1).edx == cpu &&
                     (cpuid(0xB, 1).ebx & 0xFFFF) == nr && guest_apic_read(2) == (x2apic ? cpu : cpu << 24) &&
                     ((rdmsr(MSR_APIC_BASE) & BASE_BSP) != 0) == (cpu == 0);
}

/* A vCPU that takes interrupts, until it is told something else. */
static void listen(void *arg) {
    volatile bool *stop = arg;

    guest_apic_write(APIC_SVR, 0x1FF);
    while (!*stop)
        __asm__ volatile("sti; pause; cli" : : : "memory");
}

/* From x2APIC mode by way of the disabled state only. */
static void go_xapic(void *arg) {
    uint64_t off = rdmsr(MSR_APIC_BASE) & ~(BASE_EXTD | BASE_ENABLE);

    (void)arg;
    wrmsr(MSR_APIC_BASE, off);
    wrmsr(MSR_APIC_BASE, off | BASE_ENABLE);
}

static void go_x2apic(void *arg) {
    (void)arg;
    guest_x2apic_on();
}

/* Call code(arg) on each vCPU, one after the other, the own one last. */
static bool on_each(void (*code)(void *), void *arg) {
    bool good = true;

    for (unsigned cpu = 1; cpu < guest_nr_cpus(); cpu++)
        good = guest_cpu_run(cpu, code, arg) && guest_cpu_wait(cpu, TICKS) && good;
    code(arg);
    return good;
}

struct order {
    uint32_t to, low;
};

static void send(void *arg) {
    const struct order *o = arg;

    guest_ipi(o->to, o->low);
}

/* Do exactly the vCPUs of `who` get the IPI that `from` sends, once? The others listen meanwhile; the sender
 * looks afterwards. */
static bool arrives(unsigned from, uint32_t to, uint32_t low, uint32_t who) {
    volatile bool stop = false;
    struct order order = {to, low | VECTOR};
    uint64_t end;
    bool good = true;

    for (unsigned cpu = 0; cpu < guest_nr_cpus(); cpu++)
        got[cpu] = 0;
    for (unsigned cpu = 1; cpu < guest_nr_cpus(); cpu++)
        good = (cpu == from || guest_cpu_run(cpu, listen, (void *)&stop)) && good;
    if (from == 0)
        send(&order);
    else
        good = guest_cpu_run(from, send, &order) && guest_cpu_wait(from, TICKS) &&
               guest_cpu_run(from, listen, (void *)&stop) && good;
    end = rdtsc() + 20000 * guest_nr_cpus();
    while (rdtsc() < end)
        __asm__ volatile("sti; pause; cli" : : : "memory");
    stop = true;
    for (unsigned cpu = 0; cpu < guest_nr_cpus(); cpu++) {
        good = (cpu == 0 || guest_cpu_wait(cpu, TICKS)) && good;
        good = got[cpu] == (who >> cpu & 1) && good;
    }
    return good;
}

static uint32_t everybody(void) {
    return (1u << guest_nr_cpus()) - 1;
}

static bool each_to_each(void) {
    bool good = true;

    for (unsigned from = 0; from < guest_nr_cpus(); from++)
        for (unsigned to = 0; to < guest_nr_cpus(); to++)
            good = arrives(from, to, ICR_FIXED, 1u << to) && good;
    return good;
}

static bool shorthands(uint32_t broadcast) {
    bool good = true;

    for (unsigned from = 0; from < guest_nr_cpus(); from++)
        good = arrives(from, 0, ICR_FIXED | ICR_TO_SELF, 1u << from) &&
               arrives(from, 0, ICR_FIXED | ICR_TO_ALL, everybody()) &&
               arrives(from, 0, ICR_FIXED | ICR_OTHERS, everybody() & ~(1u << from)) &&
               arrives(from, broadcast, ICR_FIXED, everybody()) && good;
    return good;
}

static bool all_ids_right(void) {
    bool good = on_each(check_ids, NULL);

    for (unsigned cpu = 0; cpu < guest_nr_cpus(); cpu++)
        good = ids_right[cpu] && good;
    return good;
}

static void set_flat_id(void *arg) {
    (void)arg;
    guest_apic_write(APIC_LDR, 1u << (24 + guest_cpu()));
}

static void all_vcpus(void) {
    unsigned last = guest_nr_cpus() - 1, nobody = guest_nr_cpus();

    guest_on_irq(VECTOR, on_ipi);
    guest_print("vcpus: %u vCPUs\n", guest_nr_cpus());
    EXPECT("X08 V105 each vCPU starts and knows its number", on_each(go_xapic, NULL) && all_ids_right());
    guest_apic_write(APIC_SVR, 0x1FF);
    EXPECT("X27 xAPIC: an IPI from each to each", each_to_each());
    EXPECT("X27 xAPIC: shorthands and broadcast", shorthands(0xFF));
    EXPECT("X27 xAPIC: an IPI to nobody", arrives(last, nobody, ICR_FIXED, 0));
    EXPECT("X27 xAPIC: logical, flat: the first and the last",
           on_each(set_flat_id, NULL) &&
               arrives(0, 1u | 1u << last, ICR_FIXED | ICR_LOGICAL, 1u | 1u << last));
    EXPECT("V060 each vCPU goes to x2APIC mode, ids stay", on_each(go_x2apic, NULL) && all_ids_right());
    EXPECT("X10 x2APIC: an IPI from each to each", each_to_each());
    EXPECT("X10 x2APIC: shorthands and broadcast", shorthands(0xFFFFFFFF));
    EXPECT("X10 x2APIC: an IPI to nobody", arrives(last, nobody, ICR_FIXED, 0));
    EXPECT("X10 x2APIC: logical: the first and the last of the cluster",
           arrives(last, 1u | 1u << last, ICR_FIXED | ICR_LOGICAL, 1u | 1u << last));
    EXPECT("V060 and back to xAPIC mode, disabled between", on_each(go_xapic, NULL) && all_ids_right());
    for (unsigned cpu = 1; cpu < guest_nr_cpus(); cpu++)
        guest_cpu_stop(cpu);
    guest_on_irq(VECTOR, NULL);
}

const struct row_test rows_vcpus[] = {
    {"all vCPUs", all_vcpus, NULL, 0},
    {0},
};
