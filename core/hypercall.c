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

bool hypercall(const struct vcpu *v, uint64_t number, uint64_t rbx, uint64_t rcx, uint64_t *result) {
    *result = (uint64_t)HYPERCALL_EINVAL;
    switch (number) {
    case HYPERCALL_VERSION:
        *result = 2;
        return true;
    case HYPERCALL_EXITS:
        *result = vcpu_exits(v);
        return true;
    case HYPERCALL_NAME:
        *result = name_part(v, rbx);
        return true;
    case HYPERCALL_COUNTER:
        *result = counter(v, rbx);
        return true;
    case HYPERCALL_WRITE:
        if (!v->partition->config->vuart)
            *result = (uint64_t)HYPERCALL_ENODEV;
        return !v->partition->config->vuart || rcx > sizeof(rbx);
    case HYPERCALL_TRACE:
        return rbx > TRACE_MAX;
    case HYPERCALL_STOP:
    case HYPERCALL_RESTART:
    case HYPERCALL_WAIT:
        return false;
    }
    *result = (uint64_t)HYPERCALL_ENOSYS;
    return true;
}
