/* SPDX-License-Identifier: Apache-2.0 */
/* Starting the other cores, telling them apart, and meeting them. */
#pragma once

#include "core/platform.h"

/* Start all other cores at once from `page` (below 1 MiB): their INIT, which they need 10 ms for, and later,
 * when the clock's rate is known, all else. Returns the mask of those that have come, bit 0 (the boot core)
 * included. */
void smp_init(const struct platform *platform, hpa_t page);
uint64_t smp_start(uint64_t tsc_khz);

/* Each AP: this core has come. It waits, halted, until the boot core releases those of a mask. False: it is
 * not among them and must do nothing more. */
bool smp_join(void);
void smp_release(uint64_t cores);

/* All released cores meet here; nobody goes on before all have come. */
void smp_barrier(void);

/* An NMI: that core looks for work before it (re-)enters its guest. */
void smp_kick(unsigned cpu);

/* The end, by panic or not: every other core that has come gets an NMI, leaves VMX and halts. Waits
 * for them, but not for ever: returns the mask of those that did not answer. */
uint64_t smp_stop_others(void);

/* Wait, not for ever, until all of `mask` is set in *cores; returns what is missing. */
uint64_t smp_wait_for(const uint64_t *cores, uint64_t mask);

/* In the NMI handler: if another core ends the machine, stop for good, out of VMX, where INIT is blocked. */
void smp_stop_if_told(void);
