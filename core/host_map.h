/* SPDX-License-Identifier: Apache-2.0 */
/* What the hypervisor's own page tables hold: everything while it boots, and after the seal, on each CPU,
 * only the image, that CPU's own pages and its own partition. Builds them; whoever uses them loads CR3. Boot
 * CPU, before the seal. */
#pragma once

#include "core/pagetable.h"
#include "core/platform.h"

#define HOST_PARTS    4
#define HOST_VIEW_MAX (MAX_GUEST_REGIONS + MAX_MODULES + 1) /* memory, images and struct of a partition */

/* Virtual addresses, the same in all tables. */
struct host_layout {
    uint64_t direct; /* where physical address 0 is seen, as far as it is mapped */
    struct {
        struct range at;
        unsigned attributes;
    } image[HOST_PARTS];             /* ascending; what is between them guards stacks */
    struct range percpu[HOST_PARTS]; /* other frames behind them on each CPU */
    hpa_t image_phys;                /* where the first part was loaded */
};

struct host_cpu {
    struct pagetable sealed;          /* for after the seal */
    hpa_t boot_root;                  /* the same, but with all of memory */
    hpa_t frames;                     /* the per-CPU pages, and behind them `more` */
    struct range view[HOST_VIEW_MAX]; /* physical memory that it sees after the seal */
    unsigned view_count;
};

struct host_map {
    const struct host_layout *layout;
    struct frames *frames;
    unsigned max_leaf; /* as in struct pagetable */
    struct pagetable boot;
    struct frames_list direct, devices; /* what `boot` maps of memory and of devices */
    struct host_cpu cpus[MAX_CPUS];
};

/* The tables of the boot: the image, all RAM that is nothing else as well, the interrupt controllers'
 * registers. */
must_check enum err host_map_init(struct host_map *map, const struct host_layout *layout,
                                  struct frames *frames, unsigned max_leaf, const struct boot_info *info,
                                  const struct platform *platform);

/* Tables and zeroed pages of one CPU; `more` pages that it does not see are allocated behind them. */
must_check enum err host_map_cpu(struct host_map *map, unsigned cpu, unsigned more);

/* Let that CPU go on seeing `range` after the seal. */
must_check enum err host_map_keep(struct host_map *map, unsigned cpu, struct range range,
                                  unsigned attributes);

/* Does that CPU see all of `want` after the seal; does every CPU before? */
bool host_map_sees(const struct host_map *map, unsigned cpu, struct range want);
bool host_map_sees_at_boot(const struct host_map *map, struct range want);
