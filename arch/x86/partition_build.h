/* SPDX-License-Identifier: Apache-2.0 */
/* From a checked configuration to partitions that can be started. */
#pragma once

#include "core/boot_info.h"
#include "core/config.h"
#include "core/frames.h"

/* Memory, EPT and bitmaps of every partition, each vCPU tied to its core, and the proof that no
 * partition reaches what is not its own. All or, with a message, nothing. Boot core. */
must_check enum err partitions_build(const struct system_config *config, const struct boot_info *info,
                                     struct frames *frames);

/* The vCPU of a core, NULL if it has none. */
struct vcpu *partitions_vcpu(unsigned cpu);
