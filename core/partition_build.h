/* SPDX-License-Identifier: Apache-2.0 */
/* From a checked configuration to partitions that can be started. */
#pragma once

#include "core/guest_layout.h"
#include "core/host_map.h"
#include "core/partition.h"
#include "core/vmx_ctl.h"

struct partitions {
    struct pagetable epts[MAX_PARTITIONS];
    struct partition *at[MAX_PARTITIONS];
    struct proof_partition proof[MAX_PARTITIONS];
    struct vcpu *vcpus[MAX_CPUS]; /* by core; NULL: it has none */
};

/* Memory, EPT and bitmaps of every partition, each vCPU tied to its core, what its core goes on seeing, and
 * the proof that no partition reaches what is not its own. All or, with a message, nothing. Boot CPU. */
must_check enum err partitions_build(struct partitions *out, const struct system_config *config,
                                     const struct boot_info *info, const struct vmx_caps *caps,
                                     struct host_map *host);
