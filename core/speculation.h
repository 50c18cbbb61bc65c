/* SPDX-License-Identifier: Apache-2.0 */
/* What a core may let out by speculation, and what is done about it: one table with a reason a row. Pure:
 * CPUID and IA32_ARCH_CAPABILITIES in, decisions out. */
#pragma once

#include "core/types.h"
#include "core/vmx_ctl.h"

#define SPEC_IBPB        BIT(0) /* by IA32_PRED_CMD; IA32_SPEC_CTRL is there, too */
#define SPEC_FLUSH_L1D   BIT(1) /* by IA32_FLUSH_CMD */
#define SPEC_VERW        BIT(2)
#define SPEC_MCU_OPT     BIT(3) /* this CPU has IA32_MCU_OPT_CTRL */

#define SPEC_MCU_OPT_OFF UINT64_C(0x19) /* its bits that switch a mitigation off: SRBDS's, VERW's, GDS's */

struct speculation_row {
    const char *name;
    uint64_t no; /* all of these in IA32_ARCH_CAPABILITIES: not this CPU; 0: no bit says so */
    uint32_t deeds;
    const char *why;
};
#define SPECULATION_ROWS 11
extern const struct speculation_row speculation_rows[SPECULATION_ROWS];

struct speculation {
    uint32_t open;              /* rows that nothing rules out */
    uint32_t deeds;             /* SPEC_*: what a core does before the first entry of each life of a vCPU */
    uint64_t arch_capabilities; /* IA32_ARCH_CAPABILITIES, with what is known by the model */
};

/* `arch_capabilities` is the MSR, 0 where CPUID does not announce it. */
struct speculation speculation_decide(cpuid_fn *cpuid, uint64_t arch_capabilities);
