/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest can ask of the hypervisor by VMCALL at CPL 0: number in RAX, result in RAX. The
 * numbers are the guests' interface too and never change their meaning. */
#pragma once

#include "core/partition.h"

#define HYPERCALL_VERSION 0 /* -> version of this interface, 1 */
#define HYPERCALL_EXITS   1 /* -> VM exits of this vCPU since it was first started, this one too */
#define HYPERCALL_STOP    2 /* stop this partition; does not return */
#define HYPERCALL_RESTART 3 /* stop it and, if its config says so, start it afresh */
#define HYPERCALL_ENOSYS  (UINT64_MAX - 37) /* -38, as on Linux */

/* *cause other than STOP_NONE: the partition stops. */
uint64_t hypercall(const struct vcpu *v, uint64_t number, enum stop_cause *cause);
