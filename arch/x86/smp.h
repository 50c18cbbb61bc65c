/* SPDX-License-Identifier: Apache-2.0 */
/* Starting the other cores, telling them apart, and meeting them. */
#pragma once

#include "core/frames.h"
#include "core/platform.h"
#include "core/types.h"

/* Start all application processors at once from `page` (below 1 MiB) and wait until each has come
 * or its time is up. Returns the mask of the cores that run, bit 0 (the boot core) included. */
uint64_t smp_start(const struct platform *platform, hpa_t page, uint64_t tsc_khz);

/* On each AP, first of all: say that this core has come. */
void smp_arrived(void);

/* Wait, halted, for smp_release. False: this core came too late and must do nothing more. */
bool smp_wait_released(void);

/* Boot core: let the others go on. */
void smp_release(void);

/* All cores that came in time meet here; nobody goes on before all have come. */
void smp_barrier(void);

/* Kick a core: an NMI makes it look for work before it (re-)enters its guest. */
void smp_kick(unsigned cpu);

/* APIC id of a core, to send a guest's interrupt to. */
uint32_t smp_apic_id(unsigned cpu);

/* After a panic: an NMI to every other core that has come, which then halts (panic_elsewhere). */
void smp_stop_others(void);
