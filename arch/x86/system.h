/* SPDX-License-Identifier: Apache-2.0 */
/* The machine as a whole: when its last partition has stopped, and how it ends. */
#pragma once

#include "core/partition.h"
#include "core/platform.h"

/* Before the partitions start. Boot core. */
void system_init(const struct system_config *config, const struct platform *platform, uint64_t tsc_khz);

/* Seconds since 1970, from the machine's clock at boot and the TSC. Any CPU. */
uint64_t system_time(void);

/* All vCPUs of `p` are parked for good. Does what when_done says if it was the last one; returns
 * otherwise, and when the machine is to stay as it is. On the core of its last vCPU. */
void system_partition_stopped(const struct partition *p);

/* Halt this core for good. */
_Noreturn void system_halt(void);
