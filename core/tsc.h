/* SPDX-License-Identifier: Apache-2.0 */
/* How fast the time-stamp counter runs, from measurements and from what CPUID claims. Pure. */
#pragma once

#include "core/types.h"

/* From ticks of both clocks over the same time. 0 if that says nothing. */
uint64_t tsc_khz_measured(uint64_t tsc_ticks, uint64_t reference_ticks, uint64_t reference_hz);

/* From leaf 15H ("Time Stamp Counter and Nominal Core Crystal Clock Information") and the base frequency of
 * leaf 16H. 0 if they do not say. */
uint64_t tsc_khz_claimed(uint32_t eax_15h, uint32_t ebx_15h, uint32_t ecx_15h, uint32_t eax_16h);

/* The claim, which is exact, unless a measurement contradicts it by more than 1 %; says so then. Either may
 * be 0 = unknown. */
uint64_t tsc_khz_choose(uint64_t claimed, uint64_t measured);
