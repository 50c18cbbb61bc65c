/* SPDX-License-Identifier: Apache-2.0 */
/* The fixed sizes of the static tables. Exceeding one is an error that says so, never a truncation. */
#pragma once

#define MAX_CPUS          64 /* physical cores; a cpu set is one 64-bit mask */
#define MAX_PARTITIONS    16
#define MAX_MODULES       32
#define MAX_MEMORY_RANGES 128 /* entries of the firmware's memory map */
#define MAX_IOAPICS       8
#define MAX_GUEST_REGIONS 24 /* pieces of RAM and device windows of one partition */
#define MAX_NAME          32 /* partition and module names, with the NUL */
#define MAX_CMDLINE       1024
#define MAX_MODULE_ARGS   128 /* of a guest's module, with the NUL */
