/* SPDX-License-Identifier: Apache-2.0 */
/* From a partition's config to its guest map, from the map to its EPT, and the proof over all of them that no
 * partition reaches what is not its own. Boot CPU, before the seal. */
#pragma once

#include "core/config.h"
#include "core/frames.h"
#include "core/guest_map.h"
#include "core/pagetable.h"

/* The guest's address map. Without `identity`, RAM counts from 0: `memory` includes the tables and the hole
 * below them, and what would lie in the device hole below 4 GiB continues above it. */
#define GUEST_LOW_RAM_BYTES KIB(640)
#define GUEST_TABLES_BASE   UINT64_C(0xc0000) /* what guests search for option ROMs and tables */
#define GUEST_TABLES_BYTES  KIB(256)
#define GUEST_RAM_BASE      MIB(1)
#define GUEST_HOLE_BASE     GIB(3)
#define GUEST_HIGH_RAM_BASE GIB(4)
#define GUEST_LAPIC_BASE    UINT64_C(0xfee00000) /* trapped: never mapped */
#define GUEST_MIN_BYTES     MIB(2)

/* Allocate the partition's RAM and describe it and its device windows in *map. */
must_check enum err guest_layout_build(struct guest_map *map, const struct partition_config *config,
                                       struct frames *frames);

/* Map exactly what the guest map says. */
must_check enum err guest_layout_ept(struct pagetable *ept, const struct guest_map *map);

struct proof_partition {
    const char *name;
    const struct guest_map *map;
    const struct pagetable *ept;
};

/* Walk the EPTs of all partitions as the processor would: each maps exactly its guest map, with the right
 * attributes; no frame is in two partitions, or twice in one, or the hypervisor's; the local APIC's page is
 * not mapped. ERR_RANGE at the first offence, which is logged. */
must_check enum err guest_layout_prove(const struct proof_partition *partitions, unsigned count,
                                       const struct frames_list *own);
