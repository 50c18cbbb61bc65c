/* SPDX-License-Identifier: Apache-2.0 */
/* Rows C01-C38, K01-K05, M03, M04, M10, M11, M14: control words worked out by hand for recorded
 * machines, and every refusal by its words. */
#include <string.h>

#include "core/vmx_ctl.h"
#include "tests/unit/host_stub.h"
#include "tests/unit/machine.h"
#include "tests/unit/unit.h"

static struct vmx_caps caps;
static struct vmx_controls controls;

static enum err resolve(void) {
    stub_log_clear();
    vmx_caps_read(&caps, machine_cpuid, machine_rdmsr);
    return vmx_ctl_resolve(&caps, &controls);
}

static void set_allowed(uint32_t msr, uint32_t must_be_1, uint32_t may_be_1) {
    *machine_msr(msr) = (uint64_t)may_be_1 << 32 | must_be_1;
}

static void test_words(void **state) {
    static const struct {
        const char *machine;
        uint32_t secondary;
    } runs[] = {
        {"corei7_ivy_bridge_3770k", 0x000000ea}, /* RDTSCP, WBINVD */
        {"corei7_haswell_4770", 0x000010ea},     /* + INVPCID */
        {"corei7_skylake_x", 0x001010ea},        /* + XSAVES */
        {"corei7_icelake_u", 0x001010ea},        {"tigerlake", 0x001010ea},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
        machine_load(runs[i].machine);
        assert_int_equal(resolve(), ERR_OK);
        assert_string_equal(stub_log, "");
        assert_int_equal(controls.word[VMX_PIN], 0x0000003e);
        assert_int_equal(controls.word[VMX_PRIMARY], 0xb6006d72);
        assert_int_equal(controls.word[VMX_SECONDARY], runs[i].secondary);
        assert_int_equal(controls.word[VMX_TERTIARY], 0);
        assert_int_equal(controls.word[VMX_EXIT], 0x003f6fff);
        assert_int_equal(controls.word[VMX_ENTRY], 0x0000d1ff);
    }
}

/* A CPU that can do everything shows each row of the table: one bit more or less is seen here. */
static void load_able_machine(void) {
    static const uint32_t words[] = {0x481, 0x482, 0x483, 0x484, 0x48d, 0x48e, 0x48f, 0x490};

    machine_load("corei7_skylake_x");
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        *machine_msr(words[i]) |= UINT64_C(0xffffffff) << 32;
    *machine_msr(0x48b) = UINT64_C(0xffffffff) << 32;
    machine.msr[machine.nr_msr].index = 0x492;
    machine.msr[machine.nr_msr++].value = UINT64_MAX;
}

static void test_able_machine(void **state) {
    (void)state;
    load_able_machine();
    assert_int_equal(resolve(), ERR_OK);
    assert_int_equal(controls.word[VMX_PIN], 0x0000003e);
    assert_int_equal(controls.word[VMX_PRIMARY], 0xb6026d72);
    assert_int_equal(controls.word[VMX_SECONDARY], 0x141890ea);
    assert_int_equal(controls.word[VMX_TERTIARY], 0x00000001);
    assert_int_equal(controls.word[VMX_EXIT], 0x013f6fff);
    assert_int_equal(controls.word[VMX_ENTRY], 0x0002d1ff);
}

/* Bits that software does not know keep their default even where the TRUE MSR lets them be 0; bits
 * that it knows do not. */
static void test_default1(void **state) {
    (void)state;
    load_able_machine();
    set_allowed(0x48d, 0, UINT32_MAX);
    set_allowed(0x48e, 0, UINT32_MAX);
    set_allowed(0x48f, 0, UINT32_MAX);
    set_allowed(0x490, 0, UINT32_MAX);
    assert_int_equal(resolve(), ERR_OK);
    assert_int_equal(controls.word[VMX_PIN], 0x0000003e);
    assert_int_equal(controls.word[VMX_PRIMARY], 0xb6026d72);
    assert_int_equal(controls.word[VMX_EXIT], 0x013f6fff);
    assert_int_equal(controls.word[VMX_ENTRY], 0x0002d1ff);

    set_allowed(0x48d, 1 << 30, UINT32_MAX); /* reserved today, forced: accepted */
    assert_int_equal(resolve(), ERR_OK);
    assert_int_equal(controls.word[VMX_PIN], 0x4000003e);
}

/* `names` are one a line of the log. */
static void assert_misses(const char *names) {
    char text[1024] = "";

    assert_int_equal(resolve(), ERR_UNSUPPORTED);
    for (const char *at = names, *end; *at != '\0'; at = *end == '\0' ? end : end + 1) {
        end = at + strcspn(at, "\n");
        snprintf(text + strlen(text), sizeof(text) - strlen(text),
                 "this CPU cannot run Mullion: missing: %.*s\n", (int)(end - at), at);
    }
    assert_string_equal(stub_log, text);
    for (unsigned word = 0; word < VMX_WORDS; word++)
        assert_int_equal(controls.word[word], 0);
}

static void test_refused_models(void **state) {
    (void)state;
    machine_load("p4_prescott_celeron_336"); /* no VMX MSR is there to be read */
    assert_misses("VMX (CPUID.1:ECX bit 5)\nx2APIC (CPUID.1:ECX bit 21)");
    machine_load("ryzen");
    assert_misses("an Intel CPU (CPUID vendor GenuineIntel)\nVMX (CPUID.1:ECX bit 5)\n"
                  "x2APIC (CPUID.1:ECX bit 21)");
    machine_load("corei5_lynnfield_750");
    assert_misses("x2APIC (CPUID.1:ECX bit 21)\nunrestricted guest (secondary control 7)");
    machine_load("corei7_sandy_bridge_2600k");
    assert_misses("x2APIC (CPUID.1:ECX bit 21)");
    machine_load("core2_penryn_t9600");
    assert_misses("x2APIC (CPUID.1:ECX bit 21)\nEPT (secondary control 1)\nVPID (secondary control 5)\n"
                  "unrestricted guest (secondary control 7)\nsave and load IA32_PAT (exit control 18)\n"
                  "save and load IA32_PAT (exit control 19)\nsave and load IA32_EFER (exit control 20)\n"
                  "save and load IA32_EFER (exit control 21)\n"
                  "load IA32_PAT and IA32_EFER (entry control 14)\n"
                  "load IA32_PAT and IA32_EFER (entry control 15)");
}

static void test_feature_control(void **state) {
    static const char off[] = "VMX enabled (firmware set-up: enable \"Intel Virtualization "
                              "Technology (VT-x)\")";

    (void)state;
    machine_load("corei7_haswell_4770");
    *machine_msr(0x3a) = 1; /* locked off */
    assert_misses(off);
    *machine_msr(0x3a) = 3; /* locked, inside SMX only */
    assert_misses(off);
    *machine_msr(0x3a) = 0; /* unlocked: ours to set */
    assert_int_equal(resolve(), ERR_OK);
    assert_int_equal(vmx_feature_control(0), 5);
    assert_int_equal(vmx_feature_control(0x60000), 0x60005);
    assert_int_equal(vmx_feature_control(1), 1);
    assert_int_equal(vmx_feature_control(0xff07), 0xff07);
}

static void test_other_requirements(void **state) {
    static const unsigned ept[] = {6, 14, 16, 20, 25, 26, 32, 41, 42};
    static const char *const names[] = {
        "EPT 4-level walk, write-back and 2 MiB pages (IA32_VMX_EPT_VPID_CAP bits 6, 14, 16)",
        "INVEPT, single- and all-context (IA32_VMX_EPT_VPID_CAP bits 20, 25, 26)",
        "INVVPID, single- and all-context (IA32_VMX_EPT_VPID_CAP bits 32, 41, 42)",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ept); i++) {
        machine_load("corei7_haswell_4770");
        *machine_msr(0x48c) &= ~BIT(ept[i]);
        assert_misses(names[i / 3]);
    }
    machine_load("corei7_haswell_4770");
    *machine_msr(0x480) = UINT64_C(0x00c010000000002b); /* uncached */
    assert_misses("write-back VMCS (IA32_VMX_BASIC bits 53:50)");
    *machine_msr(0x480) = UINT64_C(0x00d910000000002b);
    assert_misses("64-bit VMCS addresses (IA32_VMX_BASIC bit 48)");
    machine_load("corei7_haswell_4770");
    *machine_msr(0x485) &= ~BIT(5);
    assert_misses("EFER.LMA saved on VM exits (IA32_VMX_MISC bit 5)");
    machine_load("corei7_haswell_4770");
    machine_cpuid_regs(0x80000000, 0)[0] = 0x80000000; /* leaf 80000001H is not there at all */
    assert_misses("NX (CPUID.80000001H:EDX bit 20)");
}

/* K03: without the TRUE MSRs, CR3 exits cannot be cleared. */
static void test_cr3_exits(void **state) {
    (void)state;
    machine_load("corei7_haswell_4770");
    *machine_msr(0x480) &= ~BIT(55);
    assert_misses("a way to clear exits on INVLPG and CR3 (primary control 15)\n"
                  "a way to clear exits on INVLPG and CR3 (primary control 16)");
}

/* Everything forced to 1: every CLEAR and LATER control is a miss, and no line is cut. */
static void test_everything_forced(void **state) {
    unsigned misses = 0;

    (void)state;
    load_able_machine();
    for (uint32_t i = 0x48d; i <= 0x490; i++)
        set_allowed(i, UINT32_MAX, UINT32_MAX);
    *machine_msr(0x48b) = UINT64_MAX;
    assert_int_equal(resolve(), ERR_UNSUPPORTED);
    for (char *line = strtok(stub_log, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        assert_in_range(strlen(line), 1, 189);
        assert_null(strstr(line, "..."));
        for (const char *at = line; (at = strchr(at, '(')) != NULL; at++)
            misses++;
    }
    /* CLEAR of pin, primary, secondary, exit, entry; LATER */
    assert_int_equal(misses, 3 + 13 + 20 + 11 + 10 + 3);
}

static void test_nothing_allowed(void **state) {
    (void)state;
    machine_load("corei7_skylake_x");
    for (uint32_t i = 0x481; i <= 0x484; i++) {
        set_allowed(i, 0, 0);
        set_allowed(i + 0x48d - 0x481, 0, 0);
    }
    assert_int_equal(resolve(), ERR_UNSUPPORTED);
    assert_non_null(strstr(stub_log, "EPT (secondary control 1)"));
    assert_non_null(strstr(stub_log, "interrupt-window and NMI-window exiting (primary control 22)"));
    assert_non_null(strstr(stub_log, "virtual NMIs (pin control 5)"));
    assert_non_null(strstr(stub_log, "host address-space size (exit control 9)"));
    assert_null(strstr(stub_log, "INVPCID")); /* wanted, not needed */
    assert_null(strstr(stub_log, "a way to clear"));
    assert_null(strstr(stub_log, "VPID_CAP")); /* absent because EPT and VPID are */
}

static void test_can_set(void **state) {
    (void)state;
    machine_load("corei7_ivy_bridge_3770k");
    assert_int_equal(resolve(), ERR_OK);
    assert_true(vmx_can_set(&caps, VMX_PIN, PIN_PREEMPTION_TIMER));
    assert_false(vmx_can_set(&caps, VMX_PIN, PIN_PREEMPTION_TIMER | 1 << 7));
    assert_false(vmx_can_set(&caps, VMX_SECONDARY, SECONDARY_XSAVES));
    assert_int_equal(vmx_revision(&caps), 0x2b);
    assert_int_equal(vmx_preemption_shift(&caps), 0);
    assert_int_equal(vmx_phys_bits(&caps), 40);
    assert_int_equal(vmx_cr_fixed(&caps).cr0_fixed0, 0x80000021);
    assert_int_equal(vmx_cr_fixed(&caps).cr4_fixed1, 0x1727ff);
    assert_int_equal(vmx_fix(0x10, 0x2000, 0x27ff), 0x2010);
    assert_int_equal(vmx_fix(0x8010, 0x2000, 0x27ff), 0x2010);
}

static void test_equal(void **state) {
    struct vmx_caps other;

    (void)state;
    machine_load("corei7_haswell_4770");
    assert_int_equal(resolve(), ERR_OK);
    *machine_msr(0x3a) = 0;                           /* unlocked there: fine */
    machine_cpuid_regs(1, 0)[2] ^= UINT32_C(1) << 27; /* OSXSAVE */
    machine_cpuid_regs(1, 0)[1] ^= UINT32_C(3) << 24; /* APIC id */
    vmx_caps_read(&other, machine_cpuid, machine_rdmsr);
    assert_true(vmx_caps_equal(&caps, &other, 3));
    assert_string_equal(stub_log, "");

    *machine_msr(0x3a) = 1; /* locked off there */
    *machine_msr(0x48c) ^= BIT(17);
    vmx_caps_read(&other, machine_cpuid, machine_rdmsr);
    assert_false(vmx_caps_equal(&caps, &other, 3));
    assert_string_equal(stub_log,
                        "CPU 3 is not like the boot CPU: IA32_FEATURE_CONTROL is 0x1, there 0x5\n"
                        "CPU 3 is not like the boot CPU: IA32_VMX_EPT_VPID_CAP is 0xf0106314141, there "
                        "0xf0106334141\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),           cmocka_unit_test(test_able_machine),
        cmocka_unit_test(test_default1),        cmocka_unit_test(test_refused_models),
        cmocka_unit_test(test_feature_control), cmocka_unit_test(test_other_requirements),
        cmocka_unit_test(test_cr3_exits),       cmocka_unit_test(test_everything_forced),
        cmocka_unit_test(test_nothing_allowed), cmocka_unit_test(test_can_set),
        cmocka_unit_test(test_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
