/* SPDX-License-Identifier: Apache-2.0 */
/* Hypercalls (core/hypercall_abi.h): the answer, or that there is something to do for it. */
#pragma once

#include "core/hypercall_abi.h"
#include "core/partition.h"

/* True: *result is the value for RAX, and that is all. False: the number is one that asks for a deed, and its
 * arguments are good; the caller, on the vCPU's core, does it. */
bool hypercall(const struct vcpu *v, uint64_t number, uint64_t rbx, uint64_t rcx, uint64_t *result);
