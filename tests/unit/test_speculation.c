/* SPDX-License-Identifier: Apache-2.0 */
/* Machines as their capabilities describe them; recorded ones are in test_machines.c. */
#include <string.h>

#include "core/speculation.h"
#include "tests/unit/unit.h"

#define ITS_NO     BIT(62)
#define ALL_NO     (BIT(0) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(13) | BIT(14) | BIT(15) | BIT(26) | BIT(27))
#define EDX_ALL    0x14000600u /* SRBDS_CTRL, MD_CLEAR, IBPB, L1D_FLUSH */
#define NEVER_OUT  0x102u      /* rows that no bit rules out: Spectre, SRBDS */
#define HYPERVISOR BIT(31)

static uint32_t leaves, signature, features, edx;

static void cpu(uint32_t leaf, uint32_t subleaf, uint32_t r[4]) {
    assert_true(leaf <= leaves && subleaf == 0);
    memset(r, 0, 4 * sizeof(*r));
    if (leaf == 0) {
        r[CPUID_EAX] = leaves;
    } else if (leaf == 1) {
        r[CPUID_EAX] = signature;
        r[CPUID_ECX] = features;
    } else if (leaf == 7) {
        r[CPUID_EDX] = edx;
    }
}

static struct speculation decide(uint32_t model, uint32_t leaf7_edx, uint64_t caps) {
    leaves = 7;
    signature = model;
    edx = leaf7_edx;
    return speculation_decide(cpu, caps);
}

/* Nothing is touched that is not announced, whatever is open. */
static void test_only_what_is_there(void **state) {
    static const struct {
        uint32_t edx;
        uint64_t caps;
        uint32_t deeds;
    } cases[] = {
        {0, 0, 0},
        {BIT(26), 0, SPEC_IBPB},
        {BIT(28), 0, SPEC_FLUSH_L1D},
        {BIT(10), 0, SPEC_VERW},
        {0, BIT(17), SPEC_VERW}, /* FB_CLEAR */
        {0, BIT(28), SPEC_VERW}, /* RFDS_CLEAR */
        {BIT(9), 0, SPEC_MCU_OPT},
        {0, BIT(18), SPEC_MCU_OPT}, /* FB_CLEAR_CTRL */
        {0, BIT(25), SPEC_MCU_OPT}, /* GDS_CTRL */
        {EDX_ALL, 0, SPEC_IBPB | SPEC_FLUSH_L1D | SPEC_VERW | SPEC_MCU_OPT},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(decide(0xa0671, cases[i].edx, cases[i].caps).deeds, cases[i].deeds);
    leaves = 6;
    assert_int_equal(speculation_decide(cpu, 0).deeds, 0);
}

/* What a CPU is immune to needs no deed; branches are forgotten on any. */
static void test_only_what_is_needed(void **state) {
    struct speculation s = decide(0xb06a2, EDX_ALL & ~(uint32_t)BIT(9), ALL_NO);

    (void)state;
    assert_int_equal(s.open, NEVER_OUT);
    assert_int_equal(s.deeds, SPEC_IBPB);
    assert_true((decide(0xb06a2, EDX_ALL, ALL_NO & ~BIT(0)).deeds & SPEC_FLUSH_L1D) != 0);
    assert_true((decide(0xb06a2, EDX_ALL, ALL_NO).deeds & SPEC_FLUSH_L1D) == 0);
    for (unsigned no = 0; no < 64; no++) /* each of the three of MMIO_NO, and each one of the buffers' */
        if ((BIT(no) & (BIT(5) | BIT(8) | BIT(13) | BIT(14) | BIT(15) | BIT(27))) != 0)
            assert_true((decide(0xb06a2, EDX_ALL, ALL_NO & ~BIT(no)).deeds & SPEC_VERW) != 0);
}

/* A guest is told of ITS only what is sure. */
static void test_its_by_model(void **state) {
    static const struct {
        uint32_t signature;
        bool immune;
    } models[] = {
        {0x306a9, true},  {0x306c3, true},  {0x306d4, true},  {0x406e3, true},  {0x506e3, true},
        {0x50654, true},  {0x50656, false}, {0x50657, false}, {0x806e9, true},  {0x806eb, true},
        {0x806ec, false}, {0x906ec, true},  {0x906ed, false}, {0x60663, true},  {0x706e5, false},
        {0x806c1, false}, {0xa0671, false}, {0x90672, false}, {0x00f41, false}, {0x106a5, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(models); i++)
        assert_true(decide(models[i].signature, 0, BIT(3)).arch_capabilities ==
                    (BIT(3) | (models[i].immune ? ITS_NO : 0)));
    features = HYPERVISOR; /* its word on the model is worth nothing */
    assert_true(decide(0x306c3, 0, 0).arch_capabilities == 0);
    assert_true(decide(0x306c3, 0, ITS_NO).arch_capabilities == ITS_NO);
    features = 0;
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_what_is_there),
        cmocka_unit_test(test_only_what_is_needed),
        cmocka_unit_test(test_its_by_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
