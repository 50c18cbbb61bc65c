/* SPDX-License-Identifier: Apache-2.0 */
/* "MTRR Precedences": write-back is what only ranges of that type cover, or no range, if it is the default.
 */
#include "core/mtrr.h"

#include "core/log.h"

#define CPUID1_MTRR    BIT(12) /* EDX */
#define CAP_COUNT_BITS 0xffu
#define CAP_SMRR       BIT(11)
#define DEF_ENABLED    BIT(11)
#define MASK_VALID     BIT(11)
#define TYPE_BITS      0xffu
#define TYPE_WB        6
#define IA32_MTRRCAP   0xfe
#define IA32_SMRR_BASE 0x1f2
#define IA32_MTRR_BASE 0x200
#define IA32_DEF_TYPE  0x2ff

/* Firmware that counts too few address bits leaves zeros at the top of a mask; holes are seen in none. */
static struct range range_of(uint64_t base, uint64_t mask) {
    uint64_t compared = mask & (FRAMES_LIMIT - PAGE_SIZE), size = compared & -compared;
    struct range all = {base & compared, size != 0 ? size : FRAMES_LIMIT};
    return range_clip(all, MIB(1), FRAMES_LIMIT);
}

/* Take the ranges that are write-back out of the list, or put the others in. */
static enum err set_variable(struct frames_list *cold, rdmsr_fn *rdmsr, bool write_back) {
    uint64_t cap = rdmsr(IA32_MTRRCAP), count = cap & CAP_COUNT_BITS;
    enum err e = ERR_OK;
    for (uint32_t i = 0; i < count && e == ERR_OK; i++) {
        uint64_t base = rdmsr(IA32_MTRR_BASE + 2 * i), mask = rdmsr(IA32_MTRR_BASE + 2 * i + 1);
        if ((mask & MASK_VALID) != 0 && ((base & TYPE_BITS) == TYPE_WB) == write_back)
            e = frames_list_set(cold, range_of(base, mask), !write_back);
    }
    /* SMM's own memory: the type there counts in SMM only. */
    uint64_t smm = (cap & CAP_SMRR) != 0 && !write_back ? rdmsr(IA32_SMRR_BASE + 1) : 0;
    if ((smm & MASK_VALID) != 0 && e == ERR_OK)
        e = frames_list_set(cold, range_of(rdmsr(IA32_SMRR_BASE), smm), true);
    return e;
}

enum err mtrr_exclude(const struct vmx_caps *caps, rdmsr_fn *rdmsr, struct frames *frames) {
    static struct frames_list cold; /* all that is not write-back */
    const struct range all = {MIB(1), FRAMES_LIMIT - MIB(1)};
    enum err e = ERR_OK;
    if ((caps->raw[CAP_CPUID_1_EDX] & CPUID1_MTRR) == 0)
        return e;
    uint64_t type = rdmsr(IA32_DEF_TYPE);
    cold.count = 0;
    if ((type & DEF_ENABLED) == 0 || (type & TYPE_BITS) != TYPE_WB)
        e = frames_list_set(&cold, all, true);
    for (unsigned pass = 0; pass < 2 && e == ERR_OK && (type & DEF_ENABLED) != 0; pass++)
        e = set_variable(&cold, rdmsr, pass == 0);
    for (unsigned i = 0; i < cold.count && e == ERR_OK; i++) {
        uint64_t before = frames_free_bytes(frames);
        e = frames_exclude(frames, cold.ranges[i]);
        if (frames_free_bytes(frames) != before)
            log_line(
                "memory: %lu KiB of RAM from 0x%lx on are not write-back by the firmware's MTRRs: left out",
                (before - frames_free_bytes(frames)) >> 10, cold.ranges[i].base);
    }
    return e;
}
