/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the witness share. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define WITNESS_CPUS 64
#define IMAGE_VIRT   0xffffffff80000000 /* of the hypervisor: boot/layout.h */
#define IMAGE_BYTES  0x200000

/* Let the emulator call `target` where it has that empty instrumentation hook. */
void witness_hook(const char *name, const void *target);

unsigned long long witness_now(void); /* nanoseconds since reset */

/* What carries out an instruction, of which Bochs has decoded the operands: call `ours` instead of the one
 * named. */
typedef void instruction(void *cpu, void *decoded);
void witness_replace(const char *name, instruction **theirs, instruction *ours);

unsigned witness_cpu(const void *cpu); /* its number */

/* trace.c; nothing where no trace is wanted. */
void trace_init(void);
void trace_vmexit(unsigned cpu, uint32_t reason, uint64_t qualification);

/* cost.c; nothing where no costs are wanted. */
void cost_init(void);
void cost_vmexit(unsigned cpu, uint32_t reason, uint64_t qualification);
