/* SPDX-License-Identifier: Apache-2.0 */
/* Gathers what the machine has, for core/probe.c to tell. Needs no VMX and starts no guest. Boot core. */
#pragma once

#include "core/probe.h"

/* CPU, firmware, devices. While the bootstrap tables show all below 4 GiB: where ACPI tables lie. */
void probe_machine(const struct boot_info *info);

/* Cores, the verdict, and a draft of a configuration, which is checked by way of *scratch. When all other
 * cores have come. */
void probe_report(const struct machine *machine, const struct probe_core *cores,
                  struct system_config *scratch);
