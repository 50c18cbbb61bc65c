/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's real-time clock: the time registers of a CMOS clock, computed and read-only. Without it Linux
 * waits two seconds for a clock that never answers. Pure. */
#pragma once

#include "core/types.h"

#define VRTC_REGISTERS 14

/* Register `index` of a clock that shows `seconds` since 1970: BCD, 24 hours, never updating. 0 for what is
 * not a clock register. */
uint8_t vrtc_register(uint64_t seconds, unsigned index);

/* The other way, from registers 0 to 13 of a real clock. 0 if they make no date. */
uint64_t vrtc_seconds(const uint8_t registers[VRTC_REGISTERS]);
