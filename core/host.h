/* SPDX-License-Identifier: Apache-2.0 */
/* The one seam from core/ down to the machine: implemented in arch/x86 and, for the unit tests and
 * fuzzers, by tests/unit/host_stub.c. Nothing else in core/ may be undefined at link time. */
#pragma once

#include "core/types.h"

/* Write one piece of log text (a whole line, with its newline). Any CPU, any context. */
void host_write(const char *text, size_t bytes);

/* Our own fault: say where, stop the machine. Never for a guest's fault. */
_Noreturn void host_panic(const char *file, int line, const char *what);

/* Pointer to physical memory, or NULL if [at, at + bytes) is not mapped on this CPU. */
void *host_phys(hpa_t at, uint64_t bytes);

/* Always on. States what the code guarantees; data of a guest, of the firmware or of the user never reaches
 * one. */
#define ASSERT(cond) ((cond) ? (void)0 : host_panic(__FILE__, __LINE__, #cond))
