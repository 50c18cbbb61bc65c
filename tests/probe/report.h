/* SPDX-License-Identifier: Apache-2.0 */
/* What kind of machine this is, and the report of it: lines for people to read and for the host tests to
 * replay (tests/unit/machine.h). Facts in, log lines out. */
#pragma once

#include "core/config.h"
#include "core/cpuid_policy.h"
#include "core/speculation.h"

#define PROBE_CORE_MSRS 5
#define PCI_HEADER_REGS 16 /* of 4 bytes */

struct probe_text {
    char s[768];
    size_t used;
};

/* RDMSR: false if this CPU does not have it. */
typedef bool probe_rdmsr_fn(uint32_t index, uint64_t *value);

/* What a core says of itself. */
struct probe_core {
    uint8_t type;                   /* of a hybrid CPU's core, CPUID.1AH:EAX 31:24; 0 = not hybrid */
    uint64_t msrs[PROBE_CORE_MSRS]; /* PROBE_ABSENT = not there */
};
#define PROBE_ABSENT UINT64_MAX

void probe_core_read(struct probe_core *out, cpuid_fn *cpuid, probe_rdmsr_fn *rdmsr);

/* One line, if the cores `there` are not all of one type. */
void probe_log_types(uint64_t there, const struct probe_core *cores);

/* Of this CPU all CPUID leaves, and the MSRs that say what VMX,
 * memory types and TSC are like. */
void probe_log_cpu(cpuid_fn *cpuid, probe_rdmsr_fn *rdmsr);

/* What may leak on this CPU: a line a row. */
void probe_log_speculation(const struct speculation *s);

/* The memory map, the modules, the ACPI tables. */
void probe_log_firmware(const struct boot_info *info);

/* The head of a PCI function's configuration space; bdf: bus 15:8, device 7:3, function 2:0. */
void probe_log_pci(unsigned bdf, const uint32_t regs[PCI_HEADER_REGS]);

/* One line a core of those that run. */
void probe_log_cores(const struct machine *machine, const struct probe_core *cores);

/* A configuration for this machine with the modules that are loaded. False: no kernel is among them. */
bool probe_draft(struct probe_text *out, const struct machine *machine);
