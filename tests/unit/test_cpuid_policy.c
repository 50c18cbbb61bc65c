/* SPDX-License-Identifier: Apache-2.0 */
/* Rows X08, V076: what is shown bit by bit against a host that has everything, what a guest computes
 * from it, and one golden file per recorded machine. */
#include <string.h>

#include "core/cpuid_policy.h"
#include "core/cr_policy.h"
#include "core/vmx_ctl.h"
#include "tests/unit/golden.h"
#include "tests/unit/host_stub.h"
#include "tests/unit/machine.h"
#include "tests/unit/unit.h"

#define ALL_CONTROLS UINT32_MAX

static struct cpuid_table table;
static uint32_t regs[4];

static void host_of_ones(uint32_t leaf, uint32_t subleaf, uint32_t r[4]) {
    memset(r, 0xff, 16);
    if (leaf == 4 && subleaf >= 4)
        memset(r, 0, 16);
}

static void host_of_zeros(uint32_t leaf, uint32_t subleaf, uint32_t r[4]) {
    (void)leaf;
    (void)subleaf;
    memset(r, 0, 16);
}

static void build(unsigned vcpu, unsigned nr, uint32_t secondary, cpuid_fn *host) {
    struct cpuid_view view = {
        .vcpu = vcpu,
        .nr_vcpus = nr,
        .tsc_khz = 3400001,
        .invariant_tsc = true,
        .secondary = secondary,
    };

    memset(&table, 0xa5, sizeof(table));
    cpuid_build(&table, &view, host);
}

/* Both ways: where the short one has an answer it is the same. */
static bool apic_on = true;

static void ask(uint32_t leaf, uint32_t subleaf, uint64_t cr4, uint64_t xcr0) {
    cpuid_show(&table, apic_on, cr4);
    const struct cpuid_row *row = cpuid_find(&table, leaf, subleaf);

    memset(regs, 0xa5, sizeof(regs));
    cpuid_answer(&table, leaf, subleaf, xcr0, regs);
    if (row != NULL)
        assert_memory_equal(regs, row->regs, sizeof(regs));
}

static void look(uint32_t leaf, uint32_t subleaf) {
    ask(leaf, subleaf, 0, 1);
}

static void assert_leaf(uint32_t leaf, uint32_t subleaf, uint32_t eax, uint32_t ebx, uint32_t ecx,
                        uint32_t edx) {
    look(leaf, subleaf);
    assert_int_equal(regs[0], eax);
    assert_int_equal(regs[1], ebx);
    assert_int_equal(regs[2], ecx);
    assert_int_equal(regs[3], edx);
}

static void X08_shown_bits_are_exactly_these(void **state) {
    uint32_t ones = UINT32_MAX;

    (void)state;
    build(2, 4, ALL_CONTROLS, host_of_ones);
    assert_leaf(0, 0, 0x1f, ones, ones, ones);
    assert_leaf(1, 0, ones, 0x0204ff00, 0xf7fa3203, 0x1f8bbb7f);
    assert_leaf(6, 0, 4, 0, 0, 0);
    assert_leaf(7, 0, 2, 0xfdbf2ffb, 0x1a405f6f, 0xbc814d1c);
    assert_leaf(7, 1, 0x00801cbf, 0, 0, 0x4430);
    assert_leaf(7, 2, 0, 0, 0, 0x3f);
    assert_leaf(0x80000000, 0, 0x80000008, 0, 0, 0);
    assert_leaf(0x80000001, 0, 0, 0, 0x121, 0x2c100800);
    assert_leaf(0x80000007, 0, 0, 0, 0, 0x100);
    assert_leaf(0x80000008, 0, 0x30ff, 0, 0, 0);
    look(0xd, 0);
    assert_int_equal(regs[0], 0x2e7);
    look(0xd, 1);
    assert_int_equal(regs[0], 0xf);
}

/* Instructions that need a control are gone where the control is not there. */
static void V076_C24_C25_C29_C34_bits_follow_the_controls(void **state) {
    (void)state;
    build(0, 1, 0, host_of_ones);
    assert_leaf(7, 0, 2, 0xfdbf2bfb, 0x1a005f4f, 0xbc814d1c);
    assert_leaf(0x80000001, 0, 0, 0, 0x121, 0x24100800);
    look(0xd, 1);
    assert_int_equal(regs[0], 7);
    look(1, 0);
    assert_int_equal(regs[1], 0x0001ff00);
    assert_int_equal(regs[3], 0x0f8bbb7f); /* no HTT with one */
}

/* Leaves not listed, and those beyond the maximum, read zeros on any host. */
static void X08_unknown_leaves_are_zeros(void **state) {
    static const uint32_t absent[] = {3,          5,          8,          9,          0xa,        0xc,
                                      0xe,        0xf,        0x10,       0x11,       0x12,       0x13,
                                      0x14,       0x17,       0x18,       0x19,       0x1a,       0x1d,
                                      0x1e,       0x20,       0x3fffffff, 0x40000002, 0x400000ff, 0x40000102,
                                      0x4fffffff, 0x7fffffff, 0x80000005, 0x80000009, 0x8000001f, 0xffffffff};

    (void)state;
    build(1, 2, ALL_CONTROLS, host_of_ones);
    for (size_t i = 0; i < ARRAY_SIZE(absent); i++) {
        assert_leaf(absent[i], 0, 0, 0, 0, 0);
        assert_leaf(absent[i], 1, 0, 0, 0, 0);
        assert_leaf(absent[i], UINT32_MAX, 0, 0, 0, 0);
    }
    assert_leaf(7, 3, 0, 0, 0, 0);
    assert_leaf(4, 6, 0, 0, 0, 0);
    assert_leaf(0xd, 10, 0, 0, 0, 0);
    assert_leaf(0xd, UINT32_MAX, 0, 0, 0, 0);
    look(0x80000001, 77); /* no subleaves: ECX does not count */
    assert_int_equal(regs[3], 0x2c100800);
}

/* A leaf above the host's maximum is never asked for: Intel CPUs answer with another one. */
static void short_host(uint32_t leaf, uint32_t subleaf, uint32_t r[4]) {
    assert_in_range(leaf & 0x7fffffff, 0, 1);
    host_of_ones(leaf, subleaf, r);
    if ((leaf & 0x7fffffff) == 0)
        r[0] = leaf | 1;
}

static void X08_no_leaf_above_the_hosts_maximum_is_asked_for(void **state) {
    apic_on = false;
    (void)state;
    build(0, 1, ALL_CONTROLS, short_host);
    assert_leaf(0, 0, 0x1f, UINT32_MAX, UINT32_MAX, UINT32_MAX);
    assert_leaf(7, 0, 0, 2, 0, 1 << 29); /* ours on any host */
    assert_leaf(0x80000008, 0, 0, 0, 0, 0);
    build(0, 1, ALL_CONTROLS, host_of_zeros);
    assert_leaf(1, 0, 0, 0x00010000, 0x80000000, 0);
    assert_leaf(0xd, 0, 0, 0, 0, 0); /* no XSAVE, no sizes */
    assert_leaf(0xd, 1, 0, 0, 0, 0);
    apic_on = true;
}

static void X08_topology_is_the_partitions(void **state) {
    static const struct { unsigned nr, bits; } sizes[] = {{1, 0}, {2, 1}, {3, 2}, {4, 2}, {5, 3}, {64, 6}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        unsigned nr = sizes[i].nr, ids = (1u << sizes[i].bits) - 1;

        build(nr - 1, nr, ALL_CONTROLS, host_of_ones);
        look(1, 0);
        assert_int_equal(regs[1] >> 16, (nr - 1) << 8 | nr);
        for (uint32_t leaf = 0xb; leaf <= 0x1f; leaf += 0x1f - 0xb) {
            assert_leaf(leaf, 0, 0, 1, 0x100, nr - 1);
            assert_leaf(leaf, 1, sizes[i].bits, nr, 0x201, nr - 1);
            assert_leaf(leaf, 2, 0, 0, 2, nr - 1);
            assert_leaf(leaf, 0x1ff, 0, 0, 0xff, nr - 1);
        }
        look(4, 0); /* level 7 here: shared by all */
        assert_int_equal(regs[0], 0x3fff | ids << 14 | ids << 26);
    }
    machine_load("corei7_skylake_x");
    build(0, 3, ALL_CONTROLS, machine_cpuid);
    assert_leaf(4, 0, 0x0c000121, 0x01c0003f, 0x3f, 0); /* L1: private */
    assert_leaf(4, 2, 0x0c000143, 0x03c0003f, 0x3ff, 0);
    assert_leaf(4, 3, 0x0c00c163, 0x0280003f, 0x2fff, 4); /* L3: four ids */
    assert_leaf(4, 4, 0, 0, 0, 0);
}

static void X08_live_bits(void **state) {
    (void)state;
    machine_load("corei7_skylake_x");
    machine_cpuid_regs(7, 0)[2] |= 1 << 3; /* PKU, with its component */
    machine_cpuid_regs(0xd, 0)[0] |= 0x200;
    machine.cpuid[machine.nr_cpuid].leaf = 0xd;
    machine.cpuid[machine.nr_cpuid].subleaf = 9;
    machine.cpuid[machine.nr_cpuid].regs[0] = 8;
    machine.cpuid[machine.nr_cpuid++].regs[1] = 0xa80;
    build(0, 1, ALL_CONTROLS, machine_cpuid);
    apic_on = false;
    ask(1, 0, CR4_OSXSAVE, 7);
    assert_true((regs[2] & 1u << 27) != 0);
    assert_true((regs[3] & 1u << 9) == 0);
    apic_on = true;
    look(1, 0);
    assert_true((regs[2] & 1u << 27) == 0);
    assert_true((regs[3] & 1u << 9) != 0);
    ask(7, 0, CR4_PKE, 7);
    assert_int_equal(regs[2], 0x18);
    ask(7, 1, CR4_PKE, 7);
    assert_int_equal(regs[2], 0);
    look(7, 0);
    assert_int_equal(regs[2], 0x08);
    look(0xd, 0);
    assert_int_equal(regs[0], 0x2e7);
    assert_int_equal(regs[2], 0xa88);

    machine.cpuid[machine.nr_cpuid - 1].regs[0] = 0; /* a component without an area */
    build(0, 1, ALL_CONTROLS, machine_cpuid);
    look(7, 0);
    assert_int_equal(regs[2], 0);
    look(0xd, 0);
    assert_int_equal(regs[0], 0xe7);
}

static void X08_xsave_sizes(void **state) {
    static const struct {
        uint64_t xcr0;
        uint32_t standard, compact;
    } sizes[] = {
        {1, 576, 576}, {3, 576, 576}, {7, 0x340, 0x340}, {0xe7, 0xa80, 0x980}, {0x27, 0x480, 0x380},
    };

    (void)state;
    machine_load("corei7_skylake_x");
    build(0, 1, SECONDARY_XSAVES, machine_cpuid);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        ask(0xd, 0, CR4_OSXSAVE, sizes[i].xcr0);
        assert_int_equal(regs[0], 0xe7);
        assert_int_equal(regs[1], sizes[i].standard);
        assert_int_equal(regs[2], 0xa80);
        assert_int_equal(regs[3], 0);
        ask(0xd, 1, CR4_OSXSAVE, sizes[i].xcr0);
        assert_int_equal(regs[0], 0xf);
        assert_int_equal(regs[1], sizes[i].compact);
        assert_int_equal(regs[2], 0);
    }
    machine_cpuid_regs(0xd, 5)[2] |= 2; /* aligned */
    machine_cpuid_regs(0xd, 2)[0] = 0x101;
    build(0, 1, SECONDARY_XSAVES, machine_cpuid);
    ask(0xd, 1, CR4_OSXSAVE, 0x27);
    assert_int_equal(regs[1], 0x3c0);

    machine_cpuid_regs(0xd, 0)[0] = 0xc7; /* one of the three AVX-512 components missing */
    build(0, 1, SECONDARY_XSAVES, machine_cpuid);
    assert_int_equal(cpuid_static(&table, 0xd, 0, CPUID_EAX), 7);
    assert_int_equal(cpuid_static(&table, 0xd, 6, CPUID_EAX), 0);
    machine_cpuid_regs(0xd, 1)[0] = 1; /* XSAVEOPT only: there is no compact size */
    build(0, 1, SECONDARY_XSAVES, machine_cpuid);
    assert_leaf(0xd, 1, 1, 0, 0, 0);
}

/* Linux: unsigned int arithmetic, in kHz. */
static uint32_t linux_tsc_khz(void) {
    look(0x15, 0);
    return regs[2] / 1000 * regs[1] / regs[0];
}

static uint32_t host_crystal_khz; /* as 15H of the host says; 0: it has no such leaf, 1: it does not say */

static void host_with_crystal(uint32_t leaf, uint32_t subleaf, uint32_t r[4]) {
    host_of_zeros(leaf, subleaf, r);
    if (leaf == 0)
        r[0] = host_crystal_khz != 0 ? 0x15 : 0xd;
    if (leaf == 0x15) {
        r[0] = r[1] = 2;
        r[2] = host_crystal_khz == 1 ? 0 : host_crystal_khz * 1000;
    }
}

static void assert_tsc(uint32_t tsc_khz, uint32_t crystal_khz) {
    struct cpuid_view view = {.nr_vcpus = 1, .tsc_khz = tsc_khz};
    uint32_t expected = crystal_khz == 0 ? 100000 : crystal_khz == 1 ? 24000 : crystal_khz;

    host_crystal_khz = crystal_khz;
    cpuid_build(&table, &view, host_with_crystal);
    assert_int_equal(linux_tsc_khz(), tsc_khz);
    assert_int_equal((uint64_t)regs[2] * regs[1] / regs[0] / 1000, tsc_khz); /* 64 bits, in Hz */
    if (tsc_khz >= 50000 && tsc_khz < 10000000 && expected <= 1000000)
        assert_in_range(regs[2] / 1000, expected, expected + (expected < 200000 ? 50 : 999));
    look(0x16, 0);
    assert_int_equal(regs[0], (tsc_khz + 500) / 1000 & 0xffff);
}

static void X08_the_tsc_comes_out_to_the_kilohertz(void **state) {
    static const uint32_t crystals[] = {0, 1, 19200, 24000, 25000, 38400, 99998, 100000, 1000000, 4000000};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(crystals); i++) {
        for (uint32_t tsc = 800000; tsc < 6000000; tsc += 49999)
            assert_tsc(tsc, crystals[i]);
        for (uint32_t tsc = 2400000 - 30; tsc < 2400000 + 30; tsc++)
            assert_tsc(tsc, crystals[i]);
        assert_tsc(50000, crystals[i]); /* an emulator */
        assert_tsc(4294967, crystals[i]);
    }
    assert_tsc(1, 24000);
    assert_tsc(UINT32_MAX, 24000);
    build(0, 1, 0, host_of_zeros);
    look(0x80000007, 0);
    assert_int_equal(regs[3], 0x100);
    assert_tsc(1000000, 24000);
    look(0x80000007, 0); /* not invariant */
    assert_int_equal(regs[3], 0);
}

/* What Linux looks for: a base in steps of 100H, and enough leaves above it. */
static uint32_t hypervisor_base(const char signature[12], uint32_t leaves) {
    for (uint32_t base = 0x40000000; base < 0x40010000; base += 0x100) {
        look(base, 0);
        if (memcmp(&regs[1], signature, 12) == 0 && regs[0] - base >= leaves)
            return base;
    }
    return 0;
}

static void X08_hypervisor_leaves(void **state) {
    (void)state;
    build(0, 1, ALL_CONTROLS, host_of_ones);
    assert_int_equal(hypervisor_base("KVMKVMKVM\0\0", 0), 0x40000100);
    assert_int_equal(hypervisor_base("KVMKVMKVM\0\0", 1), 0x40000100);
    assert_leaf(0x40000101, 0, 0, 0, 0, 0);
    assert_int_equal(hypervisor_base("MullionVMX\0", 1), 0x40000000);
    assert_int_equal(hypervisor_base("Microsoft Hv", 0), 0);
    assert_leaf(0x40000001, 0, 0x10000, 0, 0, 0);
}

static void X08_views_that_make_no_sense_are_ours(void **state) {
    static const struct cpuid_view bad[] = {
        {.vcpu = 1, .nr_vcpus = 1, .tsc_khz = 1000},
        {.vcpu = 0, .nr_vcpus = 0, .tsc_khz = 1000},
        {.vcpu = 0, .nr_vcpus = 65, .tsc_khz = 1000},
        {.vcpu = 0, .nr_vcpus = 1, .tsc_khz = 0},
    };
    static volatile size_t i;
    jmp_buf panic;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        stub_panic_to = &panic;
        if (setjmp(panic) == 0) {
            cpuid_build(&table, &bad[i], host_of_ones);
            fail_msg("view %zu passes", i);
        }
    }
    stub_panic_to = NULL;
}

static void golden_model(const char *name) {
    static const uint8_t subleaves[] = {[4] = 6, [7] = 3, [0xb] = 3, [0xd] = 10, [0x1f] = 3};
    static const uint32_t ranges[][2] = {
        {0, 0x20}, {0x40000000, 0x40000002}, {0x40000100, 0x40000102}, {0x80000000, 0x80000009}};
    struct vmx_controls controls;
    struct vmx_caps caps;

    machine_load(name);
    vmx_caps_read(&caps, machine_cpuid, machine_rdmsr);
    assert_int_equal(vmx_ctl_resolve(&caps, &controls), ERR_OK);
    build(1, 4, controls.word[VMX_SECONDARY], machine_cpuid);
    golden_clear();
    for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
        for (uint32_t leaf = ranges[i][0]; leaf <= ranges[i][1]; leaf++) {
            unsigned count = leaf < ARRAY_SIZE(subleaves) ? subleaves[leaf] : 0;

            for (unsigned sub = 0; sub < (count == 0 ? 1 : count); sub++) {
                ask(leaf, sub, CR4_OSXSAVE, 7);
                if ((regs[0] | regs[1] | regs[2] | regs[3]) != 0)
                    golden_add("%08x %02x %08x %08x %08x %08x\n", leaf, sub, regs[0], regs[1], regs[2],
                               regs[3]);
            }
        }
    }
    golden_check("cpuid", name);
}

static void X08_golden_files(void **state) {
    (void)state;
    golden_model("corei7_ivy_bridge_3770k");
    golden_model("corei7_haswell_4770");
    golden_model("corei7_skylake_x");
    golden_model("corei7_icelake_u");
    golden_model("tigerlake");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(X08_shown_bits_are_exactly_these),
        cmocka_unit_test(V076_C24_C25_C29_C34_bits_follow_the_controls),
        cmocka_unit_test(X08_unknown_leaves_are_zeros),
        cmocka_unit_test(X08_no_leaf_above_the_hosts_maximum_is_asked_for),
        cmocka_unit_test(X08_topology_is_the_partitions),
        cmocka_unit_test(X08_live_bits),
        cmocka_unit_test(X08_xsave_sizes),
        cmocka_unit_test(X08_the_tsc_comes_out_to_the_kilohertz),
        cmocka_unit_test(X08_hypervisor_leaves),
        cmocka_unit_test(X08_views_that_make_no_sense_are_ours),
        cmocka_unit_test(X08_golden_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
