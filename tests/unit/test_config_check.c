/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/config.h"
#include "tests/unit/host_stub.h"
#include "tests/unit/unit.h"

static struct system_config config;
static struct boot_info boot;
static struct platform platform;
static struct machine machine;

static void add_module(const char *name, uint64_t bytes) {
    struct module *m = &boot.modules[boot.nr_modules++];

    strcpy(m->name, name);
    m->bytes = bytes;
}

static void add_memory(uint64_t base, uint64_t size, enum memory_kind kind) {
    boot.memory[boot.nr_memory++] = (struct memory_range){{base, size}, kind};
}

/* A PC with four cores, 4 GiB and an ACPI like a chipset's. */
static int setup(void **state) {
    (void)state;
    memset(&boot, 0, sizeof(boot));
    memset(&platform, 0, sizeof(platform));
    add_module("mullion.conf", 1000);
    add_module("k", MIB(1));
    add_module("i", MIB(3));
    add_memory(0, KIB(640), MEMORY_RAM);
    add_memory(MIB(1), GIB(2) - MIB(2), MEMORY_RAM);
    add_memory(GIB(2) - MIB(1), MIB(1), MEMORY_NVS);
    add_memory(0xb0000000, MIB(256), MEMORY_RESERVED);
    add_memory(GIB(4), GIB(2), MEMORY_RAM);
    platform.lapic = hpa(0xfee00000);
    platform.nr_ioapics = 2;
    platform.ioapics[0].at = hpa(0xfec00000);
    platform.ioapics[1].at = hpa(0xfec10000);
    platform.hpet = hpa(0xfed00000);
    platform.nr_ecam = 1;
    platform.ecam[0] = (struct range){0xb0100000, MIB(255)};
    platform.nr_vtd = 1;
    platform.vtd[0] = (struct range){0xfed90000, KIB(8)};
    platform.pm1a_port = 0x1804;
    platform.pm1b_port = 0x1904;
    platform.pm_timer_port = 0x408;
    platform.reset_reg = (struct acpi_address){SPACE_IO, 0xa19};
    platform.sleep_control = (struct acpi_address){SPACE_IO, 0xa1a};
    platform.smi_port = 0xa1b;
    machine = (struct machine){0xf, GIB(4) + 5, &boot, &platform, BIT(46)};
    return 0;
}

static enum err check(const char *text) {
    struct report report = {"c", 0};
    enum err err;

    stub_log_clear();
    err = config_parse(text, strlen(text), &config, &report);
    assert_string_equal(stub_log, "");
    assert_int_equal(err, ERR_OK);
    err = config_check(&config, &machine, &report);
    assert_int_equal(err == ERR_OK, report.errors == 0);
    return err;
}

static void good(const char *text) {
    enum err err = check(text);

    assert_string_equal(stub_log, "");
    assert_int_equal(err, ERR_OK);
}

static void bad(const char *text, const char *log) {
    enum err err = check(text);

    assert_string_equal(stub_log, log);
    assert_int_equal(err, ERR_RANGE);
}

#define A       "[partition a]\nkernel=k\nmemory=8M\ncpus=1\n" /* lines 1 to 4 */
#define B(rest) "[partition b]\nkernel=k\nmemory=8M\ncpus=" rest

static void test_good(void **state) {
    (void)state;
    good(A "initrd=i\nconsole=vuart\nmmio=0xfe001000+4K,0xc0000000+64K,0xa0000+128K,0xfed01000+4K,"
           "0xb0000000+1M\n"
           "ports=0x2f8-0x2ff,0x80,0x62-0x63,0x1780-0x17ff,0x1880,0x404-0x407,0x40c,0xa18\n" B(
               "2-3,0\nconsole=vuart\nload=1M\nports=0x400-0x403\n"
               "mmio=0xc0010000+4K\n"));
}

static void test_absent_registers(void **state) {
    (void)state;
    platform.pm1b_port = 0;
    platform.hpet = hpa(0);
    platform.nr_ecam = 0;
    platform.reset_reg.address = 0;
    good(A "ports=0x62\nmmio=0xb0000000+256M\n");
}

static void test_nothing_to_run(void **state) {
    (void)state;
    bad("[system]\n", "c: nothing to run; a section [partition NAME] says what to\n");
}

static void test_cores(void **state) {
    (void)state;
    bad("[partition a]\nkernel=k\nmemory=8M\ncpus=1-9\n",
        "c:4: cpus: this machine has cores 0-3, not cores 4-9\n");
    bad(A B("0-2\n") "[partition d]\nkernel=k\nmemory=8M\ncpus=0-3,9\n",
        "c:8: cpus: core 1 cannot be shared with partition a (line 4)\n"
        "c:12: cpus: this machine has cores 0-3, not core 9\n"
        "c:12: cpus: core 1 cannot be shared with partition a (line 4)\n"
        "c:12: cpus: cores 0-2 cannot be shared with partition b (line 8)\n");
    machine.cores = 0x9;
    bad(A B("2-4\n"), "c:4: cpus: this machine has cores 0,3, not core 1\n"
                      "c:8: cpus: this machine has cores 0,3, not cores 2,4\n");
    machine.cores = 1;
    bad(A, "c:4: cpus: this machine has core 0, not core 1\n");
    machine.cores = UINT64_MAX;
    good(A B("63\n"));
}

/* Threads 0 and 1 of two cores, with a hole between the cores as BIOSes leave it, boot core last. */
static void test_threads_of_a_core(void **state) {
    static const uint32_t ids[] = {9, 1, 8, 0};

#define SHARES                                                                                               \
    " shares a physical core with this partition; use other cores, or set smt = share in [system]\n"

    (void)state;
    memcpy(platform.apic_ids, ids, sizeof(ids));
    platform.nr_cpus = 4;
    good(A B("0,2,3\n")); /* no CPUID leaf said that there are threads */
    platform.smt_shift = 1;
    good(A B("0,2\n"));
    good("[partition a]\nkernel=k\nmemory=8M\ncpus=0-3\n");
    bad(A B("3\n"), "c:8: cpus: core 1 of partition a (line 4)" SHARES);
    bad(A B("0,3\n"), "c:8: cpus: core 1 of partition a (line 4)" SHARES);
    good("[system]\nsmt=share\n" A B("3\n"));
    platform.smt_shift = 4;
    bad(A B("3\n") "[partition d]\nkernel=k\nmemory=8M\ncpus=0,2\n",
        "c:8: cpus: core 1 of partition a (line 4)" SHARES "c:12: cpus: core 1 of partition a (line 4)" SHARES
        "c:12: cpus: core 3 of partition b (line 8)" SHARES);
}

static void test_modules(void **state) {
    (void)state;
    bad("[partition a]\nkernel=vmlinuz\nmemory=8M\ncpus=1\ninitrd=j\n",
        "c:2: kernel = vmlinuz: no such module; GRUB loaded mullion.conf k i\n"
        "c:5: initrd = j: no such module; GRUB loaded mullion.conf k i\n");
    good("[partition a]\nkernel=k\nmemory=4M\ncpus=1\ninitrd=i\n");
    bad("[partition a]\nkernel=k\nmemory=4092K\ncpus=1\ninitrd=i\n",
        "c:3: memory = 4092K: kernel, initrd and modules alone have 4M\n");
    good("[partition a]\nkernel=k\nmemory=8M\ncpus=1\ninitrd=i\nmodule=i\nmodule=k args\n");
    bad("[partition a]\nkernel=k\nmemory=8188K\ncpus=1\ninitrd=i\nmodule=i\nmodule=k args\nmodule=x a=b",
        "c:8: module = x: no such module; GRUB loaded mullion.conf k i\n"
        "c:3: memory = 8188K: kernel, initrd and modules alone have 8M\n");
    good("[partition a]\nkernel=i\nmemory=3M\ncpus=1\n");
    bad("[partition a]\nkernel=i\nmemory=2M\ncpus=1\n",
        "c:3: memory = 2M: kernel, initrd and modules alone have 3M\n");
    boot.nr_modules = 0; /* not known: there is the configuration at least */
    good("[partition a]\nkernel=vmlinuz\nmemory=8M\ncpus=1\ninitrd=j\n");
}

static void test_module_list_is_cut(void **state) {
    (void)state;
    while (boot.nr_modules < MAX_MODULES)
        add_module("a-module-with-quite-a-long-name", 1);
    assert_int_equal(check("[partition a]\nkernel=x\nmemory=8M\ncpus=1\n"), ERR_RANGE);
    assert_int_equal(strlen(stub_log), LOG_LINE_MAX);
    assert_string_equal(stub_log + LOG_LINE_MAX - 4, "...\n");
}

static void test_memory(void **state) {
    (void)state;
    good("[partition a]\nkernel=k\nmemory=4G\ncpus=1\n");
    bad("[partition a]\nkernel=k\nmemory=4194308K\ncpus=1\n" B("2\n"),
        "c:3: memory = 4194308K: this machine has 4G for partitions, 4G of them left\n");
    bad("[partition a]\nkernel=k\nmemory=4G\ncpus=1\n" B("2\n"),
        "c:7: memory = 8M: this machine has 4G for partitions, 0 of them left\n");
    bad("[partition a]\nkernel=k\nmemory=5G\ncpus=1\n" B(
            "2\n") "[partition d]\nkernel=k\nmemory=4G\ncpus=3\n",
        "c:3: memory = 5G: this machine has 4G for partitions, 4G of them left\n"
        "c:11: memory = 4G: this machine has 4G for partitions, 4088M of them left\n");
    machine.free_bytes = MIB(16);
    good(A B("2\n"));
    good("[partition a]\nkernel=k\nmemory=16M\ncpus=1\n");
    good("[partition a]\nkernel=k\nmemory=15M identity\ncpus=1\n");
    bad("[partition a]\nkernel=k\nmemory=16M identity\ncpus=1\n",
        "c:3: memory = 16M identity: this machine has 16M for partitions, 16M of them left\n");
    machine.free_bytes = 5000;
    bad(A, "c:3: memory = 8M: this machine has 0 for partitions, 0 of them left\n");
}

static void test_load(void **state) {
    (void)state;
    bad(A "load=0x7c00\n", "c:5: load = 0x7c00: the kernel would be at 0x7c00-0x107bff; the "
                           "partition's memory is 0x0-0x9ffff, 0x100000-0x7fffff\n");
}

static void test_load_borders(void **state) {
    (void)state;
    boot.modules[1].bytes = KIB(640);
    good(A "load=0\n");
    bad(A "load=16\n", "c:5: load = 0x10: the kernel would be at 0x10-0xa000f; the partition's memory is "
                       "0x0-0x9ffff, 0x100000-0x7fffff\n");
    good(A "load=1M\n");
    good(A "load=0x760000\n");
    bad(A "load=0x760001\n", "c:5: load = 0x760001: the kernel would be at 0x760001-0x800000; the "
                             "partition's memory is 0x0-0x9ffff, 0x100000-0x7fffff\n");
    good("[partition a]\nkernel=k\nmemory=3200M\ncpus=1\nload=0xbff60000\n");
    bad("[partition a]\nkernel=k\nmemory=3200M\ncpus=1\nload=0xbff60001\n",
        "c:5: load = 0xbff60001: the kernel would be at 0xbff60001-0xc0000000; the partition's "
        "memory is 0x0-0x9ffff, 0x100000-0xbfffffff\n");
    good("[partition a]\nkernel=k\nmemory=8M identity\ncpus=1\nload=0\n");
    bad("[partition a]\nkernel=k\nmemory=8M identity\ncpus=1\nload=1M\n",
        "c:5: load = 0x100000: the kernel would be at 0x100000-0x19ffff; the partition's memory is "
        "0x0-0x9ffff\n");
    memset(&boot, 0, sizeof(boot));
    bad(A "load=0xa0000\n", "c:5: load = 0xa0000: the kernel would be at 0xa0000; the partition's "
                            "memory is 0x0-0x9ffff, 0x100000-0x7fffff\n");
}

static void test_load_knows_no_modules(void **state) {
    (void)state;
    memset(&boot, 0, sizeof(boot));
    bad(A "load=1M\ninitrd=i\n",
        "c:5: load: a flat binary is told of no modules; leave initrd and module out\n");
    bad(A "load=reset\nmodule=i x\n",
        "c:5: load: a flat binary is told of no modules; leave initrd and module out\n");
}

static void test_load_at_reset(void **state) {
    (void)state;
    boot.modules[1].bytes = KIB(256);
    good(A "load=reset\n");
    bad(A "load=reset\nmmio=0xfffff000+4K\n",
        "c:6: mmio = 0xfffff000+4K: 0xfffc0000+256K is the ROM of load = reset\n");
    good(A "mmio=0xfffff000+4K\n");
    good("[partition a]\nkernel=k\nmemory=8M identity\ncpus=1\nload=reset\n");
    boot.modules[1].bytes = KIB(256) + 1;
    bad(A "load=reset\n",
        "c:5: load = reset: the kernel has 262145; it ends at 1M, and at most 256K fit there\n");
    memset(&boot, 0, sizeof(boot));
    good(A "load=reset\n");
}

/* One port or list in partition a. */
static void bad_ports(const char *ports, const char *what) {
    char text[256], log[256];

    snprintf(text, sizeof(text), "%sports=%s\n", A, ports);
    snprintf(log, sizeof(log), "c:5: ports = %s: %s\n", ports, what);
    bad(text, log);
}

static void test_machine_ports(void **state) {
    static const struct {
        const char *ports, *what;
    } rows[] = {
        {"0x1f", "0x0-0x1f is the DMA controller, which writes to any memory"},
        {"0x21", "0x20-0x21 is the interrupt controller"},
        {"0x43-0x50", "0x40-0x43 is the timer"},
        {"0x60", "0x60 is the keyboard controller, which can reset the machine"},
        {"0x61", "0x61 is the timer's gate and the machine's error bits"},
        {"0x64", "0x64 is the keyboard controller, which can reset the machine"},
        {"0x71", "0x70-0x77 is the clock's memory and the NMI mask"},
        {"0x81", "0x81-0x8f is the DMA controller, which writes to any memory"},
        {"0x92", "0x92 is the fast reset port"},
        {"0x93-0xa0", "0xa0-0xa1 is the interrupt controller"},
        {"0xb3", "0xb2-0xb3 is the SMI port"},
        {"0xdf", "0xc0-0xdf is the DMA controller, which writes to any memory"},
        {"0xf4", "0xf4-0xf7 is an emulator's exit port"},
        {"0x4d1", "0x4d0-0x4d1 is the interrupt controller"},
        {"0x510-0x511", "0x510-0x51b is an emulator's fw_cfg, which writes to any memory"},
        {"0x604", "0x600-0x67f is an emulator's power management"},
        {"0xcf9", "0xcf8-0xcff is PCI configuration and the reset port"},
        {"0x8900", "0x8900 is an emulator's exit port"},
        {"0x3ff", "0x3f8-0x3ff is the system console (console in [system])"},
        {"0x1800", "0x1800-0x187f is power management"},
        {"0x1900", "0x1900-0x197f is power management"},
        {"0x40b", "0x408-0x40b is the ACPI timer"},
        {"0xa19", "0xa19 is the reset register"},
        {"0xa1a", "0xa1a is power management"},
        {"0xa1b", "0xa1b is the SMI port"},
        {"0x0-0xffff", "0x3f8-0x3ff is the system console (console in [system])"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        bad_ports(rows[i].ports, rows[i].what);
    memset(&platform, 0, sizeof(platform));
    good(A "ports=0x1800,0x40b,0xa19\n");
}

static void test_ports_of_others(void **state) {
    (void)state;
    bad("[system]\nconsole=0x1000\n" A "ports=0xfff,0x1007\n",
        "c:7: ports = 0x1007: 0x1000-0x1007 is the system console (console in [system])\n");
    bad("[system]\nconsole=none\n" A "console=vuart\nports=0x3f8\n",
        "c:8: ports = 0x3f8: 0x3f8-0x3ff is the partition's own console = vuart\n");
    good("[system]\nconsole=none\n" A "ports=0x3f8\n" B("2\nconsole=vuart\n"));
    bad(A "ports=0x100,0x300-0x30f,0x308,0x320\n" B("2\nports=0x310,0x307-0x309,0x100\n"),
        "c:5: ports = 0x308: 0x300-0x30f is given to partition a in line 5\n"
        "c:10: ports = 0x307-0x309: 0x300-0x30f is given to partition a in line 5\n"
        "c:10: ports = 0x100: 0x100 is given to partition a in line 5\n");
}

static void bad_mmio(const char *mmio, const char *what) {
    char text[256], log[256];

    snprintf(text, sizeof(text), "%smmio=%s\n", A, mmio);
    snprintf(log, sizeof(log), "c:5: mmio = %s: %s\n", mmio, what);
    bad(text, log);
}

static void test_machine_windows(void **state) {
    (void)state;
    bad_mmio("0x3ffffffff000+8K", "0x400000000000+4128768G is beyond the addresses of this CPU");
    bad_mmio("0xfec00000+4K", "0xfec00000+4K is the I/O APIC");
    bad_mmio("0xfec10000+64K", "0xfec10000+4K is an I/O APIC");
    bad_mmio("0xfeef0000+64K", "0xfee00000+1M is the local APICs and interrupt messages");
    bad_mmio("0xe0000+4K", "0xc0000+256K is the partition's ACPI tables");
    bad_mmio("0x9f000+8K", "0x0+640K is the partition's own memory");
    bad_mmio("0x7ff000+4K", "0x100000+7M is the partition's own memory");
    bad_mmio("0x800000+4K", "0x100000+2046M is memory of this machine, not a device");
    bad_mmio("0x7ff00000+4K", "0x7ff00000+1M is memory of this machine, not a device");
    bad_mmio("0xfed00000+8K", "0xfed00000+4K is the HPET");
    bad_mmio("0xb0100000+4K", "0xb0100000+255M is PCI configuration space");
    bad_mmio("0xfed91000+4K", "0xfed90000+8K is a DMA remapping unit");
    platform.reset_reg = (struct acpi_address){SPACE_MEMORY, 0xfe000804};
    bad_mmio("0xfe000000+4K", "0xfe000000+4K is the reset register");
    platform.sleep_control = (struct acpi_address){SPACE_MEMORY, 0xfe001208};
    bad_mmio("0xfe000000+8K", "0xfe000000+4K is the reset register");
    bad_mmio("0xfe001000+4K", "0xfe001000+4K is power management");
    platform.lapic = hpa(0xfd000000);
    bad_mmio("0xfd000000+4K", "0xfd000000+4K is the local APIC");
    bad("[system]\nconsole=mmio32:0xfe032fe8\n" A "mmio=0xfe032000+4K,0xfe033000+4K\n",
        "c:7: mmio = 0xfe032000+4K: 0xfe032fe8+32 is the system console (console in [system])\n"
        "c:7: mmio = 0xfe033000+4K: 0xfe032fe8+32 is the system console (console in [system])\n");
    good("[system]\nconsole=mmio32:0xfe032000\n" A "ports=0x3f8-0x3ff\nmmio=0xfe033000+4K\n");
    boot.screen = (struct framebuffer){hpa(0xc0000000), 5120, 1280, 800, 32, FRAMEBUFFER_RGB};
    bad_mmio("0xc03e7000+4K", "0xc0000000+4000K is the system console's screen (screen in [system])");
    good(A "mmio=0xc03e8000+4K\n");
    good("[system]\nscreen=no\n" A "mmio=0xc0000000+4000K\n");
    memset(&platform, 0, sizeof(platform));
    memset(&boot, 0, sizeof(boot));
    good(A "mmio=0x800000+4K,0xb0100000+4K,0xfed00000+4K,0xfe000000+4K,0xfec10000+4K\n");
    bad_mmio("0x3ffffffff000+8K", "0x400000000000+4128768G is beyond the addresses of this CPU");
    bad_mmio("0xfec00000+4K", "0xfec00000+4K is the I/O APIC");
}

static void test_windows_of_others(void **state) {
    (void)state;
    bad(A "mmio=0xc0000000+8K,0xd0000000+4K,0xc0001000+4K\n" B("2\nmmio=0xc0000000+4K,0xc0002000+4K\n"),
        "c:5: mmio = 0xc0001000+4K: 0xc0000000+8K is given to partition a in line 5\n"
        "c:10: mmio = 0xc0000000+4K: 0xc0000000+8K is given to partition a in line 5\n");
    bad("[partition a]\nkernel=k\nmemory=3200M\ncpus=1\nmmio=0x200000000+4K,0x107fff000+4K,"
        "0xbffff000+4K\n",
        "c:5: mmio = 0x107fff000+4K: 0x100000000+128M is the partition's own memory\n"
        "c:5: mmio = 0xbffff000+4K: 0x100000+3071M is the partition's own memory\n");
    good("[partition a]\nkernel=k\nmemory=3G identity\ncpus=1\nmmio=0x80000000+4K\n");
}

/* At a desk nothing is known of the machine. */
static void test_no_machine(void **state) {
    (void)state;
    memset(&boot, 0, sizeof(boot));
    memset(&platform, 0, sizeof(platform));
    machine = (struct machine){0, 0, &boot, &platform, 0};
    good("[partition a]\nkernel=x\ninitrd=y\nmemory=65536G\ncpus=0-63\n");
    bad(A B("1\n"), "c:8: cpus: core 1 cannot be shared with partition a (line 4)\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_good, setup),
        cmocka_unit_test_setup(test_absent_registers, setup),
        cmocka_unit_test_setup(test_nothing_to_run, setup),
        cmocka_unit_test_setup(test_cores, setup),
        cmocka_unit_test_setup(test_threads_of_a_core, setup),
        cmocka_unit_test_setup(test_modules, setup),
        cmocka_unit_test_setup(test_module_list_is_cut, setup),
        cmocka_unit_test_setup(test_memory, setup),
        cmocka_unit_test_setup(test_load, setup),
        cmocka_unit_test_setup(test_load_borders, setup),
        cmocka_unit_test_setup(test_load_knows_no_modules, setup),
        cmocka_unit_test_setup(test_load_at_reset, setup),
        cmocka_unit_test_setup(test_machine_ports, setup),
        cmocka_unit_test_setup(test_ports_of_others, setup),
        cmocka_unit_test_setup(test_machine_windows, setup),
        cmocka_unit_test_setup(test_windows_of_others, setup),
        cmocka_unit_test_setup(test_no_machine, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
