/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the console from the others: says as much as it can, on all its CPUs, to the UART and by hypercall,
 * whether there is room or not, until it hears a q. With `asleep` on the command line it has its CPU sleep
 * for ever, which is worse where that is the core that looks for input. */
#include "guests/lib/guest.h"

#define COM1 0x3F8

static volatile bool enough;

static void say(void *arg) {
    uint64_t text = UINT64_C(0x6166206F6F6C6220), result; /* " bloo fa" */

    for (uint64_t i = 0; !enough; i++) {
        outb(COM1, (uint8_t)('a' + i % 26));
        guest_hypercall(HYPERCALL_WRITE, text, 8, &result);
        if (i % 8 == 0)
            outb(COM1, '\n');
        if (guest_cpu() == 0 && (inb(COM1 + 5) & 1) != 0)
            enough = inb(COM1) == 'q';
    }
}

void guest_main(void) {
    uint64_t result;

    while (guest_has_word("asleep"))
        guest_hypercall(HYPERCALL_WAIT, rdtsc() + BIT(62), 0, &result);
    for (unsigned cpu = 1; cpu < guest_nr_cpus(); cpu++)
        guest_cpu_run(cpu, say, NULL);
    say(NULL);
    for (unsigned cpu = 1; cpu < guest_nr_cpus(); cpu++)
        guest_cpu_wait(cpu, 1000000);
    guest_print("\nflood: over after %lu exits\n", guest_exits());
}
