/* SPDX-License-Identifier: Apache-2.0 */
/* A recorded machine, tests/machines/NAME.txt, as what core/ asks of one. The file holds lines that probe.elf
 * prints, as a serial port caught them or without "mullion| ": those named below
 * count, all others are passed over. A CPUID leaf that is not there reads zeros, an MSR that is not there
 * fails the test: on the machine it faults. Numbers are hexadecimal. cpuid LEAF SUBLEAF EAX EBX ECX EDX msr
 * INDEX VALUE             of the boot core memory BASE BYTES ram|reserved|acpi|...   module BASE BYTES NAME
 * ARGUMENTS image BASE BYTES                          what the hypervisor's own image fills acpi TABLE OFFSET
 * BYTES                   core NUMBER ...             of each core that runs free BYTES what was left for
 * partitions
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/boot_info.h"
#include "tests/unit/unit.h"

struct machine_table {
    char name[5];
    uint8_t bytes[8192];
    unsigned length;
};

static struct {
    struct {
        uint32_t leaf, subleaf, regs[4];
    } cpuid[256];
    unsigned nr_cpuid;
    struct {
        uint32_t index;
        uint64_t value;
    } msr[160];
    unsigned nr_msr;
    struct boot_info boot;
    struct range image;
    struct machine_table tables[8];
    unsigned nr_tables;
    uint64_t cores, free_bytes;
} machine;

static inline bool machine_read_cpu(const char *line) {
    uint32_t *r = machine.cpuid[machine.nr_cpuid].regs;

    assert_true(machine.nr_cpuid < ARRAY_SIZE(machine.cpuid) - 1);
    assert_true(machine.nr_msr < ARRAY_SIZE(machine.msr) - 1);
    if (sscanf(line, "cpuid %x %x %x %x %x %x", &machine.cpuid[machine.nr_cpuid].leaf,
               &machine.cpuid[machine.nr_cpuid].subleaf, r, r + 1, r + 2, r + 3) == 6)
        machine.nr_cpuid++;
    else if (sscanf(line, "msr %x %lx", &machine.msr[machine.nr_msr].index,
                    &machine.msr[machine.nr_msr].value) == 2)
        machine.nr_msr++;
    else
        return false;
    return true;
}

static inline bool machine_read_boot(const char *line) {
    static const char *const kinds[] = {"?", "ram", "reserved", "acpi", "nvs", "bad"};
    struct memory_range *m = &machine.boot.memory[machine.boot.nr_memory];
    struct module *module = &machine.boot.modules[machine.boot.nr_modules];
    char kind[9];

    assert_true(machine.boot.nr_memory < MAX_MEMORY_RANGES && machine.boot.nr_modules < MAX_MODULES);
    if (sscanf(line, "memory %lx %lx %8s", &m->range.base, &m->range.size, kind) == 3) {
        for (unsigned i = 1; i < ARRAY_SIZE(kinds); i++)
            if (strcmp(kind, kinds[i]) == 0)
                m->kind = i;
        assert_int_not_equal(m->kind, 0);
        machine.boot.nr_memory++;
    } else if (sscanf(line, "module %lx %lx %31s %127[^\n]", &module->at.v, &module->bytes, module->name,
                      module->args) >= 3) {
        machine.boot.nr_modules++;
    } else {
        return sscanf(line, "image %lx %lx", &machine.image.base, &machine.image.size) == 2;
    }
    return true;
}

static inline bool machine_read_table(const char *line) {
    struct machine_table *t = &machine.tables[machine.nr_tables];
    unsigned offset, byte;
    char name[5];
    int at;

    if (sscanf(line, "acpi %4s %x %n", name, &offset, &at) != 2)
        return false;
    if (offset == 0) {
        assert_true(machine.nr_tables < ARRAY_SIZE(machine.tables));
        machine.nr_tables++;
    } else {
        t--;
        assert_string_equal(t->name, name);
        assert_int_equal(t->length, offset);
    }
    strcpy(t->name, name);
    for (; sscanf(line + at, "%2x", &byte) == 1; at += 2) {
        assert_true(t->length < sizeof(t->bytes));
        t->bytes[t->length++] = (uint8_t)byte;
    }
    return true;
}

/* A line without what a serial port puts around it. */
static inline char *machine_line(char *text) {
    static const char ours[] = "mullion| ";

    text[strcspn(text, "\r\n")] = '\0';
    return strncmp(text, ours, strlen(ours)) == 0 ? text + strlen(ours) : text;
}

static inline void machine_load(const char *name) {
    char path[128], text[512];
    unsigned core;
    FILE *file;

    snprintf(path, sizeof(path), "tests/machines/%s.txt", name);
    file = fopen(path, "r");
    assert_non_null(file);
    memset(&machine, 0, sizeof(machine));
    while (fgets(text, sizeof(text), file) != NULL) {
        const char *line = machine_line(text);

        if (machine_read_cpu(line) || machine_read_boot(line) || machine_read_table(line))
            continue;
        if (sscanf(line, "core %u apic", &core) == 1)
            machine.cores |= BIT(core);
        else
            sscanf(line, "free %lx", &machine.free_bytes);
    }
    fclose(file);
    assert_int_not_equal(machine.nr_cpuid, 0);
}

/* The recorded value, to be read or changed by a test. */
static inline uint32_t *machine_cpuid_regs(uint32_t leaf, uint32_t subleaf) {
    for (unsigned i = 0; i < machine.nr_cpuid; i++)
        if (machine.cpuid[i].leaf == leaf && machine.cpuid[i].subleaf == subleaf)
            return machine.cpuid[i].regs;
    return NULL;
}

static inline uint64_t *machine_msr_if(uint32_t index) {
    for (unsigned i = 0; i < machine.nr_msr; i++)
        if (machine.msr[i].index == index)
            return &machine.msr[i].value;
    return NULL;
}

static inline uint64_t *machine_msr(uint32_t index) {
    uint64_t *value = machine_msr_if(index);

    if (value == NULL)
        fail_msg("MSR 0x%x is read, this machine has none", index);
    return value;
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
