/* SPDX-License-Identifier: Apache-2.0 */
/* The machine as a whole: when its last partition has stopped, and how it ends. */
#pragma once

#include "core/partition.h"
#include "core/platform.h"

/* Before the partitions start. Boot core. */
void system_init(const struct system_config *config, const struct platform *platform, uint64_t tsc_khz);

/* Seconds since 1970, from the machine's clock at boot and the TSC. Any CPU. */
uint64_t system_time(void);

/* All vCPUs of `p` are parked for good, on the core of the last one. Does what when_done says if it
 * was the last partition; returns otherwise, and when the machine is to stay as it is. */
void system_partition_stopped(const struct partition *p);

/* Stop all cores, then end the machine in that way. Any CPU. */
_Noreturn void system_end(const struct platform *platform, enum when_done how);

/* The same after a panic, whose story is told and who has stopped the other cores. */
_Noreturn void system_panicked(bool say_so);

/* Halt this core for good. */
_Noreturn void system_halt(void);
