/* SPDX-License-Identifier: Apache-2.0 */
/* Any MTRRs over any memory map: nothing is added, and what is left out is said. */
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
    return index == 0xfe ? take(2) & 0xf0f : take(8) | (index == 0x2ff ? BIT(11) : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct memory_range map[3];
    static struct frames frames;
    const struct vmx_caps caps = {.raw = {[CAP_CPUID_1_EDX] = BIT(12)}};
    uint64_t before;

    at = data;
    left = size;
    for (unsigned i = 0; i < 3; i++)
        map[i] = (struct memory_range){{take(5) << 8, take(3)}, MEMORY_RAM};
    stub_log_clear();
    if (frames_init(&frames, map, 3) != ERR_OK)
        return 0;
    before = frames_free_bytes(&frames);
    if (mtrr_exclude(&caps, rdmsr, &frames) != ERR_OK) {
        ASSERT(stub_log[0] != '\0');
        return 0;
    }
    ASSERT(frames_free_bytes(&frames) <= before);
    ASSERT((frames_free_bytes(&frames) == before) == (stub_log[0] == '\0'));
    return 0;
}
