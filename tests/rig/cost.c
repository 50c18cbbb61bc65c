/* SPDX-License-Identifier: Apache-2.0 */
/* Part of the witness (witness.c): how many instructions the hypervisor executes from each VM exit to the
 * next entry on that CPU, an iteration of a string instruction being one, as Bochs' TSC counts them. Only
 * where MULLION_COSTS names the file that the end of the run writes, a row for each reason: "REASON COUNT SUM
 * WORST" and of the worst one "NANOSECONDS QUALIFICATION CPU". What comes to a VMLAUNCH, the first entry of a
 * life, counts as REASONS instead. */
#define _GNU_SOURCE
#include "tests/rig/witness.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REASONS 128
#define OPCODE_AT                                                                                            \
    32 /* of a decoded instruction: which one it is. Before it are two pointers to member functions */

static struct cost {
    uint64_t count, sum, worst;
    unsigned long long when, qualification;
    unsigned cpu;
} costs[REASONS + 1];

static struct open {
    bool is;
    uint32_t reason;
    uint64_t since;
    unsigned long long when, qualification;
} opened[WITNESS_CPUS]; /* an exit, until the next entry */

static uint64_t executed[WITNESS_CPUS];
static instruction *vm_enter;
static uint16_t launch; /* VMLAUNCH, as every first entry is one; VMRESUME has the same function */
static const char *path;

void cost_vmexit(unsigned cpu, uint32_t reason, uint64_t qualification) {
    opened[cpu] = (struct open){true, reason % REASONS, executed[cpu], witness_now(), qualification};
}

static void on_execution(unsigned cpu, const void *decoded) {
    (void)decoded;
    executed[cpu % WITNESS_CPUS]++;
}

static void on_enter(void *bochs_cpu, void *decoded) {
    unsigned cpu = witness_cpu(bochs_cpu);
    struct open *open = &opened[cpu];
    uint16_t opcode;
    memcpy(&opcode, (char *)decoded + OPCODE_AT, sizeof(opcode));
    launch = launch == 0 ? opcode : launch;
    if (open->is) {
        struct cost *cost = &costs[opcode == launch ? REASONS : open->reason];
        uint64_t spent = executed[cpu] - open->since;
        cost->count++;
        cost->sum += spent;
        if (spent > cost->worst)
            *cost = (struct cost){cost->count, cost->sum, spent, open->when, open->qualification, cpu};
        open->is = false;
    }
    vm_enter(bochs_cpu, decoded);
}

static void write_costs(void) {
    FILE *file = fopen(path, "w");
    for (unsigned reason = 0; file != NULL && reason <= REASONS; reason++) {
        const struct cost *c = &costs[reason];
        if (c->count != 0)
            fprintf(file, "%u %llu %llu %llu %llu %llx %u\n", reason, (unsigned long long)c->count,
                    (unsigned long long)c->sum, (unsigned long long)c->worst, c->when, c->qualification,
                    c->cpu);
    }
    if (file != NULL)
        fclose(file);
}

void cost_init(void) {
    path = getenv("MULLION_COSTS");
    if (path == NULL)
        return;
    witness_hook("_Z25bx_instr_before_executionjP15bxInstruction_c", (const void *)on_execution);
    witness_hook("_Z25bx_instr_repeat_iterationjP15bxInstruction_c", (const void *)on_execution);
    witness_replace("_ZN8BX_CPU_C8VMLAUNCHEP15bxInstruction_c", &vm_enter, on_enter);
    atexit(write_costs);
}
