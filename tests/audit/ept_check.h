/* SPDX-License-Identifier: Apache-2.0 */
/* EPT as built against "EPT Misconfigurations" and against how we build it: real CPUs are stricter than
 * emulators, and a bit that is ignored today has a meaning tomorrow. Pure but for the log: for the debug
 * build and for the tables of every config under test. */
#pragma once

#include "core/frames.h"
#include "core/vmx_ctl.h"

/* The EPT pointer, every entry of every table it leads to. `own`: where tables may be. ERR_RANGE at the first
 * offence, which is logged. */
must_check enum err ept_check(const struct vmx_caps *caps, uint64_t ept_pointer,
                              const struct frames_list *own);
