/* SPDX-License-Identifier: Apache-2.0 */
/* The mode the guest on this core is in, read from its VMCS. */
#pragma once

#include "arch/x86/vmcs.h"
#include "core/guest_walk.h"
#include "core/insn.h"
#include "core/partition.h"

static inline unsigned guest_cpl(void) {
    return vmcs_read(VMCS_GUEST_SS_RIGHTS) >> 5 & 3; /* SS.DPL */
}

bool guest_cs_long(void);
enum insn_mode guest_insn_mode(void);

/* For guest_walk. */
void guest_read_paging(struct guest_paging *out);

/* Linear address of the instruction at RIP. */
uint64_t guest_rip_linear(void);

/* Bytes at RIP, up to `bytes`; returns how many could be read. */
size_t guest_fetch(const struct vcpu *v, void *to, size_t bytes);
