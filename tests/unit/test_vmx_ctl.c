/* SPDX-License-Identifier: Apache-2.0 */
/* Rows C01-C38, K01-K07, K12, G01-G04, M03, M04, M10, M11, M14, V015: control words worked out by hand
 * for recorded and for made-up machines, and every refusal by its words. */
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

static void M03_M04_M10_M11_V015_words_of_recorded_machines(void **state) {
    static const struct {
        const char *machine;
        uint32_t secondary;
    } runs[] = {
        {"corei7_ivy_bridge_3770k", 0x000000ea}, /* RDTSCP, WBINVD */
        {"corei7_haswell_4770", 0x000010ea},     /* + INVPCID */
        {"corei7_skylake_x", 0x001010ea},        /* + XSAVES */
        {"corei7_icelake_u", 0x001010ea},        {"tigerlake", 0x001010ea},
    };

    char log[256];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
        machine_load(runs[i].machine);
        assert_int_equal(resolve(), ERR_OK);
        snprintf(log, sizeof(log),
                 "VMX controls: pin 0000003e, primary b6006d7a, secondary %08x, tertiary 00000000, "
                 "exit 003f6fff, entry 0000d1ff; EPT and VPID %lx\n",
                 runs[i].secondary, caps.raw[CAP_EPT_VPID]);
        assert_string_equal(stub_log, log);
        assert_int_equal(controls.word[VMX_PIN], 0x0000003e);
        assert_int_equal(controls.word[VMX_PRIMARY], 0xb6006d7a);
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

static void M03_M04_M10_M11_words_of_a_machine_that_can_all(void **state) {
    (void)state;
    load_able_machine();
    assert_int_equal(resolve(), ERR_OK);
    assert_int_equal(controls.word[VMX_PIN], 0x0000003e);
    assert_int_equal(controls.word[VMX_PRIMARY], 0xb6026d7a);
    assert_int_equal(controls.word[VMX_SECONDARY], 0xd41890ea);
    assert_int_equal(controls.word[VMX_TERTIARY], 0x00000001);
    assert_int_equal(controls.word[VMX_EXIT], 0x013f6fff);
    assert_int_equal(controls.word[VMX_ENTRY], 0x0002d1ff);
}

/* What each control is on a machine that can do everything. */
static const struct control_row {
    const char *name;
    enum vmx_word word;
    uint64_t bits, value;
} control_rows[] = {
    {"C01 HLT is native", VMX_PRIMARY, BIT(7), 0},
    {"C02 C03 MOV to and from CR8 is native", VMX_PRIMARY, BIT(19) | BIT(20), 0},
    {"C04 C05 MOV to and from CR3 is native", VMX_PRIMARY, BIT(15) | BIT(16), 0},
    {"C06 ports go by the I/O bitmaps", VMX_PRIMARY, BIT(24) | BIT(25), BIT(25)},
    {"C07 MOV DR is native", VMX_PRIMARY, BIT(23), 0},
    {"C08 the TSC has an offset", VMX_PRIMARY, BIT(3) | BIT(12), BIT(3)},
    {"C09 C10 MWAIT and MONITOR exit", VMX_PRIMARY, BIT(10) | BIT(29), BIT(10) | BIT(29)},
    {"C11 INVLPG is native", VMX_PRIMARY, BIT(9), 0},
    {"C12 RDPMC exits", VMX_PRIMARY, BIT(11), BIT(11)},
    {"C13 K01 no TPR shadow: CR8 is the real TPR", VMX_PRIMARY, BIT(21), 0},
    {"C14 MSRs go by the MSR bitmap", VMX_PRIMARY, BIT(28), BIT(28)},
    {"C15 secondary and tertiary controls are on", VMX_PRIMARY, BIT(17) | BIT(31), BIT(17) | BIT(31)},
    {"C16 C17 C26 C27 K02 the local APIC is the real one", VMX_SECONDARY, BIT(0) | BIT(4) | BIT(8) | BIT(9),
     0},
    {"C18 X30 WBINVD exits", VMX_SECONDARY, BIT(6), BIT(6)},
    {"C19 VPID is on", VMX_SECONDARY, BIT(5), BIT(5)},
    {"C20 EPT is on", VMX_SECONDARY, BIT(1), BIT(1)},
    {"C21 unrestricted guest is on", VMX_SECONDARY, BIT(7), BIT(7)},
    {"C22 PAUSE is native", VMX_SECONDARY, BIT(10), 0},
    {"C23 descriptor tables are native", VMX_SECONDARY, BIT(2), 0},
    {"C24 RDTSCP is native", VMX_SECONDARY, BIT(3), BIT(3)},
    {"C25 INVPCID is native", VMX_SECONDARY, BIT(12), BIT(12)},
    {"C28 no shadow VMCS", VMX_SECONDARY, BIT(14), 0},
    {"C29 XSAVES is native", VMX_SECONDARY, BIT(20), BIT(20)},
    {"C30 C31 RDSEED and RDRAND are native", VMX_SECONDARY, BIT(11) | BIT(16), 0},
    {"C32 no page-modification log", VMX_SECONDARY, BIT(17), 0},
    {"C33 no TSC scaling", VMX_SECONDARY, BIT(25), 0},
    {"C34 TPAUSE and UMWAIT are native", VMX_SECONDARY, BIT(26), BIT(26)},
    {"C35 no guest-physical trace output", VMX_SECONDARY, BIT(24), 0},
    {"C36 VMX is concealed from PT", VMX_SECONDARY, BIT(19), BIT(19)},
    {"C36 VMX is concealed from PT on exits", VMX_EXIT, BIT(24), BIT(24)},
    {"C36 VMX is concealed from PT on entries", VMX_ENTRY, BIT(17), BIT(17)},
    {"C37 no VM functions", VMX_SECONDARY, BIT(13), 0},
    {"C38 X51 bus locks exit", VMX_SECONDARY, BIT(30), BIT(30)},
    {"X52 endless instructions exit", VMX_SECONDARY, BIT(31), BIT(31)},
    {"X50 Y13 ENCLS and ENCLV exit", VMX_SECONDARY, BIT(15) | BIT(28), BIT(15) | BIT(28)},
    {"Y12 LOADIWKEY exits", VMX_TERTIARY, BIT(0), BIT(0)},
    {"Y13 Y14 PCONFIG and ENQCMD have no control on", VMX_SECONDARY, BIT(21) | BIT(27), 0},
    {"Y16 no MSR lists, no user MSRs", VMX_TERTIARY, ~BIT(0), 0},
    {"K05 EFER and PAT are saved and loaded on exits", VMX_EXIT, BIT(18) | BIT(19) | BIT(20) | BIT(21),
     BIT(18) | BIT(19) | BIT(20) | BIT(21)},
    {"K05 V026 EFER and PAT are loaded on entries", VMX_ENTRY, BIT(14) | BIT(15), BIT(14) | BIT(15)},
    {"K06 MPX state is not switched", VMX_EXIT, BIT(23), 0},
};

static void check_control(void **state) {
    const struct control_row *row = *state;

    load_able_machine();
    assert_int_equal(resolve(), ERR_OK);
    assert_int_equal(controls.word[row->word] & row->bits, row->value);
}

/* Bits that software does not know keep their default even where the TRUE MSR lets them be 0; bits
 * that it knows do not. */
static void M04_unknown_bits_keep_their_default(void **state) {
    (void)state;
    load_able_machine();
    set_allowed(0x48d, 0, UINT32_MAX);
    set_allowed(0x48e, 0, UINT32_MAX);
    set_allowed(0x48f, 0, UINT32_MAX);
    set_allowed(0x490, 0, UINT32_MAX);
    assert_int_equal(resolve(), ERR_OK);
    assert_int_equal(controls.word[VMX_PIN], 0x0000003e);
    assert_int_equal(controls.word[VMX_PRIMARY], 0xb6026d7a);
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

static void G01_G04_refused_models(void **state) {
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

static void G02_K12_feature_control(void **state) {
    static const char off[] = "VMX enabled (firmware set-up: enable \"Intel Virtualization "
                              "Technology (VT-x)\", and not just for Trusted Execution)";
    static const struct {
        uint64_t left, set; /* by the firmware; by us */
        bool runs;
    } rows[] = {
        {0, 5, true},  /* unlocked: ours to set */
        {1, 1, false}, /* locked off */
        {2, 7, true},  /* unlocked, inside SMX only */
        {3, 3, false}, /* locked, inside SMX only */
        {4, 5, true},  /* on, the lock forgotten: VMXON would fault */
        {5, 5, true},  /* locked on */
        {7, 7, true},  /* locked on, inside SMX too */
        {0xff03, 0xff03, false},
        {0xff07, 0xff07, true},
        {0x60000, 0x60005, true}, /* SGX is left as it is */
        {0x160001, 0x160001, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        machine_load("corei7_haswell_4770");
        *machine_msr(0x3a) = rows[i].left;
        assert_int_equal(vmx_feature_control(rows[i].left), rows[i].set);
        if (rows[i].runs)
            assert_int_equal(resolve(), ERR_OK);
        else
            assert_misses(off);
    }
}

static void K04_K07_M14_other_requirements(void **state) {
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
    *machine_msr(0x480) &= ~BIT(54);
    assert_misses("INS and OUTS told in full (IA32_VMX_BASIC bit 54)");
    machine_load("corei7_haswell_4770");
    *machine_msr(0x485) &= ~BIT(5);
    assert_misses("EFER.LMA saved on VM exits (IA32_VMX_MISC bit 5)");
    machine_load("corei7_haswell_4770");
    *machine_msr(0x486) |= 1 << 1;
    assert_misses("CR0.MP, EM and TS as the guest likes (IA32_VMX_CR0_FIXED0 bits 1, 2, 3)");
    machine_load("corei7_haswell_4770");
    machine_cpuid_regs(0x80000000, 0)[0] = 0x80000000; /* leaf 80000001H is not there at all */
    assert_misses("NX (CPUID.80000001H:EDX bit 20)");
}

/* Each control that has to be there, or has to be settable at times, taken away alone: one line, which
 * names it. All others may be missing. */
static void C06_C09_C12_C14_C15_C20_C21_K01_K02_K05_each_control_alone(void **state) {
    static const struct {
        uint32_t msr, needed;
        const char *word;
    } words[VMX_WORDS] = {
        {0x48d, 0x00000028, "pin"}, {0x48e, 0xb2400c0c, "primary"}, {0x48b, 0x000000a2, "secondary"},
        {0x492, 0, "tertiary"},     {0x48f, 0x003c0204, "exit"},    {0x490, 0x0000c204, "entry"},
    };
    char end[40];

    (void)state;
    for (unsigned w = 0; w < VMX_WORDS; w++) {
        for (unsigned bit = 0; bit < 32; bit++) {
            load_able_machine();
            *machine_msr(words[w].msr) &= ~BIT(w == VMX_TERTIARY ? bit : 32 + bit);
            if ((words[w].needed >> bit & 1) == 0) {
                assert_int_equal(resolve(), ERR_OK);
                assert_int_equal(controls.word[w] >> bit & 1,
                                 *machine_msr(words[w].msr) >> bit & 1 & (w != VMX_TERTIARY));
                continue;
            }
            assert_int_equal(resolve(), ERR_UNSUPPORTED);
            snprintf(end, sizeof(end), " (%s control %u)\n", words[w].word, bit);
            assert_memory_equal(stub_log, "this CPU cannot run Mullion: missing: ", 38);
            assert_ptr_equal(strchr(stub_log, '\n') + 1, stub_log + strlen(stub_log)); /* one line */
            assert_string_equal(stub_log + strlen(stub_log) - strlen(end), end);
        }
    }
}

/* K03: without the TRUE MSRs, CR3 exits cannot be cleared. */
static void C04_C05_C11_K03_cr3_exits_have_to_be_clearable(void **state) {
    (void)state;
    machine_load("corei7_haswell_4770");
    *machine_msr(0x480) &= ~BIT(55);
    assert_misses("a way to clear exits on INVLPG and CR3 (primary control 15)\n"
                  "a way to clear exits on INVLPG and CR3 (primary control 16)");
}

/* Everything forced to 1: every CLEAR and LATER control is a miss, and no line is cut. */
static void G04_everything_forced(void **state) {
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
    assert_int_equal(misses, 3 + 12 + 18 + 11 + 10 + 3);
}

static void G04_nothing_allowed(void **state) {
    (void)state;
    machine_load("corei7_skylake_x");
    for (uint32_t i = 0x481; i <= 0x484; i++) {
        set_allowed(i, 0, 0);
        set_allowed(i + 0x48d - 0x481, 0, 0);
    }
    assert_int_equal(resolve(), ERR_UNSUPPORTED);
    assert_non_null(strstr(stub_log, "activate secondary controls (primary control 31)"));
    assert_null(strstr(stub_log, "EPT (secondary control 1)")); /* absent because of the line above */
    assert_non_null(strstr(stub_log, "interrupt-window and NMI-window exiting (primary control 22)"));
    assert_non_null(strstr(stub_log, "virtual NMIs (pin control 5)"));
    assert_non_null(strstr(stub_log, "host address-space size (exit control 9)"));
    assert_null(strstr(stub_log, "INVPCID")); /* wanted, not needed */
    assert_null(strstr(stub_log, "a way to clear"));
    assert_null(strstr(stub_log, "VPID_CAP")); /* absent because EPT and VPID are */
}

static void G04_questions_of_other_code(void **state) {
    (void)state;
    machine_load("corei7_ivy_bridge_3770k");
    assert_int_equal(resolve(), ERR_OK);
    assert_true(vmx_can_set(&caps, VMX_PIN, PIN_PREEMPTION_TIMER));
    assert_false(vmx_can_set(&caps, VMX_PIN, PIN_PREEMPTION_TIMER | 1 << 7));
    assert_false(vmx_can_set(&caps, VMX_SECONDARY, SECONDARY_XSAVES));
    assert_int_equal(vmx_preemption_shift(&caps), 0);
    assert_int_equal(vmx_phys_bits(&caps), 40);
}

static void G03_cores_are_alike(void **state) {
    struct vmx_caps other;

    (void)state;
    machine_load("corei7_haswell_4770");
    assert_int_equal(resolve(), ERR_OK);
    *machine_msr(0x3a) = 0;                           /* unlocked there: fine */
    machine_cpuid_regs(1, 0)[2] ^= UINT32_C(1) << 27; /* OSXSAVE */
    machine_cpuid_regs(1, 0)[1] ^= UINT32_C(3) << 24; /* APIC id */
    vmx_caps_read(&other, machine_cpuid, machine_rdmsr);
    assert_true(vmx_caps_equal(&caps, &other, 3));
    assert_null(strstr(stub_log, "not like"));
    stub_log_clear();

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
        cmocka_unit_test(M03_M04_M10_M11_V015_words_of_recorded_machines),
        cmocka_unit_test(M03_M04_M10_M11_words_of_a_machine_that_can_all),
        cmocka_unit_test(M04_unknown_bits_keep_their_default),
        cmocka_unit_test(G01_G04_refused_models),
        cmocka_unit_test(G02_K12_feature_control),
        cmocka_unit_test(K04_K07_M14_other_requirements),
        cmocka_unit_test(C04_C05_C11_K03_cr3_exits_have_to_be_clearable),
        cmocka_unit_test(C06_C09_C12_C14_C15_C20_C21_K01_K02_K05_each_control_alone),
        cmocka_unit_test(G04_everything_forced),
        cmocka_unit_test(G04_nothing_allowed),
        cmocka_unit_test(G04_questions_of_other_code),
        cmocka_unit_test(G03_cores_are_alike),
    };
    struct CMUnitTest rows[ARRAY_SIZE(control_rows)];

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        rows[i] =
            (struct CMUnitTest){control_rows[i].name, check_control, NULL, NULL, (void *)&control_rows[i]};
    return cmocka_run_group_tests(rows, NULL, NULL) + cmocka_run_group_tests(tests, NULL, NULL);
}
