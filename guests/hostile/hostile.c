/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the classes, and says what each has tried and what the hypervisor's counters make of it. At the first
 * start all that return, then and at each restart one of those that end the partition: the hypervisor's count
 * of restarts says which. `only=NAME,NAME` on the command line: those classes. */
#include "guests/hostile/hostile.h"

#include "core/str.h"

#define PDE_LARGE 0x87    /* present, writable, user */
#define DUMP_TIME 9000000 /* ticks: the registers of the last death are on the console by then */
#define LINE_TIME 1500000 /* and this is one line */

uint64_t hostile_tried, hostile_faulted, hostile_thin;

static const struct attack *const tables[] = {attacks_space, attacks_ports, attacks_cpu,  attacks_apic,
                                              attacks_race,  attacks_busy,  attacks_death};

uint64_t hostile_try(void (*code)(void *), void *arg) {
    uint64_t vector = guest_fault_of(code, arg);

    hostile_tried++;
    hostile_faulted += vector != GUEST_NO_FAULT;
    return vector;
}

uint64_t hostile_random(void) { /* xorshift64* */
    static uint64_t state = 88172645463325252;

    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(0x2545F4914F6CDD1D);
}

void hostile_window(uint64_t gpa) {
    uint64_t *pdpt = (uint64_t *)(guest_pml4[0] & ~UINT64_C(0xFFF));
    volatile uint64_t *directory = (uint64_t *)(pdpt[WINDOW >> 30] & ~UINT64_C(0xFFF));

    directory[0] = gpa | PDE_LARGE;
    __asm__ volatile("invlpg (%0)" : : "r"(WINDOW) : "memory");
}

static uint64_t refused(void) {
    return guest_counter(HYPERCALL_COUNTER_MSRS) + guest_counter(HYPERCALL_COUNTER_PORTS) +
           guest_counter(HYPERCALL_COUNTER_MEMORY);
}

/* The names of only= are whole words between commas. */
static bool wanted(const struct attack *a) {
    const char *list = guest_cmdline();
    size_t length = str_length(a->name);

    if (memcmp(list, "only=", 5) != 0)
        return true;
    for (const char *at = list + 5; *at != ' ' && *at != '\0'; at += *at == ',') {
        size_t word = 0;
        while (at[word] != ',' && at[word] != ' ' && at[word] != '\0')
            word++;
        if (word == length && memcmp(at, a->name, length) == 0)
            return true;
        at += word;
    }
    return false;
}

static void survive(const struct attack *a) {
    uint64_t exits = guest_exits(), before = refused(), begin = rdtsc();

    hostile_tried = hostile_faulted = 0;
    a->run();
    uint64_t end = rdtsc(), after = refused();
    guest_print("hostile: %s tried %lu faults %lu refused %lu exits %lu from %lu to %lu\n", a->name,
                hostile_tried, hostile_faulted, after - before, guest_exits() - exits, begin, end);
}

static void spin(uint64_t ticks) {
    for (uint64_t until = rdtsc() + ticks; rdtsc() < until;)
        __builtin_ia32_pause();
}

static void die(const struct attack *a) {
    if (memcmp(a->dies, "resets", 6) != 0)
        spin(DUMP_TIME);
    guest_print("hostile: %s dies: %s\n", a->name, a->dies);
    spin(LINE_TIME);
    a->run();
    guest_print("hostile: %s came back\n", a->name);
}

void guest_main(void) {
    uint64_t life = guest_counter(HYPERCALL_COUNTER_RESTARTS), deaths = 0;

    hostile_thin = guest_number("thin", 1);
    for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
        for (const struct attack *a = tables[i]; a->name != NULL; a++) {
            if (!wanted(a) || a->cpus > guest_nr_cpus())
                continue;
            if (a->dies == NULL && life == 0)
                survive(a);
            else if (a->dies != NULL && deaths++ == life)
                die(a);
        }
    }
    guest_print("hostile: all done\n");
}
