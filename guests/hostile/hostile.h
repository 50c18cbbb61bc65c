/* SPDX-License-Identifier: Apache-2.0 */
/* The guest that does its worst: each class of attacks is a function in one of the tables here, which counts
 * what it tries. What must not survive is a life of its own: hostile.c. */
#pragma once

#include "guests/lib/guest.h"

#define RAM        UINT64_C(0x400000) /* `memory` of the config */
#define NOWHERE    UINT64_C(0xD0000000)
#define LAPIC_PAGE UINT64_C(0xFEE00000)
#define LDR        0x0D /* of the local APIC */
#define DFR        0x0E
#define SVR        0x0F

struct attack {
    const char *name; /* NULL ends a table */
    void (*run)(void);
    unsigned cpus;    /* it needs so many vCPUs */
    const char *dies; /* NULL: returns. Else the partition ends, and the log says these words */
};

extern uint64_t hostile_tried, hostile_faulted; /* since this class began */
extern uint64_t hostile_thin; /* `thin=` on the command line: of the largest sweeps one in so many */

/* Call code(arg), which may fault: counts both. Returns the vector, or GUEST_NO_FAULT. */
uint64_t hostile_try(void (*code)(void *), void *arg);

/* Reproducible: the same numbers in each life. */
uint64_t hostile_random(void);

/* Read and write 32 bits, by one instruction. */
static inline void hostile_exchange(uint64_t at) {
    uint32_t value = 0;

    __asm__ volatile("xchgl %0, (%1)" : "+r"(value) : "r"(at) : "memory");
}

/* An address that goes to a guest-physical 2 MiB page of choice. */
#define WINDOW UINT64_C(0x40000000)
void hostile_window(uint64_t gpa);

extern const struct attack attacks_space[], attacks_ports[], attacks_cpu[], attacks_apic[], attacks_race[],
    attacks_busy[], attacks_death[];
