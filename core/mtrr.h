/* SPDX-License-Identifier: Apache-2.0 */
/* "Memory Type Range Registers (MTRRs)": which memory the firmware has made cacheable. A guest's accesses do
 * not go by them but by its EPT, which has RAM write-back and device windows uncached: so RAM that the MTRRs
 * do not call write-back must be given to nobody. Pure but for the log. */
#pragma once

#include "core/frames.h"
#include "core/vmx_ctl.h"

enum memory_type { TYPE_UC = 0, TYPE_WC = 1, TYPE_WT = 4, TYPE_WP = 5, TYPE_WB = 6 };

#define MTRR_MAX_VARIABLE 32
#define MTRR_FIXED        11

struct mtrrs {
    uint64_t fixed[MTRR_FIXED]; /* 8 types each, from address 0 on */
    uint64_t def_type;          /* IA32_MTRR_DEF_TYPE */
    struct {
        uint64_t base, mask;
    } variable[MTRR_MAX_VARIABLE + 1]; /* and that of SMM, which outside SMM is uncached */
    unsigned nr_variable;
    unsigned phys_bits; /* MAXPHYADDR */
};

/* This CPU's; all write-back where it has none. rdmsr: of one that is not there, 0. */
void mtrr_read(struct mtrrs *out, const struct vmx_caps *caps, rdmsr_fn *rdmsr);

/* The type at a physical address, and in *end where, not behind `limit`, another may begin. */
enum memory_type mtrr_type(const struct mtrrs *m, uint64_t at, uint64_t limit, uint64_t *end);

/* Take RAM from 1 MiB on that is not write-back out of what is free; each piece and the sum are logged. */
must_check enum err mtrr_exclude(const struct mtrrs *m, const struct boot_info *info, struct frames *frames);
