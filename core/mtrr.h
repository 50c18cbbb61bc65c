/* SPDX-License-Identifier: Apache-2.0 */
/* "Memory Type Range Registers (MTRRs)": which memory the firmware has made cacheable. A guest's accesses do
 * not go by them but by its EPT, which has RAM write-back and device windows uncached: so RAM that the MTRRs
 * do not call write-back must be given to nobody. Pure but for the log. */
#pragma once

#include "core/frames.h"
#include "core/vmx_ctl.h"

/* Take RAM from 1 MiB on that this CPU's MTRRs do not call write-back out of what is free; each piece is
 * logged. rdmsr: of one that is not there, 0. Boot CPU. */
must_check enum err mtrr_exclude(const struct vmx_caps *caps, rdmsr_fn *rdmsr, struct frames *frames);
