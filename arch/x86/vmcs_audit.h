/* SPDX-License-Identifier: Apache-2.0 */
/* What a debug build (make debug) does before every VM entry; two files, of which one is linked. */
#pragma once

/* Panic if the current VMCS breaks a rule of VM entry, or its host state is not as it was set up. */
void vmcs_audit(void);
