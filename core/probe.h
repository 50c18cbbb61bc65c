/* SPDX-License-Identifier: Apache-2.0 */
/* What kind of machine this is, and the report of it that a user can send us. Pure but for the log. */
#pragma once

#include "core/cpuid_policy.h"

/* How many low bits of an APIC id tell the threads of one core apart, by "V2 Extended Topology Enumeration
 * Leaf" or the one before it; 0 where CPUID does not say. */
unsigned probe_smt_shift(cpuid_fn *cpuid);
