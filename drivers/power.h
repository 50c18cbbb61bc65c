/* SPDX-License-Identifier: Apache-2.0 */
/* The ways out: ACPI soft-off and the several resets of a PC. Any CPU, once all guests are done. */
#pragma once

#include "core/platform.h"

/* Returns only if the machine has no soft-off or ignored it: then say so and halt. */
void power_off(const struct platform *platform);

/* Returns only if no reset worked: a triple fault is left. */
void power_reset(const struct platform *platform);
