/* SPDX-License-Identifier: Apache-2.0 */
/* Two sorted lists of ranges: what is free and what is the hypervisor's own. Guests' RAM is in
 * neither. Decides only; never touches the memory itself. */
#include "core/frames.h"

#include "core/log.h"
#include "core/str.h"

#define LOW_END  KIB(640) /* above it firmware and devices, whatever the map says, up to 1 MiB */
#define RAM_BASE MIB(1)

/* Not RAM on any PC, even if the map says so: IOAPIC, local APIC, firmware. A guest with identity
 * memory would otherwise have RAM where the local APIC is trapped. */
static const struct range never[] = {
    {0, PAGE_SIZE}, /* BIOS data, and what a null pointer points to */
    {LOW_END, RAM_BASE - LOW_END},
    {0xfec00000, GIB(4) - 0xfec00000},
};

/* The part of r in [low, high); a range that wraps reaches to high. */
static struct range clip(struct range r, uint64_t low, uint64_t high) {
    uint64_t base = r.base < low ? low : r.base;
    uint64_t end = !range_valid(r) || range_end(r) > high ? high : range_end(r);

    return base < end ? (struct range){base, end - base} : (struct range){high, 0};
}

/* Move ranges[from..count) to ranges[to]. */
static enum err list_shift(struct frames_list *list, unsigned from, unsigned to) {
    if (to > from && list->count + (to - from) > FRAMES_MAX_RANGES) {
        log_line("frames: memory is in more than %d pieces", FRAMES_MAX_RANGES);
        return ERR_FULL;
    }
    memmove(&list->ranges[to], &list->ranges[from], (list->count - from) * sizeof(list->ranges[0]));
    list->count = list->count - from + to;
    return ERR_OK;
}

static enum err list_add(struct frames_list *list, struct range add) {
    unsigned first = 0, last;
    uint64_t base = add.base, end = range_end(add);

    if (add.size == 0)
        return ERR_OK;
    while (first < list->count && range_end(list->ranges[first]) < base)
        first++;
    for (last = first; last < list->count && list->ranges[last].base <= end; last++) {
        struct range old = list->ranges[last];

        base = old.base < base ? old.base : base;
        end = range_end(old) > end ? range_end(old) : end;
    }
    if (list_shift(list, last, first + 1) != ERR_OK)
        return ERR_FULL;
    list->ranges[first] = (struct range){base, end - base};
    return ERR_OK;
}

static enum err list_remove(struct frames_list *list, struct range gone) {
    for (unsigned i = 0; i < list->count;) {
        struct range old = list->ranges[i];
        struct range head = clip(old, 0, gone.base);
        struct range tail = clip(old, range_end(gone), UINT64_MAX);

        if (!range_overlaps(old, gone)) {
            i++;
            continue;
        }
        if (list_shift(list, i + 1, i + (head.size > 0) + (tail.size > 0)) != ERR_OK)
            return ERR_FULL;
        if (head.size > 0)
            list->ranges[i++] = head;
        if (tail.size > 0)
            list->ranges[i++] = tail;
    }
    return ERR_OK;
}

static struct range round_inward(struct range r) {
    uint64_t base = align_up(r.base, PAGE_SIZE), end = align_down(range_end(r), PAGE_SIZE);

    return (struct range){base, base < end ? end - base : 0};
}

static struct range round_outward(struct range r) {
    uint64_t base = align_down(r.base, PAGE_SIZE);

    return (struct range){base, r.size == 0 ? 0 : align_up(range_end(r), PAGE_SIZE) - base};
}

enum err frames_init(struct frames *frames, const struct memory_range *map, unsigned count) {
    enum err err = ERR_OK;

    memset(frames, 0, sizeof(*frames));
    for (unsigned i = 0; i < count && err == ERR_OK; i++)
        if (map[i].kind == MEMORY_RAM && range_valid(map[i].range))
            err = list_add(&frames->free, round_inward(clip(map[i].range, 0, FRAMES_LIMIT)));
    for (unsigned i = 0; i < count && err == ERR_OK; i++)
        if (map[i].kind != MEMORY_RAM)
            err = list_remove(&frames->free, round_outward(clip(map[i].range, 0, FRAMES_LIMIT)));
    for (unsigned i = 0; i < ARRAY_SIZE(never) && err == ERR_OK; i++)
        err = list_remove(&frames->free, never[i]);
    return err;
}

enum err frames_reserve(struct frames *frames, struct range range) {
    struct range whole = round_outward(clip(range, 0, FRAMES_LIMIT));
    enum err err = list_remove(&frames->free, whole);

    return err == ERR_OK ? list_add(&frames->own, whole) : err;
}

static enum err frames_take(struct frames *frames, struct range range) {
    enum err err = list_remove(&frames->free, range);

    if (err == ERR_OK)
        frames->used_bytes += range.size;
    return err;
}

static enum err frames_take_own(struct frames *frames, struct range range) {
    enum err err = frames_take(frames, range);

    return err == ERR_OK ? list_add(&frames->own, range) : err;
}

/* Log why a request failed, and how it stands. */
static enum err frames_refuse(const struct frames *frames, uint64_t bytes, uint64_t align) {
    log_line("frames: no room for 0x%lx bytes at a multiple of 0x%lx: %s, 0x%lx bytes free", bytes, align,
             frames->sealed ? "sealed" : "no free block fits", frames_free_bytes(frames));
    return ERR_NO_MEMORY;
}

/* Highest place for `bytes` in [RAM_BASE, limit). */
static bool frames_fit_high(const struct frames *frames, uint64_t bytes, uint64_t align, uint64_t limit,
                            uint64_t *at) {
    for (unsigned i = frames->free.count; i-- > 0;) {
        struct range r = clip(frames->free.ranges[i], RAM_BASE, limit);

        if (r.size >= bytes && align_down(range_end(r) - bytes, align) >= r.base) {
            *at = align_down(range_end(r) - bytes, align);
            return true;
        }
    }
    return false;
}

enum err frames_alloc(struct frames *frames, uint64_t bytes, uint64_t align, hpa_t *out) {
    uint64_t size = align_up(bytes, PAGE_SIZE), at;

    if (align < PAGE_SIZE || (align & (align - 1)) != 0) {
        log_line("frames: 0x%lx is no alignment for pages", align);
        return ERR_RANGE;
    }
    if (frames->sealed || size == 0 ||
        (!frames_fit_high(frames, size, align, GIB(4), &at) &&
         !frames_fit_high(frames, size, align, FRAMES_LIMIT, &at)))
        return frames_refuse(frames, bytes, align);
    *out = hpa(at);
    return frames_take_own(frames, (struct range){at, size});
}

enum err frames_alloc_low(struct frames *frames, hpa_t *page) {
    /* Below 0x8000 some firmware keeps data its map does not mention. */
    static const struct range where[] = {{KIB(32), LOW_END - KIB(32)}, {0, KIB(32)}};

    for (unsigned w = 0; w < ARRAY_SIZE(where) && !frames->sealed; w++) {
        for (unsigned i = 0; i < frames->free.count; i++) {
            struct range r = clip(frames->free.ranges[i], where[w].base, range_end(where[w]));

            if (r.size > 0) {
                *page = hpa(r.base);
                return frames_take_own(frames, (struct range){r.base, PAGE_SIZE});
            }
        }
    }
    log_line("frames: no page of RAM below 0x%lx is free%s", LOW_END, frames->sealed ? ": sealed" : "");
    return ERR_NO_MEMORY;
}

/* The aligned part of the i-th free range that guests may have. */
static struct range frames_aligned_part(const struct frames *frames, unsigned i, uint64_t align) {
    struct range r = frames->free.ranges[i];
    uint64_t base = r.base < RAM_BASE ? RAM_BASE : r.base;

    return clip(r, align_up(base, align), FRAMES_LIMIT);
}

/* Lowest place in the smallest free block that holds all of it. */
static bool frames_fit_best(const struct frames *frames, uint64_t bytes, uint64_t align, struct range *out) {
    uint64_t best = UINT64_MAX;

    for (unsigned i = 0; i < frames->free.count; i++) {
        struct range r = frames_aligned_part(frames, i, align);

        if (r.size >= bytes && frames->free.ranges[i].size < best) {
            best = frames->free.ranges[i].size;
            *out = (struct range){r.base, bytes};
        }
    }
    return best != UINT64_MAX;
}

/* The biggest free block, in multiples of 2 MiB. */
static bool frames_fit_most(const struct frames *frames, struct range *out) {
    out->size = 0;
    for (unsigned i = 0; i < frames->free.count; i++) {
        struct range r = frames_aligned_part(frames, i, PAGE_2M);

        if (align_down(r.size, PAGE_2M) > out->size)
            *out = (struct range){r.base, align_down(r.size, PAGE_2M)};
    }
    return out->size > 0;
}

/* The whole of it in one piece if there is one, else as much as there is. */
static bool frames_fit_piece(const struct frames *frames, uint64_t bytes, struct range *out) {
    if (bytes < PAGE_2M)
        return frames_fit_best(frames, bytes, PAGE_SIZE, out);
    return (bytes >= PAGE_1G && frames_fit_best(frames, bytes, PAGE_1G, out)) ||
           frames_fit_best(frames, bytes, PAGE_2M, out) || frames_fit_most(frames, out);
}

static enum err frames_take_pieces(struct frames *frames, uint64_t left, struct range *pieces, unsigned max,
                                   unsigned *count) {
    for (*count = 0; left > 0; (*count)++) {
        if (*count == max || !frames_fit_piece(frames, left, &pieces[*count]))
            return ERR_NO_MEMORY;
        if (frames_take(frames, pieces[*count]) != ERR_OK)
            return ERR_FULL;
        left -= pieces[*count].size;
    }
    return ERR_OK;
}

enum err frames_alloc_pieces(struct frames *frames, uint64_t bytes, struct range *pieces, unsigned max,
                             unsigned *count) {
    uint64_t size = align_up(bytes, PAGE_SIZE);
    enum err err = ERR_NO_MEMORY;

    *count = 0;
    if (!frames->sealed && size > 0)
        err = frames_take_pieces(frames, size, pieces, max, count);
    if (err == ERR_OK)
        return ERR_OK;
    while (*count > 0) {
        struct range back = pieces[--*count];

        frames->used_bytes -= back.size;
        if (list_add(&frames->free, back) != ERR_OK)
            return ERR_FULL;
    }
    return frames_refuse(frames, bytes, size < PAGE_2M ? PAGE_SIZE : PAGE_2M);
}

uint64_t frames_free_bytes(const struct frames *frames) {
    uint64_t bytes = 0;

    for (unsigned i = 0; i < frames->free.count; i++)
        bytes += clip(frames->free.ranges[i], RAM_BASE, FRAMES_LIMIT).size;
    return bytes;
}

void frames_seal(struct frames *frames) {
    frames->sealed = true;
}
