/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine is taken for, and the lines of the report; all recorded machines: test_machines.c. */
#include "tests/probe/report.h"

#include <stdio.h>

#include "tests/unit/host_stub.h"
#include "tests/unit/machine.h"
#include "tests/unit/unit.h"

static struct boot_info boot;
static struct platform platform;
static struct machine facts;
static uint8_t images[3][4096];
static struct probe_text draft;

static bool rdmsr(uint32_t index, uint64_t *value) {
    const uint64_t *recorded = machine_msr_if(index);

    if (recorded != NULL)
        *value = *recorded;
    return recorded != NULL;
}

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
    assert_int_equal(cpuid_smt_shift(machine_cpuid), 0);
    machine_load("corei7_icelake_u"); /* leaf 0BH, nothing higher than 1BH */
    set_leaf(0xb, 1, 2, 0x100);
    assert_int_equal(cpuid_smt_shift(machine_cpuid), 1);
    set_leaf(0xb, 4, 2, 0x200); /* the first level is that of cores */
    assert_int_equal(cpuid_smt_shift(machine_cpuid), 0);
    set_leaf(0xb, 1, 0, 0x100); /* there, but says nothing */
    assert_int_equal(cpuid_smt_shift(machine_cpuid), 0);
    set_leaf(0xb, 1, 2, 0x100);
    set_leaf(0x1f, 2, 4, 0x100);
    assert_int_equal(cpuid_smt_shift(machine_cpuid), 1); /* beyond the highest leaf */
    machine_cpuid_regs(0, 0)[CPUID_EAX] = 0x1f;
    assert_int_equal(cpuid_smt_shift(machine_cpuid), 2);
    set_leaf(0x1f, 2, 0, 0x100);
    assert_int_equal(cpuid_smt_shift(machine_cpuid), 1);
}

static int setup(void **state) {
    (void)state;
    memset(&boot, 0, sizeof(boot));
    memset(&platform, 0, sizeof(platform));
    memset(images, 0, sizeof(images));
    for (uint32_t i = 0; i < 6; i++)
        platform.apic_ids[i] = i;
    platform.nr_cpus = 6;
    facts = (struct machine){0x3f, GIB(4), &boot, &platform, BIT(46)};
    stub_phys_set(0x1000, images, sizeof(images));
    stub_log_clear();
    return 0;
}

/* Twelve logical CPUs of a hybrid CPU as they are numbered there, the last of which does not answer. */
static void test_hybrid(void **state) {
    static const uint32_t ids[] = {0, 1, 8, 9, 72, 74};
    struct probe_core cores[MAX_CPUS] = {0};

    (void)state;
    memcpy(platform.apic_ids, ids, sizeof(ids));
    facts.cores = 0x1f;
    machine_load("intel_core_i9_12900k");
    platform.smt_shift = cpuid_smt_shift(machine_cpuid);
    for (unsigned i = 0; i < 4; i++)
        probe_core_read(&cores[i], machine_cpuid, rdmsr);
    set_leaf(0x1a, 0x20000001, 0, 0);
    machine.msr[machine.nr_msr].index = 0x8b;
    machine.msr[machine.nr_msr++].value = UINT64_C(0x2c00000000);
    probe_core_read(&cores[4], machine_cpuid, rdmsr);
    probe_core_read(&cores[5], machine_cpuid, rdmsr);
    probe_log_types(0x0f, cores);
    probe_log_types(0x30, cores);
    probe_log_types(facts.cores, cores);
    probe_log_cores(&facts, cores);
    assert_string_equal(stub_log, "a hybrid CPU: cores 0-3 are fast, core 4 slow\n"
                                  "core 0 apic 0 threads 0-1 type 40\ncore 1 apic 1 threads 0-1 type 40\n"
                                  "core 2 apic 8 threads 2-3 type 40\ncore 3 apic 9 threads 2-3 type 40\n"
                                  "core 4 apic 72 threads 4 type 20 microcode 2c\n");
    machine_load("intel_core_i7_6700k"); /* no leaf 1AH */
    probe_core_read(&cores[0], machine_cpuid, rdmsr);
    stub_log_clear();
    facts.cores = 1;
    probe_log_cores(&facts, cores);
    assert_string_equal(stub_log, "core 0 apic 0 threads 0-1 type 00 feature_control 5 microcode 33 smi 8 "
                                  "tsc_adjust fff5c5f4e22b\n");
}

static void test_pci(void **state) {
    static const uint32_t device[PCI_HEADER_REGS] = {0x15f38086, 0,          0x02000003, 0,    0xc0100000,
                                                     0,          0x0000e001, 0x8000000c, 0x40, 0xfe000008};
    static const uint32_t bridge[PCI_HEADER_REGS] = {0xa3408086, 0,      0x060400f0, 0x00810000,
                                                     0,          0x1004, 0x00020100, 0x0000f001};

    (void)state;
    probe_log_pci(0x00fa, device);
    probe_log_pci(0xff01, bridge);
    assert_string_equal(stub_log,
                        "pci 00:1f.2 8086:15f3 class 020000 header 0 mem c0100000 io e000 mem 4080000000 "
                        "mem fe000000\n"
                        "pci ff:00.1 8086:a340 class 060400 header 1 mem 1000\n");
}

static void add_image(const char *name, const char *args, uint64_t at, const char *magic) {
    struct module *m = &boot.modules[boot.nr_modules];

    strcpy(m->name, name);
    strcpy(m->args, args);
    m->at = hpa(0x1000 * (boot.nr_modules + 1));
    m->bytes = 4096;
    memcpy(images[boot.nr_modules++] + at, magic, 4);
}

static void expect_draft(const char *text) {
    static struct system_config config;
    struct report report = {"draft", 0};

    assert_true(probe_draft(&draft, &facts));
    assert_string_equal(draft.s, text);
    assert_int_equal(draft.used, strlen(text));
    assert_int_equal(config_parse(draft.s, draft.used, &config, &report), ERR_OK);
    assert_int_equal(config_check(&config, &facts, &report), ERR_OK);
    assert_string_equal(stub_log, "");
}

static void test_draft(void **state) {
    (void)state;
    assert_false(probe_draft(&draft, &facts));
    add_image("initrd.img", "", 0, "\x1f\x8b\x08");
    assert_false(probe_draft(&draft, &facts));
    add_image("jitter.elf", "", 0, "\177ELF");
    expect_draft("# Drafted for 6 cores and 4096 MiB\n"
                 "\n[partition alone]\ncpus    = 5\nmemory  = 18M\nkernel  = jitter.elf\nconsole = vuart\n");
    add_image("bzImage", "root=/dev/sda1 ro", 0x202, "HdrS");
    expect_draft("# Drafted for 6 cores and 4096 MiB\n"
                 "\n[partition linux]\ncpus    = 0-4\nmemory  = 3520M\nkernel  = bzImage\nconsole = vuart\n"
                 "initrd  = initrd.img\ncmdline = console=ttyS0 root=/dev/sda1 ro\non_exit = restart\n"
                 "\n[partition alone]\ncpus    = 5\nmemory  = 18M\nkernel  = jitter.elf\nconsole = vuart\n");
    platform.smt_shift = 1; /* the other thread of the last core is left out */
    facts.cores = 0x3b;
    facts.free_bytes = MIB(100);
    expect_draft("# Drafted for 5 cores and 100 MiB\n"
                 "\n[partition linux]\ncpus    = 0-1,3\nmemory  = 68M\nkernel  = bzImage\nconsole = vuart\n"
                 "initrd  = initrd.img\ncmdline = console=ttyS0 root=/dev/sda1 ro\non_exit = restart\n"
                 "\n[partition alone]\ncpus    = 5\nmemory  = 18M\nkernel  = jitter.elf\nconsole = vuart\n");
    facts.cores = 3; /* two threads of one core cannot be shared out */
    facts.free_bytes = GIB(2048);
    expect_draft(
        "# Drafted for 2 cores and 2097152 MiB\n"
        "\n[partition linux]\ncpus    = 0-1\nmemory  = 2096640M\nkernel  = bzImage\nconsole = vuart\n"
        "initrd  = initrd.img\ncmdline = console=ttyS0 root=/dev/sda1 ro\non_exit = restart\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_smt_shift),
        cmocka_unit_test_setup(test_hybrid, setup),
        cmocka_unit_test_setup(test_pci, setup),
        cmocka_unit_test_setup(test_draft, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
