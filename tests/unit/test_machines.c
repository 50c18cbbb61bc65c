/* SPDX-License-Identifier: Apache-2.0 */
/* Every file of tests/machines, replayed: what Mullion makes of that machine, against a golden file each. A
 * new one is copied in and its golden file made and read once (tests/unit/golden.h). */
#include <glob.h>

#include "core/frames.h"
#include "core/speculation.h"
#include "core/vmx_ctl.h"
#include "tests/probe/report.h"
#include "tests/unit/golden.h"
#include "tests/unit/host_stub.h"
#include "tests/unit/machine.h"
#include "tests/unit/unit.h"

#define TABLES_AT  0x1000 /* where the ACPI tables and then the modules are put, in one window */
#define MODULES_AT 0x20000
#define MODULE_GAP 0x1000
#define WINDOW     (256 << 20)

static uint8_t *window;
static struct platform platform;
static struct frames frames;
static struct system_config config;

static bool rdmsr(uint32_t index, uint64_t *value) {
    const uint64_t *recorded = machine_msr_if(index);

    if (recorded != NULL)
        *value = *recorded;
    return recorded != NULL;
}

static uint8_t checksum(const uint8_t *at, unsigned bytes) {
    uint8_t sum = 0;

    while (bytes-- > 0)
        sum = (uint8_t)(sum - *at++);
    return sum;
}

static void place_tables(void) {
    uint8_t *rsdt = window, *next = window + 0x100;
    uint32_t at = TABLES_AT, entries = 36;

    memcpy(rsdt, "RSDT", 4);
    for (unsigned i = 0; i < machine.nr_tables; i++, entries += 4) {
        at = TABLES_AT + (uint32_t)(next - window);
        memcpy(rsdt + entries, &at, 4);
        memcpy(next, machine.tables[i].bytes, machine.tables[i].length);
        next += machine.tables[i].length;
    }
    assert_true(next < window + MODULES_AT - TABLES_AT);
    memcpy(rsdt + 4, &entries, 4);
    rsdt[9] = checksum(rsdt, entries);
    at = TABLES_AT;
    memcpy(machine.boot.rsdp, "RSD PTR ", 8);
    memcpy(machine.boot.rsdp + 16, &at, 4);
    machine.boot.rsdp[8] = checksum(machine.boot.rsdp, 20);
    machine.boot.rsdp_bytes = 20;
}

/* Only what their names say they are: the files are not recorded. They may overlap behind their heads. */
static void place_modules(void) {
    for (unsigned i = 0; i < machine.boot.nr_modules; i++) {
        struct module *m = &machine.boot.modules[i];
        uint8_t *at = window + MODULES_AT + i * MODULE_GAP - TABLES_AT;

        m->at = hpa(MODULES_AT + i * MODULE_GAP);
        if (strcmp(m->name, "vmlinuz") == 0)
            memcpy(at + 0x202, "HdrS", 4);
        else if (strstr(m->name, ".elf") != NULL)
            memcpy(at, "\177ELF", 4);
    }
}

static void golden_log(void) {
    golden_add("%s", stub_log);
    stub_log_clear();
}

static void replay_speculation(void) {
    const uint64_t *caps = machine_msr_if(0x10a);
    struct speculation s = speculation_decide(machine_cpuid, caps == NULL ? 0 : *caps);

    golden_add("speculation: open %x, deeds %x, shown %lx\n", s.open, s.deeds, s.arch_capabilities);
}

static void replay_cpu(void) {
    struct vmx_caps caps;
    struct vmx_controls controls;
    bool runs;

    golden_add("SMT shift %u\n", cpuid_smt_shift(machine_cpuid));
    replay_speculation();
    if (machine.nr_msr == 0)
        return;
    vmx_caps_read(&caps, machine_cpuid, machine_rdmsr);
    runs = vmx_ctl_resolve(&caps, &controls) == ERR_OK;
    golden_log();
    if (runs) {
        static const struct cpuid_view view = {.nr_vcpus = 1, .tsc_khz = 1000000, .invariant_tsc = true};
        struct cpuid_view own = view;
        struct cpuid_table table;

        own.secondary = controls.word[VMX_SECONDARY];
        cpuid_build(&table, &own, machine_cpuid);
        golden_add("guest: CPUID.1 %08x %08x, 7 %08x %08x %08x, 80000001H %08x %08x\n",
                   cpuid_static(&table, 1, 0, CPUID_ECX), cpuid_static(&table, 1, 0, CPUID_EDX),
                   cpuid_static(&table, 7, 0, CPUID_EBX), cpuid_static(&table, 7, 0, CPUID_ECX),
                   cpuid_static(&table, 7, 0, CPUID_EDX), cpuid_static(&table, 0x80000001, 0, CPUID_ECX),
                   cpuid_static(&table, 0x80000001, 0, CPUID_EDX));
    }
}

static void replay_platform(void) {
    place_tables();
    assert_int_equal(acpi_parse(&machine.boot, &platform), ERR_OK);
    stub_log_clear(); /* the DSDT is not recorded */
    platform.smt_shift = cpuid_smt_shift(machine_cpuid);
    golden_add("%u CPUs, local APIC %lx, PM timer %x, %u ECAM, HPET %lx\n", platform.nr_cpus,
               platform.lapic.v, platform.pm_timer_port, platform.nr_ecam, platform.hpet.v);
    for (unsigned i = 0; i < platform.nr_cpus; i++)
        golden_add("%s%u", i == 0 ? "APIC ids " : " ", platform.apic_ids[i]);
    for (unsigned i = 0; i < platform.nr_ioapics; i++)
        golden_add("\nI/O APIC %lx from %u", platform.ioapics[i].at.v, platform.ioapics[i].gsi_base);
    golden_add("\n");
}

/* All that may be given out, but for what the hypervisor takes for tables and cores. */
static void replay_memory(void) {
    uint64_t bytes;

    assert_int_equal(frames_init(&frames, machine.boot.memory, machine.boot.nr_memory), ERR_OK);
    assert_int_equal(frames_reserve(&frames, machine.image), ERR_OK);
    for (unsigned i = 0; i < machine.boot.nr_modules; i++)
        assert_int_equal(frames_reserve(&frames, (struct range){machine.boot.modules[i].at.v,
                                                                machine.boot.modules[i].bytes}),
                         ERR_OK);
    bytes = frames_free_bytes(&frames);
    golden_add("%lu KiB free\n", bytes >> 10);
    assert_true(machine.free_bytes <= bytes && bytes - machine.free_bytes < MIB(8));
}

static void replay_draft(void) {
    struct machine facts = {machine.cores, machine.free_bytes, &machine.boot, &platform, 0};
    struct report report = {"draft", 0};
    struct probe_text draft;

    place_modules();
    assert_true(probe_draft(&draft, &facts));
    assert_int_equal(config_parse(draft.s, draft.used, &config, &report), ERR_OK);
    assert_int_equal(config_check(&config, &facts, &report), ERR_OK);
    golden_add("%s", draft.s);
}

/* What was printed is printed again for what was read of it. */
static void replay_report(const char *name) {
    static const char *const words[] = {"cpuid ", "msr ", "memory ", "acpi "};
    unsigned counts[ARRAY_SIZE(words)] = {0};
    char path[128], text[512];
    FILE *file;

    probe_log_cpu(machine_cpuid, rdmsr);
    probe_log_firmware(&machine.boot);
    snprintf(path, sizeof(path), "tests/machines/%s.txt", name);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(text, sizeof(text), file) != NULL) {
        const char *line = machine_line(text);

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
            if (strncmp(line, words[i], strlen(words[i])) == 0 && strstr(stub_log, line) == NULL)
                fail_msg("%s: not printed again: %s", path, line);
            else
                counts[i] += strncmp(line, words[i], strlen(words[i])) == 0;
    }
    fclose(file);
    for (char *at = strtok(stub_log, "\n"); at != NULL; at = strtok(NULL, "\n")) {
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
            counts[i] -= strncmp(at, words[i], strlen(words[i])) == 0;
        if (strncmp(at, "dmar ", 5) == 0)
            golden_add("%s\n", at);
    }
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        assert_int_equal(counts[i], 0);
    stub_log_clear();
}

static void replay(void **state) {
    const char *name = *state;

    machine_load(name);
    memset(&platform, 0, sizeof(platform));
    memset(window, 0, MODULES_AT + MAX_MODULES * MODULE_GAP);
    stub_phys_set(TABLES_AT, window, WINDOW - TABLES_AT);
    stub_log_clear();
    golden_clear();
    replay_cpu();
    if (machine.image.size != 0) { /* recorded by us, and in full */
        replay_memory();
        replay_platform();
        replay_report(name);
        replay_draft();
    }
    golden_check("machine", name);
}

int main(void) {
    static struct CMUnitTest tests[256];
    size_t count = 0;
    int result;
    glob_t files;

    assert_int_equal(glob("tests/machines/*.txt", 0, NULL, &files), 0);
    for (; count < files.gl_pathc && count < ARRAY_SIZE(tests); count++) {
        char *name = strrchr(files.gl_pathv[count], '/') + 1;

        *strrchr(name, '.') = '\0';
        tests[count] = (struct CMUnitTest){name, replay, NULL, NULL, name};
    }
    window = calloc(1, WINDOW);
    result = _cmocka_run_group_tests("machines", tests, count, NULL, NULL);
    free(window);
    globfree(&files);
    return result;
}
