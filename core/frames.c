/* SPDX-License-Identifier: Apache-2.0 */
/* Two sorted lists of ranges: what is free and what is the hypervisor's own. Guests' RAM is in neither. */
#include "core/frames.h"

#include "core/host.h"
#include "core/log.h"
#include "core/str.h"

#define LOW_END  KIB(640) /* above it firmware and devices, whatever the map says, up to 1 MiB */
#define RAM_BASE MIB(1)

/* Not RAM on any PC, even if the map says so: IOAPIC, local APIC, firmware. A guest with identity memory
 * would otherwise have RAM where the local APIC is trapped. */
static const struct range never[] = {
    {0, PAGE_SIZE}, /* BIOS data, and what a null pointer points to */
    {LOW_END, RAM_BASE - LOW_END},
    {0xfec00000, GIB(4) - 0xfec00000},
};

enum err frames_list_set(struct frames_list *list, struct range r, bool in) {
    unsigned first = 0, last, count = 0;
    uint64_t from = r.base, end = range_end(r), to = end;
    struct range put[2];
    if (r.size == 0)
        return ERR_OK;
    while (first < list->count && range_end(list->ranges[first]) < r.base)
        first++;
    for (last = first; last < list->count && list->ranges[last].base <= end; last++) {
        from = list->ranges[last].base < from ? list->ranges[last].base : from;
        to = range_end(list->ranges[last]) > to ? range_end(list->ranges[last]) : to;
    }
    if (in || from < r.base)
        put[count++] = (struct range){from, (in ? to : r.base) - from};
    if (!in && to > end)
        put[count++] = (struct range){end, to - end};
    if (list->count - (last - first) + count > FRAMES_MAX_RANGES) {
        log_line("frames: memory is in more than %u pieces", FRAMES_MAX_RANGES);
        return ERR_FULL;
    }
    memmove(&list->ranges[first + count], &list->ranges[last], (list->count - last) * sizeof(put[0]));
    memcpy(&list->ranges[first], put, count * sizeof(put[0]));
    list->count = list->count - (last - first) + count;
    return ERR_OK;
}

/* Of an empty range there are none. */
struct range frames_pages(struct range r, bool touched) {
    struct range c = range_clip(r, 0, FRAMES_LIMIT);
    uint64_t base = touched ? align_down(c.base, PAGE_SIZE) : align_up(c.base, PAGE_SIZE);
    uint64_t end = touched ? align_up(range_end(c), PAGE_SIZE) : align_down(range_end(c), PAGE_SIZE);
    return (struct range){base, base < end ? end - base : 0};
}

enum err frames_init(struct frames *frames, const struct memory_range *map, unsigned count) {
    enum err e = ERR_OK;
    memset(frames, 0, sizeof(*frames));
    for (unsigned i = 0; i < count && e == ERR_OK; i++)
        if (map[i].kind == MEMORY_RAM && range_valid(map[i].range))
            e = frames_list_set(&frames->free, frames_pages(map[i].range, false), true);
    for (unsigned i = 0; i < count && e == ERR_OK; i++)
        if (map[i].kind != MEMORY_RAM)
            e = frames_list_set(&frames->free, frames_pages(map[i].range, true), false);
    for (unsigned i = 0; i < ARRAY_SIZE(never) && e == ERR_OK; i++)
        e = frames_list_set(&frames->free, never[i], false);
    return e;
}

enum err frames_exclude(struct frames *frames, struct range range) {
    return frames_list_set(&frames->free, frames_pages(range, true), false);
}

enum err frames_reserve(struct frames *frames, struct range range) {
    enum err e = frames_exclude(frames, range);
    return e == ERR_OK ? frames_list_set(&frames->own, frames_pages(range, true), true) : e;
}

static enum err refuse(const struct frames *frames, uint64_t bytes, const char *why) {
    log_line("frames: no room for %lu KiB: %s, %lu KiB free", align_up(bytes, KIB(1)) >> 10,
             frames->sealed ? "sealed" : why, frames_free_bytes(frames) >> 10);
    return ERR_NO_MEMORY;
}

/* The highest or lowest `bytes` that are free in [low, high); empty if there are none. */
static struct range find(const struct frames *frames, uint64_t low, uint64_t high, uint64_t bytes, bool top) {
    for (unsigned i = 0; i < frames->free.count; i++) {
        struct range r = frames->free.ranges[top ? frames->free.count - 1 - i : i];
        r = range_clip(r, low, high);
        if (r.size >= bytes)
            return (struct range){top ? range_end(r) - bytes : r.base, bytes};
    }
    return (struct range){0};
}

static enum err take_own(struct frames *frames, struct range found, uint64_t bytes, hpa_t *out) {
    void *memory = host_phys(hpa(found.base), found.size);
    if (frames->sealed || found.size == 0)
        return refuse(frames, bytes, "no free block fits");
    if (memory == NULL)
        return refuse(frames, bytes, "what is free is out of reach");
    memset(memory, 0, found.size);
    *out = hpa(found.base);
    return frames_reserve(frames, found);
}

enum err frames_alloc(struct frames *frames, uint64_t bytes, hpa_t *out) {
    uint64_t size = align_up(bytes, PAGE_SIZE);
    struct range found = find(frames, RAM_BASE, GIB(4), size, true);
    if (found.size == 0)
        found = find(frames, RAM_BASE, FRAMES_LIMIT, size, true);
    return take_own(frames, found, bytes, out);
}

enum err frames_alloc_low(struct frames *frames, hpa_t *page) {
    /* Below 0x8000 some firmware keeps data its map does not mention. */
    struct range found = find(frames, KIB(32), LOW_END, PAGE_SIZE, false);
    if (found.size == 0)
        found = find(frames, 0, KIB(32), PAGE_SIZE, false);
    return take_own(frames, found, PAGE_SIZE, page);
}

/* As much of `bytes` as one free block has below `limit` at a multiple of `align`, in whole 2 MiB if it is
 * not all; of several that have the same, from the smallest. */
static struct range fit(const struct frames *frames, uint64_t bytes, uint64_t limit, uint64_t align) {
    struct range best = {0};
    uint64_t best_block = 0;
    for (unsigned i = 0; i < frames->free.count; i++) {
        struct range block = range_clip(frames->free.ranges[i], RAM_BASE, limit);
        struct range r = range_clip(block, align_up(block.base, align), limit);
        r.size = r.size < bytes ? align_down(r.size, PAGE_2M) : bytes;
        if (r.size > best.size || (r.size == best.size && block.size < best_block)) {
            best = r;
            best_block = block.size;
        }
    }
    return best;
}

enum err frames_alloc_pieces(struct frames *frames, uint64_t bytes, uint64_t limit, struct range *pieces,
                             unsigned max, unsigned *count) {
    uint64_t left = align_up(bytes, PAGE_SIZE);
    bool wanted = left > 0 && !frames->sealed;
    *count = 0;
    while (wanted && left > 0 && *count < max) {
        struct range piece = fit(frames, left, limit,
                                 left < PAGE_2M   ? PAGE_SIZE
                                 : left < PAGE_1G ? PAGE_2M
                                                  : PAGE_1G);
        if (left >= PAGE_1G && piece.size < left)
            piece = fit(frames, left, limit, PAGE_2M);
        if (piece.size == 0 || frames_list_set(&frames->free, piece, false) != ERR_OK)
            break;
        pieces[(*count)++] = piece;
        left -= piece.size;
    }
    if (wanted && left == 0)
        return ERR_OK;
    while (*count > 0)
        if (frames_list_set(&frames->free, pieces[--*count], true) != ERR_OK)
            return ERR_FULL;
    return refuse(frames, bytes, "too much, or in too many pieces");
}

uint64_t frames_free_bytes(const struct frames *frames) {
    uint64_t bytes = 0;
    for (unsigned i = 0; i < frames->free.count; i++)
        bytes += range_clip(frames->free.ranges[i], RAM_BASE, FRAMES_LIMIT).size;
    return bytes;
}
