/* SPDX-License-Identifier: Apache-2.0 */
/* Builds partitions out of frames. What goes where is decided by core/config and core/guest_layout. */
#include "arch/x86/partition_build.h"

#include "arch/x86/memory.h"
#include "arch/x86/vmx_cpu.h"
#include "core/ept_check.h"
#include "core/guest_layout.h"
#include "core/host.h"
#include "core/log.h"
#include "core/partition.h"
#include "core/trap_map.h"

#define EPTP_WB   6u
#define EPTP_WALK ((PT_LEVELS - 1u) << 3)

static struct pagetable epts[MAX_PARTITIONS] __attribute__((section(".bss.sealed")));
static struct vcpu *vcpus[MAX_CPUS] __attribute__((section(".bss.sealed")));
static struct proof_partition proof[MAX_PARTITIONS] __attribute__((section(".bss.sealed")));

struct vcpu *partitions_vcpu(unsigned cpu) {
    return vcpus[cpu];
}

static enum err build_io_bitmaps(struct partition *p, struct frames *frames) {
    enum err e = frames_alloc(frames, TRAP_IO_BITMAP_BYTES, &p->io_bitmaps);
    if (e == ERR_OK)
        trap_map_io_bitmap(p->config, host_phys(p->io_bitmaps, TRAP_IO_BITMAP_BYTES));
    return e;
}

static enum err build_ept(struct partition *p, struct frames *frames) {
    struct pagetable *ept = &epts[p->id];
    bool gib = (vmx_caps.raw[CAP_EPT_VPID] & EPT_CAP_1G) != 0;
    enum err e = pt_init(ept, &pt_ept, gib ? 3 : 2, frames);
    if (e == ERR_OK)
        e = guest_layout_ept(ept, &p->map);
    p->ept_pointer = ept->root.v | EPTP_WALK | EPTP_WB;
    return e == ERR_OK ? ept_check(&vmx_caps, p->ept_pointer, &frames->own) : e;
}

/* What the partition's cores go on seeing after the seal. */
static enum err keep(const struct partition *p, unsigned cpu, struct range own) {
    enum err e = memory_cpu_keep(cpu, own, PT_RW);
    for (unsigned i = 0; i < p->map.count && e == ERR_OK; i++)
        if (p->map.regions[i].kind != REGION_DEVICE)
            e = memory_cpu_keep(cpu, guest_region_frames(&p->map.regions[i]), PT_RW);
    if (e == ERR_OK)
        e = memory_cpu_keep(cpu, (struct range){p->kernel->at.v, p->kernel->bytes}, PT_READ);
    for (unsigned i = 0; i < p->nr_modules && e == ERR_OK; i++)
        e = memory_cpu_keep(cpu, (struct range){p->modules[i]->at.v, p->modules[i]->bytes}, PT_READ);
    return e;
}

static enum err build_vcpus(struct partition *p, struct range own) {
    enum err e = ERR_OK;
    for (uint64_t left = p->config->cpus; left != 0 && e == ERR_OK; left &= left - 1) {
        struct vcpu *v = &p->vcpus[p->nr_vcpus];
        v->partition = p;
        v->index = p->nr_vcpus++;
        v->cpu = (unsigned)__builtin_ctzll(left);
        p->lapics[v->index] = &v->lapic;
        vcpus[v->cpu] = v;
        e = keep(p, v->cpu, own);
    }
    return e;
}

static enum err build(const struct partition_config *c, unsigned id, const struct boot_info *info,
                      struct frames *frames) {
    uint64_t bytes = sizeof(struct partition) + count_bits(c->cpus) * sizeof(struct vcpu);
    hpa_t at;
    enum err e = frames_alloc(frames, bytes, &at);
    if (e != ERR_OK)
        return e;
    struct partition *p = host_phys(at, bytes);
    p->config = c;
    p->id = id;
    p->kernel = boot_info_module(info, c->kernel);
    if (c->initrd[0] != '\0')
        p->modules[p->nr_modules++] = boot_info_module(info, c->initrd);
    for (unsigned i = 0; i < c->nr_modules; i++)
        p->modules[p->nr_modules++] = boot_info_module(info, c->modules[i].name);
    e = guest_layout_build(&p->map, c, frames);
    if (e == ERR_OK)
        e = build_ept(p, frames);
    if (e == ERR_OK)
        e = build_io_bitmaps(p, frames);
    if (e == ERR_OK)
        e = build_vcpus(p, (struct range){at.v, align_up(bytes, PAGE_SIZE)});
    proof[id] = (struct proof_partition){c->name, &p->map, &epts[id]};
    return e;
}

enum err partitions_build(const struct system_config *config, const struct boot_info *info,
                          struct frames *frames) {
    for (unsigned i = 0; i < config->nr_partitions; i++) {
        enum err e = build(&config->partitions[i], i, info, frames);
        if (e != ERR_OK) {
            log_line("%s: cannot be built", config->partitions[i].name);
            return e;
        }
    }
    return guest_layout_prove(proof, config->nr_partitions, &frames->own);
}
