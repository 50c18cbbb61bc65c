/* SPDX-License-Identifier: Apache-2.0 */
/* Which rule of the SDM's "Checks on the Guest State Area" a VMCS breaks, in words. Pure: reads fields only
 * through the function it is given, so that it judges the real VMCS and an array alike. */
#pragma once

#include "core/vmx_ctl.h"

/* VMREAD. Called only for fields that there are, given the controls. */
typedef uint64_t vmcs_read_fn(void *context, uint32_t encoding);

struct vmcs_violation {
    const char *section, *field, *segment, *rule; /* section: its title; segment: " CS", or "" */
    uint32_t encoding;
    uint64_t value;
};

/* True if no rule is broken; else *out is the first broken one. */
must_check bool vmcs_check(const struct vmx_caps *caps, vmcs_read_fn *read, void *context,
                           struct vmcs_violation *out);
