/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that reads and writes any MSR: what it leaves behind stays within what policy allows. */
#include <stdlib.h>
#include <string.h>

#include "core/msr_policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond) ((cond) ? (void)0 : abort())

struct access {
    uint32_t index;
    uint32_t flags; /* bit 0: write; bit 1: index within the bitmap's low half; bit 2: high half */
    uint64_t value;
};

static void check_state(const struct msr_state *s, const struct msr_state *first) {
    uint64_t type = s->mtrr_def_type & 0xff;

    CHECK((s->misc_enable & ~UINT64_C(1)) == 0x1800);
    CHECK((s->mtrr_def_type & ~UINT64_C(0xcff)) == 0 && type <= 6 && type != 2 && type != 3);
    for (unsigned i = 0; i < 8 * MTRR_FIXED; i++) {
        uint8_t fixed = ((const uint8_t *)s->mtrr_fixed)[i];
        CHECK(fixed <= 6 && fixed != 2 && fixed != 3);
    }
    CHECK(s->microcode == first->microcode && s->arch_capabilities == first->arch_capabilities);
}

static void one_access(struct msr_state *s, const struct access *a, uint32_t index) {
    struct msr_state before = *s;
    enum msr_verdict verdict;
    uint64_t value, again;

    if ((a->flags & 1) != 0) {
        verdict = msr_write(s, index, a->value);
        CHECK(verdict == MSR_DONE || memcmp(s, &before, sizeof(before)) == 0);
    } else {
        verdict = msr_read(s, index, &value);
        CHECK(msr_read(s, index, &again) == verdict && again == value);
        CHECK(verdict == MSR_DONE || value == 0);
        CHECK(memcmp(s, &before, sizeof(before)) == 0);
    }
    if (index - 0x2000 < 0xbfffe000 || index >= 0xc0002000) /* outside both bitmaps */
        CHECK(verdict == MSR_GP);
    if (index - 0x800 < 0x100)
        CHECK(verdict == MSR_ARCH);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct msr_state s, first;
    struct access a;

    msr_policy_init();
    msr_state_init(&s, 1, UINT64_MAX);
    first = s;
    for (; size >= sizeof(a); data += sizeof(a), size -= sizeof(a)) {
        memcpy(&a, data, sizeof(a));
        one_access(&s, &a,
                   (a.flags & 2) != 0   ? a.index & 0x1fff
                   : (a.flags & 4) != 0 ? 0xc0000000 | (a.index & 0x1fff)
                                        : a.index);
        check_state(&s, &first);
    }
    return 0;
}
