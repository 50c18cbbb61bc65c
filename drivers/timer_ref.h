/* SPDX-License-Identifier: Apache-2.0 */
/* A clock of known speed to measure the time-stamp counter against. Boot CPU, once. */
#pragma once

#include "core/platform.h"

/* Against the ACPI PM timer; takes about 30 ms. 0 if there is none or it stands. */
uint64_t timer_measure_tsc_khz(const struct platform *platform);

/* Seconds since 1970 by the CMOS clock; 0 if it makes no sense. Boot CPU, once. */
uint64_t timer_read_clock(void);
