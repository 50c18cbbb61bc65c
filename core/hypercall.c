/* SPDX-License-Identifier: Apache-2.0 */
/* Hypercalls: decides the answer, reads only the caller's own vCPU and partition. */
#include "core/hypercall.h"

#include "core/str.h"

#define TRACE_MAX 64 /* lines of the log at once: more would only be dropped and counted there */

rarely static uint64_t name_part(const struct vcpu *v, uint64_t part) {
    char name[2 * sizeof(uint64_t)] = "";
    uint64_t bytes[2];
    if (part >= ARRAY_SIZE(bytes))
        return (uint64_t)HYPERCALL_EINVAL;
    (void)str_copy(name, sizeof(name), v->partition->config->name, str_length(v->partition->config->name));
    memcpy(bytes, name, sizeof(bytes));
    return bytes[part];
}

static uint64_t counter(const struct vcpu *v, uint64_t which) {
    switch (which) {
    case HYPERCALL_COUNTER_RESTARTS:
        return v->partition->restarts;
    case HYPERCALL_COUNTER_MSRS:
        return v->denied_msrs;
    case HYPERCALL_COUNTER_PORTS:
        return v->denied_ports;
    case HYPERCALL_COUNTER_MEMORY:
        return v->bad_accesses;
    }
    which -= HYPERCALL_COUNTER_EXIT_REASON;
    return which < VCPU_EXIT_REASONS ? v->exits[which] : (uint64_t)HYPERCALL_EINVAL;
}

uint64_t hypercall(const struct vcpu *v, uint64_t number, uint64_t rbx, uint64_t rcx,
                   enum hypercall_act *act) {
    *act = HYPERCALL_DONE;
    switch (number) {
    case HYPERCALL_VERSION:
        return 2;
    case HYPERCALL_EXITS:
        return vcpu_exits(v);
    case HYPERCALL_STOP:
        *act = HYPERCALL_TO_STOP;
        return 0;
    case HYPERCALL_RESTART:
        *act = HYPERCALL_TO_RESTART;
        return 0;
    case HYPERCALL_NAME:
        return name_part(v, rbx);
    case HYPERCALL_COUNTER:
        return counter(v, rbx);
    case HYPERCALL_WRITE:
        if (!v->partition->config->vuart)
            return (uint64_t)HYPERCALL_ENODEV;
        if (rcx > sizeof(rbx))
            return (uint64_t)HYPERCALL_EINVAL;
        *act = HYPERCALL_TO_WRITE;
        return 0;
    case HYPERCALL_WAIT:
        *act = HYPERCALL_TO_WAIT;
        return 0;
    case HYPERCALL_TRACE:
        if (rbx > TRACE_MAX)
            return (uint64_t)HYPERCALL_EINVAL;
        *act = HYPERCALL_TO_TRACE;
        return 0;
    }
    return (uint64_t)HYPERCALL_ENOSYS;
}
