/* SPDX-License-Identifier: Apache-2.0 */
/* A recorded machine, tests/machines/NAME.txt, as the CPUID and RDMSR that core/ asks: one line
 * `cpuid LEAF SUBLEAF EAX EBX ECX EDX` or `msr INDEX VALUE` each, all hexadecimal. A leaf that is
 * not recorded reads zeros, an MSR that is not recorded fails the test: on the machine it faults.
 */
#pragma once

#include <stdio.h>
#include <string.h>

#include "core/types.h"
#include "tests/unit/unit.h"

static struct {
    struct {
        uint32_t leaf, subleaf, regs[4];
    } cpuid[128];
    unsigned nr_cpuid;
    struct {
        uint32_t index;
        uint64_t value;
    } msr[64];
    unsigned nr_msr;
} machine;

static inline void machine_load(const char *name) {
    char path[128], line[128];
    FILE *file;

    snprintf(path, sizeof(path), "tests/machines/%s.txt", name);
    file = fopen(path, "r");
    assert_non_null(file);
    machine.nr_cpuid = machine.nr_msr = 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        uint32_t *r = machine.cpuid[machine.nr_cpuid].regs;

        assert_true(machine.nr_cpuid < ARRAY_SIZE(machine.cpuid));
        assert_true(machine.nr_msr < ARRAY_SIZE(machine.msr));
        if (sscanf(line, "cpuid %x %x %x %x %x %x", &machine.cpuid[machine.nr_cpuid].leaf,
                   &machine.cpuid[machine.nr_cpuid].subleaf, r, r + 1, r + 2, r + 3) == 6)
            machine.nr_cpuid++;
        else if (sscanf(line, "msr %x %lx", &machine.msr[machine.nr_msr].index,
                        &machine.msr[machine.nr_msr].value) == 2)
            machine.nr_msr++;
        else
            assert_int_equal(line[0], '#');
    }
    fclose(file);
}

/* The recorded value, to be read or changed by a test. */
static inline uint32_t *machine_cpuid_regs(uint32_t leaf, uint32_t subleaf) {
    for (unsigned i = 0; i < machine.nr_cpuid; i++)
        if (machine.cpuid[i].leaf == leaf && machine.cpuid[i].subleaf == subleaf)
            return machine.cpuid[i].regs;
    return NULL;
}

static inline uint64_t *machine_msr(uint32_t index) {
    for (unsigned i = 0; i < machine.nr_msr; i++)
        if (machine.msr[i].index == index)
            return &machine.msr[i].value;
    fail_msg("MSR 0x%x is read, this machine has none", index);
    return NULL;
}

static inline void machine_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t regs[4]) {
    const uint32_t *r = machine_cpuid_regs(leaf, subleaf);

    if (r == NULL) /* leaves without subleaves ignore ECX, but all of ours ask with 0 */
        memset(regs, 0, 4 * sizeof(*regs));
    else
        memcpy(regs, r, 4 * sizeof(*regs));
}

static inline uint64_t machine_rdmsr(uint32_t index) {
    return *machine_msr(index);
}
