/* SPDX-License-Identifier: Apache-2.0 */
/* "MTRR Precedences" as code. What the SDM leaves undefined counts as uncached. */
#include "core/mtrr.h"

#include "core/log.h"
#include "core/str.h"

#define CPUID1_MTRR    BIT(12) /* EDX */
#define CAP_FIXED      BIT(8)
#define CAP_SMRR       BIT(11)
#define DEF_FIXED      BIT(10)
#define DEF_ENABLED    BIT(11)
#define MASK_VALID     BIT(11)
#define TYPE_BITS      0xffu
#define NONE           0x100u /* no type yet */
#define FIXED_END      MIB(1)
#define RANGE_BITS(n)  ((BIT(n) - 1) & ~(PAGE_SIZE - 1))
#define IA32_MTRRCAP   0xfe
#define IA32_SMRR_BASE 0x1f2
#define IA32_MTRR_BASE 0x200
#define IA32_DEF_TYPE  0x2ff

void mtrr_read(struct mtrrs *out, const struct vmx_caps *caps, rdmsr_fn *rdmsr) {
    static const uint16_t fixed[MTRR_FIXED] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
                                               0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
    memset(out, 0, sizeof(*out));
    out->phys_bits = vmx_phys_bits(caps);
    out->def_type = DEF_ENABLED | TYPE_WB;
    if ((caps->raw[CAP_CPUID_1_EDX] & CPUID1_MTRR) == 0)
        return;
    uint64_t cap = rdmsr(IA32_MTRRCAP);
    unsigned count = cap & TYPE_BITS;
    out->def_type = rdmsr(IA32_DEF_TYPE);
    for (unsigned i = 0; i < MTRR_FIXED && (cap & CAP_FIXED) != 0; i++)
        out->fixed[i] = rdmsr(fixed[i]);
    for (unsigned i = 0; i < count && i < MTRR_MAX_VARIABLE; i++) {
        out->variable[i].base = rdmsr(IA32_MTRR_BASE + 2 * i);
        out->variable[i].mask = rdmsr(IA32_MTRR_BASE + 2 * i + 1);
        out->nr_variable++;
    }
    if ((cap & CAP_SMRR) != 0) {
        out->variable[out->nr_variable].base = rdmsr(IA32_SMRR_BASE) & ~(uint64_t)TYPE_BITS;
        out->variable[out->nr_variable++].mask =
            rdmsr(IA32_SMRR_BASE + 1) | (RANGE_BITS(52) & ~RANGE_BITS(32));
    }
}

/* 8 of 64 KiB, 16 of 16 KiB, 64 of 4 KiB. */
static unsigned fixed_type(const struct mtrrs *m, uint64_t at) {
    uint64_t n = at < KIB(512) ? at / KIB(64) : 8 + (at - KIB(512)) / KIB(16);
    if (at >= KIB(768))
        n = 24 + (at - KIB(768)) / KIB(4);
    return m->fixed[n / 8] >> n % 8 * 8 & TYPE_BITS;
}

static enum memory_type type_at(const struct mtrrs *m, uint64_t at) {
    bool fixed = (m->def_type & DEF_FIXED) != 0 && at < FIXED_END;
    unsigned type = fixed ? fixed_type(m, at) : NONE;
    if ((m->def_type & DEF_ENABLED) == 0)
        return TYPE_UC;
    for (unsigned i = 0; i < m->nr_variable && !fixed; i++) {
        unsigned mine = m->variable[i].base & TYPE_BITS;
        if ((m->variable[i].mask & MASK_VALID) == 0 ||
            ((at ^ m->variable[i].base) & m->variable[i].mask & RANGE_BITS(m->phys_bits)) != 0)
            continue;
        if ((type == TYPE_WB && mine == TYPE_WT) || (type == TYPE_WT && mine == TYPE_WB))
            type = TYPE_WT;
        else if (type != mine)
            type = type == NONE ? mine : TYPE_UC;
    }
    type = type == NONE ? m->def_type & TYPE_BITS : type;
    return type == TYPE_WC || (type >= TYPE_WT && type <= TYPE_WB) ? (enum memory_type)type : TYPE_UC;
}

/* Behind `at`, where the type may change. Firmware that counts too few address bits leaves zeros at the top
 * of a mask: then the range comes again, once each period. */
static uint64_t edge_after(const struct mtrrs *m, uint64_t at) {
    uint64_t edge = at < FIXED_END ? align_down(at, PAGE_SIZE) + PAGE_SIZE : UINT64_MAX;
    for (unsigned i = 0; i < m->nr_variable; i++) {
        uint64_t mask = m->variable[i].mask & RANGE_BITS(m->phys_bits), piece = mask & -mask;
        uint64_t period = (mask + piece) & ~mask;
        if (mask == 0 || (m->variable[i].mask & MASK_VALID) == 0)
            continue;
        uint64_t start = align_down(at, period) + (m->variable[i].base & mask & (period - 1));
        uint64_t mine = at < start ? start : at < start + piece ? start + piece : start + period;
        edge = mine < edge ? mine : edge;
    }
    return edge;
}

enum memory_type mtrr_type(const struct mtrrs *m, uint64_t at, uint64_t limit, uint64_t *end) {
    enum memory_type type = type_at(m, at);
    *end = at;
    do
        *end = edge_after(m, *end);
    while (*end < limit && type_at(m, *end) == type);
    *end = *end < limit ? *end : limit;
    return type;
}

enum err mtrr_exclude(const struct mtrrs *m, const struct boot_info *info, struct frames *frames) {
    static const char names[][4] = {"UC", "WC", "?", "?", "WT", "WP"};
    uint64_t before = frames_free_bytes(frames), end;
    enum err e = ERR_OK;
    for (unsigned i = 0; i < info->nr_memory; i++) {
        struct range r = range_clip(info->memory[i].range, FIXED_END, FRAMES_LIMIT);
        for (uint64_t at = r.base; at < range_end(r) && info->memory[i].kind == MEMORY_RAM && e == ERR_OK;
             at = end) {
            enum memory_type type = mtrr_type(m, at, range_end(r), &end);
            if (type == TYPE_WB)
                continue;
            log_line("memory: 0x%lx bytes at 0x%lx are %s by the firmware's MTRRs, not write-back", end - at,
                     at, names[type]);
            e = frames_exclude(frames, (struct range){at, end - at});
        }
    }
    if (before != frames_free_bytes(frames))
        log_line("memory: %lu KiB of RAM are left out for that", (before - frames_free_bytes(frames)) >> 10);
    return e;
}
