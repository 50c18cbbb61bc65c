/* SPDX-License-Identifier: Apache-2.0 */
/* What a unit test can set and see of the host that core/ believes it runs on. */
#pragma once

#include <setjmp.h>

#include "core/types.h"

#define STUB_LOG_BYTES 65536

extern char stub_log[STUB_LOG_BYTES]; /* all log text since stub_log_clear, NUL-terminated */
extern jmp_buf *stub_panic_to;        /* where host_panic jumps; NULL = abort */

void stub_log_clear(void);

/* host_phys sees [base, base + bytes) as `memory` and nothing else. */
void stub_phys_set(uint64_t base, void *memory, uint64_t bytes);
