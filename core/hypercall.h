/* SPDX-License-Identifier: Apache-2.0 */
/* Hypercalls (core/hypercall_abi.h): the answer, or what is left to do for it. */
#pragma once

#include "core/hypercall_abi.h"
#include "core/partition.h"

enum hypercall_act {
    HYPERCALL_DONE,
    HYPERCALL_TO_STOP,    /* stop the partition as one that asked for it, */
    HYPERCALL_TO_RESTART, /* or as one that was reset */
    HYPERCALL_TO_WRITE,   /* put bytes on the console; the result is how many */
    HYPERCALL_TO_WAIT,    /* sleep until the guest's TSC is RBX */
    HYPERCALL_TO_TRACE,   /* single-step RBX instructions */
};

/* Value for RAX; *act says what the caller, on the vCPU's core, has to do besides. */
uint64_t hypercall(const struct vcpu *v, uint64_t number, uint64_t rbx, uint64_t rcx,
                   enum hypercall_act *act);
