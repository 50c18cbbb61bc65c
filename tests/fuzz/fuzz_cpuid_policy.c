/* SPDX-License-Identifier: Apache-2.0 */
/* Any host, any partition, any question: the table never overflows, what is hidden stays hidden and
 * the TSC ratio comes out right. */
#include <stdlib.h>
#include <string.h>

#include "core/cpuid_policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond) ((cond) ? (void)0 : abort())

static const uint8_t *host_data;
static size_t host_size;

/* Four registers from somewhere in the input; each leaf from its own place. */
static void host(uint32_t leaf, uint32_t subleaf, uint32_t regs[4]) {
    memset(regs, (leaf & 0x7fffffff) == 0 ? 0xff : 0, 16);
    if (host_size >= 16)
        memcpy(regs, host_data + ((leaf ^ leaf >> 27) * 7 + subleaf * 16) % (host_size - 15), 16);
}

static void check_answers(const struct cpuid_table *t, const struct cpuid_view *v) {
    uint32_t r[4];

    cpuid_answer(t, 0, 0, UINT64_MAX, r);
    CHECK(r[0] == CPUID_MAX_BASIC);
    cpuid_answer(t, 1, 0, UINT64_MAX, r);
    CHECK((r[2] & (1 << 2 | 1 << 3 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 15)) == 0);
    CHECK((r[2] & UINT32_C(1) << 31) != 0 && r[1] >> 24 == v->vcpu);
    CHECK((r[3] & (1 << 7 | 1 << 14 | 1 << 21 | 1 << 22 | 1 << 29)) == 0);
    cpuid_answer(t, 7, 0, UINT64_MAX, r);
    CHECK((r[1] & (1 << 2 | 1 << 12 | 1 << 14 | 1 << 15 | 1 << 25)) == 0 && r[0] <= 2);
    CHECK((r[2] & (1 << 7 | 1 << 16 | 1 << 23 | 1 << 29 | UINT32_C(1) << 31)) == 0);
    cpuid_answer(t, 0xd, 0, UINT64_MAX, r);
    CHECK((r[0] & ~UINT32_C(0x2e7)) == 0 && r[3] == 0);
    cpuid_answer(t, 0x15, 0, UINT64_MAX, r);
    CHECK(r[0] != 0 && r[2] / 1000 * r[1] / r[0] == v->tsc_khz);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cpuid_table *table = malloc(sizeof(*table));
    uint32_t question[6], r[4];
    struct cpuid_view view;

    if (size < sizeof(question)) {
        free(table);
        return 0;
    }
    memcpy(question, data, sizeof(question));
    unsigned nr = (question[0] >> 7) % MAX_CPUS + 1;
    view = (struct cpuid_view){question[0] % nr, nr, question[1] | 1, question[0] >> 31, question[3]};
    host_data = data + sizeof(question);
    host_size = size - sizeof(question);
    cpuid_build(table, &view, host);
    CHECK(table->nr_rows <= CPUID_MAX_ROWS);
    check_answers(table, &view);
    cpuid_show(table, question[2] & 1, question[2]);
    check_answers(table, &view);
    cpuid_answer(table, question[4], question[5], 1, r);
    const struct cpuid_row *row = cpuid_find(table, question[4], question[5]);
    CHECK(row == NULL || memcmp(row->regs, r, sizeof(r)) == 0);
    if ((question[4] & 0x7fffffff) > CPUID_MAX_BASIC && question[4] < CPUID_LEAF_HV)
        CHECK((r[0] | r[1] | r[2] | r[3]) == 0);
    free(table);
    return 0;
}
