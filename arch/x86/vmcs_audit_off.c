/* SPDX-License-Identifier: Apache-2.0 */
/* The audit of the normal build: none, for the CPU checks too. */
#include "arch/x86/vmcs_audit.h"

void vmcs_audit(void) {
}
