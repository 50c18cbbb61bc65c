/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the tables of rows and prints each row's ticks for one turn. Command line: cpus=2 runs the rows that
 * need two CPUs, otherwise those that need one; only=ROW, perhaps several, any of them.
 *
 * Around the turns of a row it prefetches from an address that means something to an emulator which counts
 * what happens in between (tests/rig/witness.c), and nothing to a CPU. */
#include "guests/bench/bench.h"

#include "core/str.h"

#define MARK   UINT64_C(0x4d61726b00)
#define SETTLE 400000 /* ticks */

static const struct bench_row *const tables[] = {bench_cpu,    bench_xapic, bench_io, bench_memory,
                                                 bench_x2apic, bench_ipi}; /* xAPIC mode first */

BENCH_LOOP(empty, __asm__ volatile(""))

static void mark(uint64_t number) {
    __asm__ volatile("prefetcht0 (%0)" : : "r"(MARK + number));
}

static uint32_t hypervisor_leaf(char signature[13]) {
    struct cpuid leaf = cpuid(0x40000000, 0);

    memcpy(signature, &leaf.ebx, 12);
    signature[12] = '\0';
    return leaf.eax;
}

bool bench_is_guest(void) {
    return (cpuid(1, 0).ecx & BIT(31)) != 0;
}

static bool is_mullion(void) {
    char signature[13];

    hypervisor_leaf(signature);
    return bench_is_guest() && str_equal(signature, "MullionVMX");
}

const char *bench_no_x2apic(void) {
    return guest_x2apic_on() ? NULL : "no x2APIC";
}

bool bench_wait(const volatile bool *flag) {
    uint64_t end = rdtsc() + BENCH_PATIENCE;

    __asm__ volatile("sti");
    while (!*flag && rdtsc() < end)
        ;
    __asm__ volatile("cli");
    return *flag;
}

/* ---- Which rows ---- */
static bool only(const char *name) {
    char word[64];

    str_format(word, sizeof(word), "only=%s", name);
    return guest_has_word(word);
}

static bool any_only(void) {
    for (const char *at = guest_cmdline(); *at != '\0'; at++)
        if (str_length(at) >= 5 && memcmp(at, "only=", 5) == 0)
            return true;
    return false;
}

static bool wanted(const struct bench_row *row) {
    return any_only() ? only(row->name) : row->two_cpus == (guest_nr_cpus() >= 2);
}

static const char *absent(const struct bench_row *row) {
    if (row->two_cpus && guest_nr_cpus() < 2)
        return "one CPU only";
    return row->absent != NULL ? row->absent() : NULL;
}

/* ---- What they cost ---- */
void bench_settle(void) {
    uint64_t end = rdtsc() + SETTLE;

    while (rdtsc() < end)
        bench_relax();
}

static void measure(const struct bench_row *row, unsigned number) {
    unsigned turns = row->turns != 0 ? row->turns : BENCH_TURNS;
    bool counted = is_mullion();
    uint64_t exits = 0, ticks, tenths, nothing;

    row->run(2); /* whatever happens only once */
    bench_settle();
    nothing = row->loop ? empty(turns) : 0; /* now that nobody interrupts it */
    if (counted)
        exits = guest_exits();
    mark(2 * number);
    ticks = row->run(turns);
    mark(2 * number + 1);
    if (counted)
        exits = guest_exits() - exits - 1; /* this question is one, too */
    if (ticks == BENCH_FAILED) {
        guest_print("bench: %s failed\n", row->name);
        return;
    }
    ticks = ticks > nothing ? ticks - nothing : 0;
    tenths = (10 * ticks + turns / 2) / turns;
    guest_print("bench: %s ticks %lu.%lu turns %u exits ", row->name, tenths / 10, tenths % 10, turns);
    if (counted)
        guest_print("%lu\n", exits);
    else
        guest_print("n/a\n");
}

void guest_main(void) {
    char signature[13];
    unsigned number = 0;

    hypervisor_leaf(signature);
    guest_print("bench: %s%s, CPUs %u\n", bench_is_guest() ? "guest of " : "no hypervisor",
                bench_is_guest() ? signature : "", guest_nr_cpus());
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
        for (const struct bench_row *row = tables[i]; row->name != NULL; row++) {
            const char *why = wanted(row) ? absent(row) : NULL;

            if (why != NULL)
                guest_print("bench: %s absent: %s\n", row->name, why);
            else if (wanted(row))
                measure(row, number++);
        }
    guest_print("bench: done, %u rows\n", number);
}
