/* SPDX-License-Identifier: Apache-2.0 */
/* The one place that decides which frame the hypervisor can reach, from where and how. */
#include "core/host_map.h"

#include "core/host.h"

#define ADDRESS      UINT64_C(0x000ffffffffff000)
#define DEVICE       (PT_RW | PT_UC)
#define SLOT(virt)   ((virt) >> 39 & 511)
#define GIB_OF(virt) ((virt) >> 30 & 511)

static enum err map_image(struct host_map *m) {
    enum err e = ERR_OK;
    for (unsigned i = 0; i < HOST_PARTS && e == ERR_OK; i++) {
        struct range r = m->layout->image[i].at;
        hpa_t to = hpa(m->layout->image_phys.v + (r.base - m->layout->image[0].at.base));
        e = pt_map(&m->boot, r.base, to, r.size, m->layout->image[i].attributes);
    }
    return e;
}

static enum err map_list(struct host_map *m, const struct frames_list *list, unsigned attributes) {
    enum err e = ERR_OK;
    for (unsigned i = 0; i < list->count && e == ERR_OK; i++)
        e = pt_map(&m->boot, m->layout->direct + list->ranges[i].base, hpa(list->ranges[i].base),
                   list->ranges[i].size, attributes);
    return e;
}

static enum err list_device(struct host_map *m, uint64_t at, uint64_t bytes) {
    bool here = at != 0 && at < m->layout->image[0].at.base - m->layout->direct; /* an address that can be */
    return here ? frames_list_set(&m->devices, frames_pages((struct range){at, bytes}, true), true) : ERR_OK;
}

static enum err list_register(struct host_map *m, struct acpi_address r) {
    return r.space == SPACE_MEMORY ? list_device(m, r.address, 1) : ERR_OK;
}

/* RAM, what firmware reserves and devices may overlap or share pages in what firmware says: whole pages that
 * are something else as well are no RAM, and what is RAM then is no device. */
static enum err list_direct(struct host_map *m, const struct boot_info *info,
                            const struct platform *platform) {
    enum err e = list_device(m, platform->lapic.v, PAGE_SIZE);
    for (unsigned i = 0; i < platform->nr_ioapics && e == ERR_OK; i++)
        e = list_device(m, platform->ioapics[i].at.v, PAGE_SIZE);
    if (e == ERR_OK)
        e = list_register(m, platform->reset_reg);
    if (e == ERR_OK)
        e = list_register(m, platform->sleep_control);
    for (unsigned i = 0; i < info->nr_memory && e == ERR_OK; i++)
        if (info->memory[i].kind == MEMORY_RAM)
            e = frames_list_set(&m->direct, frames_pages(info->memory[i].range, true), true);
    for (unsigned i = 0; i < info->nr_memory && e == ERR_OK; i++)
        if (info->memory[i].kind != MEMORY_RAM)
            e = frames_list_set(&m->direct, frames_pages(info->memory[i].range, false), false);
    for (unsigned i = 0; i < m->direct.count && e == ERR_OK; i++)
        e = frames_list_set(&m->devices, m->direct.ranges[i], false);
    return e;
}

enum err host_map_init(struct host_map *map, const struct host_layout *layout, struct frames *frames,
                       unsigned max_leaf, const struct boot_info *info, const struct platform *platform) {
    map->layout = layout;
    map->frames = frames;
    map->max_leaf = max_leaf;
    enum err e = pt_init(&map->boot, &pt_host, max_leaf, frames);
    if (e == ERR_OK)
        e = map_image(map);
    if (e == ERR_OK)
        e = list_direct(map, info, platform);
    if (e == ERR_OK)
        e = map_list(map, &map->direct, PT_RW);
    return e == ERR_OK ? map_list(map, &map->devices, DEVICE) : e;
}

static uint64_t *table_at(uint64_t entry) {
    uint64_t *table = host_phys(hpa(entry & ADDRESS), PAGE_SIZE);
    ASSERT(table != NULL);
    return table;
}

enum err host_map_cpu(struct host_map *map, unsigned cpu, unsigned more) {
    const struct host_layout *layout = map->layout;
    struct host_cpu *c = &map->cpus[cpu];
    unsigned top = SLOT(layout->image[0].at.base), gib = GIB_OF(layout->image[0].at.base);
    uint64_t bytes = more * PAGE_SIZE, at;
    for (unsigned i = 0; i < HOST_PARTS; i++)
        bytes += layout->percpu[i].size;
    enum err e = pt_init(&c->sealed, &pt_host, map->max_leaf, map->frames);
    if (e == ERR_OK)
        e = frames_alloc(map->frames, bytes, &c->frames);
    if (e == ERR_OK)
        e = frames_alloc(map->frames, PAGE_SIZE, &c->boot_root);
    at = c->frames.v;
    for (unsigned i = 0; i < HOST_PARTS && e == ERR_OK; at += layout->percpu[i++].size)
        e = pt_map(&c->sealed, layout->percpu[i].base, hpa(at), layout->percpu[i].size, PT_RW);
    if (e != ERR_OK)
        return e;

    /* The image's tables are shared by all CPUs, so that the seal needs to change them only once. */
    const uint64_t *shared = table_at(map->boot.root.v), *own = table_at(c->sealed.root.v);
    uint64_t *boot_root = table_at(c->boot_root.v);
    table_at(own[top])[gib] = table_at(shared[top])[gib];
    for (unsigned slot = SLOT(layout->direct); slot < top; slot++)
        boot_root[slot] = shared[slot];
    boot_root[top] = own[top];
    return ERR_OK;
}

enum err host_map_keep(struct host_map *map, unsigned cpu, struct range range, unsigned attributes) {
    struct host_cpu *c = &map->cpus[cpu];
    struct range pages = frames_pages(range, true);
    if (range.size == 0 || host_map_sees(map, cpu, range))
        return ERR_OK; /* an empty module, or one that is given more than once */
    ASSERT(c->view_count < HOST_VIEW_MAX);
    c->view[c->view_count++] = range;
    return pt_map(&c->sealed, map->layout->direct + pages.base, hpa(pages.base), pages.size, attributes);
}

static bool one_contains(const struct range *ranges, unsigned count, struct range want) {
    bool does = false;
    for (unsigned i = 0; i < count; i++)
        does |= range_contains(ranges[i], want);
    return does;
}

bool host_map_sees(const struct host_map *map, unsigned cpu, struct range want) {
    return one_contains(map->cpus[cpu].view, map->cpus[cpu].view_count, want);
}

bool host_map_sees_at_boot(const struct host_map *map, struct range want) {
    return one_contains(map->direct.ranges, map->direct.count, want) ||
           one_contains(map->devices.ranges, map->devices.count, want);
}
