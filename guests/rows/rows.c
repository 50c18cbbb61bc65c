/* SPDX-License-Identifier: Apache-2.0 */
/* Runs all tests that return, then one of those that end the partition at each start: on_exit = restart
 * brings it back, and the hypervisor's count of restarts says which one is next. `only=TOPIC` on the command
 * line runs one topic. */
#include "guests/rows/rows.h"

#include "core/str.h"

static const struct topic {
    const char *name;
    const struct row_test *tests;
} topics[] = {
    {"state", rows_state}, {"event", rows_event}, {"call", rows_call}, {"run", rows_run},
    {"cpu", rows_cpu},     {"cr", rows_cr},       {"apic", rows_apic}, {"smp", rows_smp},
    {"io", rows_io},       {"vcpus", rows_vcpus}, {"life", rows_life},
};

#define MOST_DEATHS 40

/* So long that the console, a slow line, has shown what came before. */
#define CONSOLE_TICKS 12000000

static void sleep(uint64_t ticks) {
    uint64_t until = rdtsc() + ticks, result;

    while (rdtsc() < until)
        guest_hypercall(HYPERCALL_WAIT, until, 0, &result);
}

static bool wanted(const struct topic *topic) {
    char word[32];

    str_format(word, sizeof(word), "only=%s", topic->name);
    return guest_has_word(word) || memcmp(guest_cmdline(), "only=", 5) != 0;
}

static void run(const struct topic *topic, const struct row_test *test) {
    if (test->cpus > guest_nr_cpus()) {
        guest_print("skip %s/%s: needs %u CPUs\n", topic->name, test->name, test->cpus);
        return;
    }
    guest_print("test %s/%s\n", topic->name, test->name);
    if (test->dies != NULL) {
        guest_print("dies: %s\n", test->dies);
        row_soil_translations();
        sleep(CONSOLE_TICKS);
    }
    test->run();
    if (test->dies != NULL)
        EXPECT(test->name, !"it came back");
}

/* Of all wanted tests those that die, or those that return: the n-th, or with UINT64_MAX all. */
static void run_those(bool die, uint64_t n) {
    for (unsigned i = 0; i < ARRAY_SIZE(topics); i++)
        for (const struct row_test *t = topics[i].tests; t->name != NULL && wanted(&topics[i]); t++)
            if ((t->dies != NULL) == die && t->cpus <= guest_nr_cpus() && (n == UINT64_MAX || n-- == 0))
                run(&topics[i], t);
}

void guest_main(void) {
    uint64_t restarts = guest_counter(HYPERCALL_COUNTER_RESTARTS);

    if (restarts > MOST_DEATHS)
        return; /* dying where it should not */
    if (restarts == 0) {
        run_those(false, UINT64_MAX);
        guest_expect_summary();
        sleep(8 * CONSOLE_TICKS); /* all of these lines */
    } else {
        rows_state[0].run(); /* as at the first start, so at each */
        rows_run[0].run();
    }
    run_those(true, restarts);
    guest_print("rows: all done\n");
}
