/* SPDX-License-Identifier: Apache-2.0 */
/* Builds partitions out of frames. What goes where is decided by config and guest_layout. */
#include "core/partition_build.h"

#include "core/host.h"
#include "core/log.h"
#include "core/trap_map.h"

#define EPTP_WB   6u
#define EPTP_WALK ((PT_LEVELS - 1u) << 3)

/* What one partition is made from. */
struct build {
    struct partitions *all;
    const struct boot_info *info;
    const struct vmx_caps *caps;
    struct host_map *host;
    struct frames *frames;
};

static enum err build_io_bitmaps(struct partition *p, struct frames *frames) {
    enum err e = frames_alloc(frames, TRAP_IO_BITMAP_BYTES, &p->io_bitmaps);
    if (e == ERR_OK)
        trap_map_io_bitmap(p->config, host_phys(p->io_bitmaps, TRAP_IO_BITMAP_BYTES));
    return e;
}

static enum err build_ept(const struct build *b, struct partition *p) {
    struct pagetable *ept = &b->all->epts[p->id];
    bool gib = (b->caps->raw[CAP_EPT_VPID] & EPT_CAP_1G) != 0;
    enum err e = pt_init(ept, &pt_ept, gib ? 3 : 2, b->frames);
    if (e == ERR_OK)
        e = guest_layout_ept(ept, &p->map);
    p->ept_pointer = ept->root.v | EPTP_WALK | EPTP_WB;
    return e;
}

/* What the partition's cores go on seeing after the seal. */
static enum err keep(const struct build *b, const struct partition *p, unsigned cpu, struct range own) {
    enum err e = host_map_keep(b->host, cpu, own, PT_RW);
    for (unsigned i = 0; i < p->map.count && e == ERR_OK; i++)
        if (p->map.regions[i].kind != REGION_DEVICE)
            e = host_map_keep(b->host, cpu, guest_region_frames(&p->map.regions[i]), PT_RW);
    if (e == ERR_OK)
        e = host_map_keep(b->host, cpu, (struct range){p->kernel->at.v, p->kernel->bytes}, PT_READ);
    for (unsigned i = 0; i < p->nr_modules && e == ERR_OK; i++)
        e = host_map_keep(b->host, cpu, (struct range){p->modules[i]->at.v, p->modules[i]->bytes}, PT_READ);
    return e;
}

static enum err build_vcpus(const struct build *b, struct partition *p, struct range own) {
    enum err e = ERR_OK;
    for (uint64_t left = p->config->cpus; left != 0 && e == ERR_OK; left &= left - 1) {
        struct vcpu *v = &p->vcpus[p->nr_vcpus];
        v->partition = p;
        v->index = p->nr_vcpus++;
        v->cpu = (unsigned)__builtin_ctzll(left);
        p->lapics[v->index] = &v->lapic;
        b->all->vcpus[v->cpu] = v;
        e = keep(b, p, v->cpu, own);
    }
    return e;
}

static enum err build(const struct build *b, const struct partition_config *c, unsigned id) {
    uint64_t bytes = sizeof(struct partition) + count_bits(c->cpus) * sizeof(struct vcpu);
    hpa_t at;
    enum err e = frames_alloc(b->frames, bytes, &at);
    if (e != ERR_OK)
        return e;
    struct partition *p = host_phys(at, bytes);
    p->config = c;
    p->id = id;
    p->kernel = boot_info_module(b->info, c->kernel);
    if (c->initrd[0] != '\0')
        p->modules[p->nr_modules++] = boot_info_module(b->info, c->initrd);
    for (unsigned i = 0; i < c->nr_modules; i++)
        p->modules[p->nr_modules++] = boot_info_module(b->info, c->modules[i].name);
    e = guest_layout_build(&p->map, c, b->frames);
    if (e == ERR_OK)
        e = build_ept(b, p);
    if (e == ERR_OK)
        e = build_io_bitmaps(p, b->frames);
    if (e == ERR_OK)
        e = build_vcpus(b, p, (struct range){at.v, align_up(bytes, PAGE_SIZE)});
    b->all->at[id] = p;
    b->all->proof[id] = (struct proof_partition){c->name, &p->map, &b->all->epts[id]};
    return e;
}

enum err partitions_build(struct partitions *out, const struct system_config *config,
                          const struct boot_info *info, const struct vmx_caps *caps, struct host_map *host) {
    const struct build b = {out, info, caps, host, host->frames};
    struct report report = {CONFIG_NAME, 0};
    for (unsigned i = 0; i < config->nr_partitions; i++) {
        const struct partition_config *c = &config->partitions[i];
        enum err e = build(&b, c, i);
        if (e != ERR_OK) {
            report_error(&report, c->line_of[KEY_MEMORY],
                         "memory = %s: partition %s and its tables do not fit; give it less",
                         config_print_size(c->memory_bytes).s, c->name);
            return e;
        }
    }
    return guest_layout_prove(out->proof, config->nr_partitions, &host->frames->own);
}
