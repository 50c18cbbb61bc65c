/* SPDX-License-Identifier: Apache-2.0 */
/* All rules of VM entry: those of controls and host state, and then those of core/vmcs_check.c. */
#pragma once

#include "core/vmcs_check.h"

/* As vmcs_check. Not looked at is what no field holds: the memory at the link pointer, the MSR lists and the
 * virtual TPR. */
must_check bool vmcs_check_all(const struct vmx_caps *caps, vmcs_read_fn *read, void *context,
                               struct vmcs_violation *out);
