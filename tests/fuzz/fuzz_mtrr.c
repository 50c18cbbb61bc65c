/* SPDX-License-Identifier: Apache-2.0 */
/* Any MTRRs over any memory map: pieces follow each other, and what stays free is write-back wherever it is
 * looked at. */
#include <string.h>

#include "core/host.h"
#include "core/mtrr.h"
#include "tests/unit/host_stub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *at;
static size_t left;

static uint64_t take(size_t bytes) {
    uint64_t v = 0;

    bytes = bytes < left ? bytes : left;
    memcpy(&v, at, bytes);
    at += bytes;
    left -= bytes;
    return v;
}

/* Of the few that are asked for, each as the input has it next. */
static uint64_t rdmsr(uint32_t index) {
    return index == 0xfe ? take(2) & 0xf0f : take(8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct mtrrs m;
    static struct boot_info info;
    static struct frames frames;
    struct vmx_caps caps = {.raw = {[CAP_CPUID_1_EDX] = BIT(12)}};
    uint64_t end, start;

    at = data;
    left = size;
    caps.raw[CAP_CPUID_EXT8_EAX] = 32 + take(1) % 21;
    mtrr_read(&m, &caps, rdmsr);
    m.def_type |= BIT(11); /* all the rest is dull without */
    start = take(5) << 12;
    for (unsigned piece = 0; piece < 20; piece++, start = end) {
        enum memory_type type = mtrr_type(&m, start, start + MIB(1), &end);

        ASSERT(end > start && end <= start + MIB(1));
        ASSERT(type <= TYPE_WB && type != 2 && type != 3);
    }
    info.nr_memory = 3;
    for (unsigned i = 0; i < info.nr_memory; i++)
        info.memory[i] = (struct memory_range){{take(5) << 8, take(3)}, MEMORY_RAM};
    stub_log_clear();
    if (frames_init(&frames, info.memory, info.nr_memory) != ERR_OK ||
        mtrr_exclude(&m, &info, &frames) != ERR_OK) {
        ASSERT(stub_log[0] != '\0');
        return 0;
    }
    for (unsigned i = 0; i < frames.free.count; i++) {
        struct range r = range_clip(frames.free.ranges[i], MIB(1), FRAMES_LIMIT);

        ASSERT(r.size == 0 || (mtrr_type(&m, r.base, range_end(r), &end) == TYPE_WB && end == range_end(r)));
    }
    return 0;
}
