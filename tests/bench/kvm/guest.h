/* SPDX-License-Identifier: Apache-2.0 */
/* The guest that the client runs: its memory, what lies in it, and how a vCPU starts. Made by the
 * hypervisor's own code (core/), so that a guest finds the same machine under both. */
#pragma once

#include "core/config.h"
#include "core/load.h"

struct kvm_guest {
    struct partition_config config;
    struct guest_map map;     /* "machine addresses" are offsets into `memory` */
    struct guest_start start; /* of vCPU 0 */
    uint8_t *memory;          /* config.memory_bytes, from guest-physical 0; 2 MiB aligned */
    unsigned cores[MAX_CPUS]; /* vCPU i runs on core cores[i] */
    unsigned nr_vcpus;
};

/* What the one partition of the file `name`, which is as mullion.conf, asks for. Its modules are files, too.
 * Ends the process with a message where that cannot be. */
void kvm_guest_make(struct kvm_guest *guest, const char *name);

/* Say what is wrong, with errno if it is set, and end the process. */
_Noreturn void kvm_fail(const char *format, ...) printf_like(1, 2);
