/* SPDX-License-Identifier: Apache-2.0 */
/* Hypercalls: decides the answer, touches only the caller's own vCPU. */
#include "core/hypercall.h"

#include "core/partition.h"

uint64_t hypercall(const struct vcpu *v, uint64_t number, enum stop_cause *cause) {
    switch (number) {
    case HYPERCALL_VERSION:
        return 1;
    case HYPERCALL_EXITS:
        return v->exits_total;
    case HYPERCALL_STOP:
        *cause = STOP_ASKED;
        return 0;
    case HYPERCALL_RESTART:
        *cause = STOP_RESET;
        return 0;
    default:
        return HYPERCALL_ENOSYS;
    }
}
