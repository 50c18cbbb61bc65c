/* SPDX-License-Identifier: Apache-2.0 */
/* Any memory map, then any requests: nothing is handed out that is not RAM, or twice, and the lists
 * stay sorted whole pages. */
#include <string.h>
#include <sys/mman.h>

#include "core/host.h"
#include "core/frames.h"
#include "tests/unit/host_stub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_GIVEN    64
#define MEMORY_BYTES GIB(8) /* that can be zeroed; it need not exist before */

static uint8_t *memory;

static struct frames frames;
static struct memory_range map[MAX_MEMORY_RANGES];
static unsigned map_count;
static struct range given[MAX_GIVEN];
static unsigned nr_given;

struct input {
    const uint8_t *at;
    size_t left;
};

static uint64_t take(struct input *in, size_t bytes) {
    uint64_t v = 0;

    bytes = bytes < in->left ? bytes : in->left;
    memcpy(&v, in->at, bytes);
    in->at += bytes;
    in->left -= bytes;
    return v;
}

/* A number of any size, near a round one more often than not. */
static uint64_t number(struct input *in) {
    uint64_t how = take(in, 1);

    return (how & 64) != 0 ? take(in, 8) : (take(in, 2) << (how % 48)) + (how >> 7);
}

static void check_list(const struct frames_list *list) {
    ASSERT(list->count <= FRAMES_MAX_RANGES);
    for (unsigned i = 0; i < list->count; i++) {
        ASSERT(list->ranges[i].size > 0 && range_valid(list->ranges[i]));
        ASSERT((list->ranges[i].base | list->ranges[i].size) % PAGE_SIZE == 0);
        ASSERT(i == 0 || range_end(list->ranges[i - 1]) < list->ranges[i].base);
        ASSERT(range_end(list->ranges[i]) <= FRAMES_LIMIT);
    }
}

static void check_free_is_ram(void) {
    for (unsigned i = 0; i < frames.free.count; i++) {
        for (unsigned k = 0; k < map_count; k++)
            ASSERT(map[k].kind == MEMORY_RAM || !range_overlaps(frames.free.ranges[i], map[k].range));
        for (unsigned k = 0; k < frames.own.count; k++)
            ASSERT(!range_overlaps(frames.free.ranges[i], frames.own.ranges[k]));
    }
}

/* `r` was free until now, and nobody else has it. */
static void check_given(struct range r, const struct frames_list *before) {
    bool was_free = false;

    for (unsigned i = 0; i < before->count; i++)
        was_free |= range_contains(before->ranges[i], r);
    ASSERT(was_free);
    for (unsigned i = 0; i < nr_given; i++)
        ASSERT(!range_overlaps(given[i], r));
    for (unsigned i = 0; i < frames.free.count; i++)
        ASSERT(!range_overlaps(frames.free.ranges[i], r));
    if (nr_given < MAX_GIVEN)
        given[nr_given++] = r;
}

static void request(struct input *in) {
    static struct frames_list before;
    struct range pieces[4];
    unsigned count;
    uint64_t kind = take(in, 1), bytes = number(in);
    hpa_t at;

    before = frames.free;
    if (kind % 4 == 0) {
        if (frames_reserve(&frames, (struct range){bytes, number(in)}) == ERR_OK)
            check_free_is_ram();
    } else if (kind % 4 == 1 && frames_alloc_low(&frames, &at) == ERR_OK) {
        ASSERT(at.v >= PAGE_SIZE && at.v < KIB(640));
        check_given((struct range){at.v, PAGE_SIZE}, &before);
    } else if (kind % 4 == 2 && frames_alloc(&frames, bytes % MIB(4), &at) == ERR_OK) {
        ASSERT(at.v % PAGE_SIZE == 0 && at.v >= MIB(1) && at.v < MEMORY_BYTES);
        check_given((struct range){at.v, bytes % MIB(4)}, &before);
        madvise(memory + at.v, bytes % MIB(4), MADV_DONTNEED);
    } else if (kind % 4 == 3 &&
               frames_alloc_pieces(&frames, bytes, FRAMES_LIMIT, pieces, 4, &count) == ERR_OK) {
        for (unsigned i = 0; i < count; i++) {
            bytes -= pieces[i].size < bytes ? pieces[i].size : bytes;
            ASSERT(pieces[i].base >= MIB(1));
            ASSERT(pieces[i].base % (pieces[i].size < PAGE_2M ? PAGE_SIZE : PAGE_2M) == 0);
            check_given(pieces[i], &before);
        }
        ASSERT(bytes == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};

    if (memory == NULL)
        memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                      -1, 0);
    ASSERT(memory != MAP_FAILED);
    stub_phys_set(0, memory, MEMORY_BYTES);
    nr_given = 0;
    map_count = (unsigned)take(&in, 1) % MAX_MEMORY_RANGES;
    for (unsigned i = 0; i < map_count; i++) {
        map[i].kind = (enum memory_kind)(take(&in, 1) % 8 < 5 ? 1 : take(&in, 1));
        map[i].range.base = number(&in);
        map[i].range.size = number(&in);
    }
    ASSERT(frames_init(&frames, map, map_count) == ERR_OK);
    check_free_is_ram();
    while (in.left > 0) {
        request(&in);
        check_list(&frames.free);
        check_list(&frames.own);
    }
    return 0;
}
