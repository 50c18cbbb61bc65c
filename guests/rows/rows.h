/* SPDX-License-Identifier: Apache-2.0 */
/* The guest that asks for every row of the VMX surface: each topic is a file with one table of tests, all in
 * one partition. The name of an EXPECT begins with the ids of the rows it shows. */
#pragma once

#include "guests/lib/guest.h"

struct row_test {
    const char *name; /* NULL ends a table */
    void (*run)(void);
    const char
        *dies; /* NULL: returns. Else it ends the partition, the log says these words, a restart follows */
    unsigned cpus; /* it needs at least so many vCPUs, 0 = one; with fewer it is skipped, and says so */
};

void row_soil_translations(void); /* before a death, run.c */

extern const struct row_test rows_state[], rows_event[], rows_call[], rows_cpu[], rows_cr[], rows_apic[],
    rows_smp[], rows_io[], rows_vcpus[], rows_life[], rows_run[];
