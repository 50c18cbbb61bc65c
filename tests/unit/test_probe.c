/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine is taken for. */
#include "core/probe.h"
#include "tests/unit/machine.h"
#include "tests/unit/unit.h"

static void set_leaf(uint32_t leaf, uint32_t eax, uint32_t ebx, uint32_t ecx) {
    uint32_t *r = machine_cpuid_regs(leaf, 0);

    if (r == NULL) {
        machine.cpuid[machine.nr_cpuid].leaf = leaf;
        r = machine.cpuid[machine.nr_cpuid++].regs;
    }
    r[CPUID_EAX] = eax;
    r[CPUID_EBX] = ebx;
    r[CPUID_ECX] = ecx;
}

static void test_smt_shift(void **state) {
    (void)state;
    machine_load("p4_prescott_celeron_336"); /* no leaf 0BH */
    assert_int_equal(probe_smt_shift(machine_cpuid), 0);
    machine_load("corei7_icelake_u"); /* leaf 0BH, nothing higher than 1BH */
    set_leaf(0xb, 1, 2, 0x100);
    assert_int_equal(probe_smt_shift(machine_cpuid), 1);
    set_leaf(0xb, 4, 2, 0x200); /* the first level is that of cores */
    assert_int_equal(probe_smt_shift(machine_cpuid), 0);
    set_leaf(0xb, 1, 0, 0x100); /* there, but says nothing */
    assert_int_equal(probe_smt_shift(machine_cpuid), 0);
    set_leaf(0xb, 1, 2, 0x100);
    set_leaf(0x1f, 2, 4, 0x100);
    assert_int_equal(probe_smt_shift(machine_cpuid), 1); /* beyond the highest leaf */
    machine_cpuid_regs(0, 0)[CPUID_EAX] = 0x1f;
    assert_int_equal(probe_smt_shift(machine_cpuid), 2);
    set_leaf(0x1f, 2, 0, 0x100);
    assert_int_equal(probe_smt_shift(machine_cpuid), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_smt_shift),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
