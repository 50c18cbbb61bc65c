/* SPDX-License-Identifier: Apache-2.0 */
/* What a partition was doing when it stopped, for people to read. */
#pragma once

#include "arch/x86/vmx_exit.h"
#include "core/log.h"

/* Log why, and unless the guest asked for it: the exit, registers, control registers, segments and
 * the bytes at RIP. On the vCPU's core. */
void dump_guest(const struct vcpu *v, const struct guest_regs *regs, enum stop_cause cause, const char *why);
