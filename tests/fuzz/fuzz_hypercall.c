/* SPDX-License-Identifier: Apache-2.0 */
/* Any hypercalls: each is answered or left to its caller with arguments that caller can bear. */
#include <stdlib.h>
#include <string.h>

#include "core/hypercall.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool held) {
    if (!held)
        abort();
}

static bool is_error(uint64_t result) {
    return result == (uint64_t)HYPERCALL_EINVAL || result == (uint64_t)HYPERCALL_ENODEV ||
           result == (uint64_t)HYPERCALL_ENOSYS;
}

/* A byte of flags, then number, RBX and RCX: small numbers more often than not. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct partition_config config = {.name = "fifteen-letters"};
    static struct partition partition = {.config = &config, .restarts = 7};
    static struct vcpu v = {.partition = &partition}, before;
    uint64_t in[3];

    for (; size >= 1 + sizeof(in); data += 1 + sizeof(in), size -= 1 + sizeof(in)) {
        uint64_t result;

        memcpy(in, data + 1, sizeof(in));
        for (unsigned i = 0; i < 3; i++)
            in[i] = (data[0] >> i & 1) != 0 ? in[i] : in[i] % 1024;
        in[0] = (data[0] & 8) != 0 ? in[0] : in[0] % 12;
        config.vuart = (data[0] & 16) != 0;
        before = v;
        bool answered = hypercall(&v, in[0], in[1], in[2], &result);

        require(memcmp(&before, &v, sizeof(v)) == 0);
        require(in[0] <= HYPERCALL_TRACE || (answered && result == (uint64_t)HYPERCALL_ENOSYS));
        require(in[0] != HYPERCALL_WRITE || answered != (config.vuart && in[2] <= 8));
        require(in[0] != HYPERCALL_WRITE || !answered || is_error(result));
        require(in[0] != HYPERCALL_TRACE || answered == (in[1] > 64));
    }
    return 0;
}
