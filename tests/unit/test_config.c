/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config.h"
#include "tests/unit/host_stub.h"
#include "tests/unit/unit.h"

static struct system_config config;
static struct report report;

static enum err parse_bytes(const char *text, size_t length) {
    char *exact = malloc(length + (length == 0)); /* so that ASan sees a read beyond the end */
    enum err err;

    memcpy(exact, text, length);
    stub_log_clear();
    report = (struct report){"c", 0};
    memset(&config, 0xa5, sizeof(config));
    err = config_parse(exact, length, &config, &report);
    free(exact);
    return err;
}

#define P        "[partition a]\n"
#define REQUIRED "cpus=1\nmemory=2M\nkernel=k\n"

static void good(const char *text) {
    enum err err = parse_bytes(text, strlen(text));

    assert_string_equal(stub_log, "");
    assert_int_equal(err, ERR_OK);
    assert_int_equal(report.errors, 0);
}

static void bad(const char *text, const char *log) {
    assert_int_equal(parse_bytes(text, strlen(text)), ERR_MALFORMED);
    assert_string_equal(stub_log, log);
}

/* One key of an otherwise good partition, in line 5: the value as shown, and what is wrong. */
static void bad_key(const char *key_value, const char *log) {
    char text[2048], expected[512];

    snprintf(text, sizeof(text), "%s%s%s\n", P, REQUIRED, key_value);
    if (strncmp(key_value, "cpus", 4) == 0 || strncmp(key_value, "memory", 6) == 0 ||
        strncmp(key_value, "kernel", 6) == 0) {
        snprintf(text, sizeof(text), "%s\n%s%s%s\n%s", P, key_value[0] != 'c' ? "cpus=1\n" : "\n",
                 key_value[0] != 'm' ? "memory=2M\n" : "\n", key_value,
                 key_value[0] != 'k' ? "kernel=k\n" : "");
    }
    snprintf(expected, sizeof(expected), "c:5: %s\n", log);
    bad(text, expected);
}

#define CPUS_FORM "; must be a list of cores from 0 to 63, each once, such as 0 or 1-2,4"
#define MEMORY_FORM                                                                                          \
    "; must be 2M to 65536G in steps of 4K, such as 512M, perhaps with the word identity behind it"
#define MODULE_FORM "; must be a GRUB module's name, at most 31 characters, without its directory"
#define CPUS        ": must be a list of cores from 0 to 63, each once, such as 0 or 1-2,4"
#define MEMORY      ": must be 2M to 65536G in steps of 4K, such as 512M, perhaps with the word identity behind it"
#define MODULE      ": must be a GRUB module's name, at most 31 characters, without its directory"
#define MODULES     MODULE ", and perhaps 127 of arguments; at most 8 times"
#define CONSOLE                                                                                              \
    ": must be none, com1, com2, com3, com4, an I/O port such as 0x3f8, or mmio:ADDRESS or mmio32:ADDRESS"
#define LOAD  ": must be reset, an address from 1M to 4G, or a multiple of 16 below 1M"
#define PORTS ": must be a list of at most 8 I/O ports such as 0x2f8-0x2ff,0x378"
#define MMIO  ": must be a list of at most 8 address+size such as 0xfebf0000+64K, in pages of 4K below 2^48"

static void test_the_example(void **state) {
    const struct partition_config *p = config.partitions;

    (void)state;
    good("[system]\n"
         "console = com1                    # com1..com4, an I/O port, or none\n"
         "[partition linux]\n"
         "cpus    = 1-2                     # core numbers\n"
         "memory  = 512M\n"
         "kernel  = vmlinuz                 # names of GRUB modules\n"
         "initrd  = initrd.img\n"
         "cmdline = console=ttyS0\n"
         "console = vuart\n"
         "on_exit = restart                 # restart, stop\n"
         "[partition rt]\n"
         "cpus    = 3\n"
         "memory  = 16M\n"
         "kernel  = jitter.elf\n");
    assert_int_equal(config.console.address, 0x3f8);
    assert_int_equal(config.line_of[KEY_SYSTEM_CONSOLE], 2);
    assert_int_equal(config.nr_partitions, 2);
    assert_string_equal(p[0].name, "linux");
    assert_int_equal(p[0].line, 3);
    assert_int_equal(p[0].cpus, 6);
    assert_int_equal(p[0].line_of[KEY_CPUS], 4);
    assert_int_equal(p[0].memory_bytes, 512u << 20);
    assert_false(p[0].identity);
    assert_string_equal(p[0].kernel, "vmlinuz");
    assert_string_equal(p[0].initrd, "initrd.img");
    assert_string_equal(p[0].cmdline, "console=ttyS0");
    assert_true(p[0].vuart);
    assert_int_equal(p[0].on_exit, EXIT_RESTART);
    assert_string_equal(p[1].name, "rt");
    assert_int_equal(p[1].cpus, 8);
    assert_int_equal(p[1].memory_bytes, 16u << 20);
    assert_string_equal(p[1].initrd, "");
    assert_false(p[1].vuart);
    assert_int_equal(p[1].on_exit, EXIT_STOP);
    assert_int_equal(p[1].line_of[KEY_CONSOLE], 0);
}

static void test_defaults(void **state) {
    (void)state;
    good("");
    assert_int_equal(config.console.address, 0x3f8);
    assert_int_equal(config.line_of[KEY_SYSTEM_CONSOLE], 0);
    assert_true(config.poll_input);
    assert_false(config.smt_shared);
    assert_true(config.screen);
    assert_int_equal(config.when_done, DONE_HALT);
    assert_int_equal(config.on_panic, DONE_HALT);
    assert_int_equal(config.nr_partitions, 0);
    good(P REQUIRED);
    assert_false(config.partitions[0].vuart);
    assert_false(config.partitions[0].has_load);
    assert_false(config.partitions[0].identity);
    assert_int_equal(config.partitions[0].bad_access, BAD_ACCESS_IGNORE);
    assert_int_equal(config.partitions[0].on_exit, EXIT_STOP);
    assert_int_equal(config.partitions[0].ports.count + config.partitions[0].mmio.count, 0);
    assert_string_equal(config.partitions[0].cmdline, "");
}

static void test_system_values(void **state) {
    (void)state;
    good("[system]\nconsole=com2\nscreen=no\nwhen_done=poweroff\non_panic=reboot\npoll_input=no\nsmt=share");
    assert_int_equal(config.console.address, 0x2f8);
    assert_int_equal(config.line_of[KEY_SCREEN], 3);
    assert_false(config.poll_input);
    assert_true(config.smt_shared);
    assert_false(config.screen);
    assert_int_equal(config.when_done, DONE_POWEROFF);
    assert_int_equal(config.on_panic, DONE_REBOOT);
    good("[system]\nconsole=com3\nscreen=yes\nwhen_done=reboot\npoll_input=yes\nsmt=apart");
    assert_int_equal(config.console.address, 0x3e8);
    assert_int_equal(config.when_done, DONE_REBOOT);
    good("[system]\nconsole=com4\nwhen_done=halt\n");
    assert_int_equal(config.console.address, 0x2e8);
    good("[system]\nconsole=none");
    assert_int_equal(config.console.address, 0);
    good("[system]\nconsole=0xfff8");
    assert_int_equal(config.console.address, 0xfff8);
    assert_int_equal(config.console.stride, 0);
    good("[system]\nconsole=mmio: 0xfe030000");
    assert_int_equal(config.console.address, 0xfe030000);
    assert_int_equal(config.console.stride, 1);
    good("[system]\nconsole=mmio32:0x400fe032000");
    assert_int_equal(config.console.address, 0x400fe032000);
    assert_int_equal(config.console.stride, 4);
}

static void test_partition_values(void **state) {
    const struct partition_config *p = config.partitions;

    (void)state;
    good(P "cpus = 0, 3-4 ,63\nmemory = 0x1000k identity\nkernel = flat.bin\nload = 64K\n"
           "bad_access = stop\nconsole = none\non_exit = stop\n"
           "ports = 0x2f8-0x2ff, 888\nmmio = 0xfebf0000+64K ,0xfd000000 + 1M\n");
    assert_true(p->cpus == (1 | 3 << 3 | UINT64_C(1) << 63));
    assert_int_equal(p->memory_bytes, 4u << 20);
    assert_true(p->identity);
    assert_true(p->has_load);
    assert_false(p->load_at_reset);
    assert_int_equal(p->load, 0x10000);
    assert_int_equal(p->bad_access, BAD_ACCESS_STOP);
    assert_false(p->vuart);
    assert_int_equal(p->ports.count, 2);
    assert_int_equal(p->ports.at[0].base, 0x2f8);
    assert_int_equal(p->ports.at[0].size, 8);
    assert_int_equal(p->ports.at[1].base, 888);
    assert_int_equal(p->ports.at[1].size, 1);
    assert_int_equal(p->mmio.count, 2);
    assert_int_equal(p->mmio.at[0].base, 0xfebf0000);
    assert_int_equal(p->mmio.at[0].size, 0x10000);
    assert_int_equal(p->mmio.at[1].base, 0xfd000000);
    assert_int_equal(p->mmio.at[1].size, 0x100000);
    good("[partition b]\n" REQUIRED "load=0xffffffff\n"
         "[partition c]\n" REQUIRED "load=0x100001\n");
    good(P "kernel=k\ncpus=0-63\nmemory=65536G\nmmio=0xfffffffff000+4K\n"
           "ports=0-0xffff,1-1,2,3,4,5,6,7\nbad_access=ignore\nload=reset");
    assert_true(p->cpus == UINT64_MAX);
    assert_true(p->memory_bytes == UINT64_C(1) << 46);
    assert_int_equal(p->ports.count, 8);
    assert_true(p->has_load);
    assert_true(p->load_at_reset);
}

static void test_modules(void **state) {
    const struct partition_config *p = config.partitions;

    (void)state;
    good(P REQUIRED
         "module = m\nmodule = m  a=b,\"c\"  d # not this\nmodule=0123456789012345678901234567890");
    assert_int_equal(p->nr_modules, 3);
    assert_string_equal(p->modules[0].name, "m");
    assert_string_equal(p->modules[0].args, "");
    assert_int_equal(p->modules[0].line, 5);
    assert_string_equal(p->modules[1].name, "m");
    assert_string_equal(p->modules[1].args, "a=b,\"c\"  d");
    assert_int_equal(p->modules[1].line, 6);
    assert_int_equal(strlen(p->modules[2].name), 31);
    good(P REQUIRED "[partition b]\n" REQUIRED "module=x\n");
    assert_int_equal(p[0].nr_modules, 0);
    assert_int_equal(p[1].nr_modules, 1);
    good(P REQUIRED "module=a\nmodule=b\nmodule=c\nmodule=d\nmodule=e\nmodule=f\nmodule=g\nmodule=h\n");
    bad(P REQUIRED
        "module=a\nmodule=b\nmodule=c\nmodule=d\nmodule=e\nmodule=f\nmodule=g\nmodule=h\nmodule=i\n",
        "c:13: module = i" MODULES "\n");
}

static void test_text_rules(void **state) {
    const struct partition_config *p = config.partitions;

    (void)state;
    good("\xef\xbb\xbf# a comment = [x\r\n\r\n \t# another\r\n\t[ partition\ta ] # third\r\n"
         "\tcpus\t=\t1\t# fourth\r\nmemory = 2M\tidentity\r\nkernel=k\r\n"
         "cmdline = a#b  c=d\te=[f] # gone # too");
    assert_string_equal(p->name, "a");
    assert_int_equal(p->cpus, 2);
    assert_true(p->identity);
    assert_string_equal(p->cmdline, "a#b  c=d\te=[f]");
    assert_int_equal(p->line_of[KEY_CMDLINE], 8);
    good(P REQUIRED "cmdline = gr\xc3\xbc\xc3\x9f");
    assert_string_equal(p->cmdline, "gr\xc3\xbc\xc3\x9f");
    good("[system]\n[partition azAZ09-_azAZ09-]\n" REQUIRED "[partition mullion2]\ncpus=0\n"
         "memory=2M\nkernel=k");
    assert_int_equal(config.nr_partitions, 2);
}

static void test_not_text(void **state) {
    static char big[CONFIG_MAX_BYTES + 1];

    (void)state;
    assert_int_equal(parse_bytes("#\n#\0\n", 5), ERR_MALFORMED);
    assert_string_equal(stub_log, "c:2: byte 0x00 is not text; is this the right file?\n");
    bad("#\x1b[2J", "c:1: byte 0x1b is not text; is this the right file?\n");
    bad("\x01\nx", "c:1: byte 0x01 is not text; is this the right file?\n");
    bad("#\r#", "c:1: byte 0x0d is not text; is this the right file?\n");
    bad("#\x7f", "c:1: byte 0x7f is not text; is this the right file?\n");
    bad("#\r#\n", "c:1: byte 0x0d is not text; is this the right file?\n");
    good("#\r");
    good("\xef\xbb\xbf");
    bad("\xef\xbb", "c:1: \xef\xbb: neither a [section] nor key = value nor a # comment\n");
    memset(big, 'x', sizeof(big));
    assert_int_equal(parse_bytes(big, sizeof(big)), ERR_MALFORMED);
    assert_string_equal(stub_log, "c: 65537 bytes; a configuration has at most 65536\n");
    big[0] = '#';
    assert_int_equal(parse_bytes(big, sizeof(big) - 1), ERR_OK);
}

static void test_bad_lines(void **state) {
    (void)state;
    bad("cpus = 1\n", "c:1: cpus = 1: before any section; put it under [system] or [partition NAME]\n");
    bad("[system]\ncpus\n", "c:2: cpus: neither a [section] nor key = value nor a # comment\n");
    bad("[sytem]\nscreen = no\n[partition]x\n[system\n[system x]\n[]",
        "c:1: [sytem]: unknown section; there are [system] and [partition NAME]\n"
        "c:3: [partition]x: unknown section; there are [system] and [partition NAME]\n"
        "c:4: [system: unknown section; there are [system] and [partition NAME]\n"
        "c:5: [system x]: unknown section; there are [system] and [partition NAME]\n"
        "c:6: []: unknown section; there are [system] and [partition NAME]\n");
    bad("[system]\nscren = no\nmemory = 1\n= 3\n",
        "c:2: scren = no: unknown key; this section has console, when_done, on_panic, poll_input, "
        "smt, "
        "screen\n"
        "c:3: memory = 1: unknown key; this section has console, when_done, on_panic, poll_input, "
        "smt, "
        "screen\n"
        "c:4:  = 3: unknown key; this section has console, when_done, on_panic, poll_input, smt, "
        "screen\n");
    bad_key("mem = 5", "mem = 5: unknown key; this section has cpus, memory, kernel, initrd, "
                       "module, cmdline, console, on_exit, bad_access, load, ports, mmio");
    bad("[system]\nscreen = no\nscreen = no\n", "c:3: screen: already given in line 2\n");
    bad("[system]\n[system]\nscreen = no\n[system]\nscreen = no\n", "c:5: screen: already given in line 3\n");
    bad("[system]\nscreen =\n", "c:2: screen = : must be no or yes\n");
    bad("[system]\nwhen_done = # halt\n", "c:2: when_done = : must be halt, poweroff or reboot\n");
}

static void test_bad_sections(void **state) {
    char text[4096] = "";
    size_t used = 0;

    (void)state;
    bad("[partition]\n" REQUIRED,
        "c:1: [partition ]: must be named by 1 to 15 letters, digits, - and _; not mullion\n");
    bad("[partition a b]\n" REQUIRED "on_exit = x\n",
        "c:1: [partition a b]: must be named by 1 to 15 letters, digits, - and _; not mullion\n"
        "c:5: on_exit = x: must be stop or restart\n");
    bad("[partition abcdefghijklmnop]\n" REQUIRED, "c:1: [partition abcdefghijklmnop]: must be named by 1 to "
                                                   "15 letters, digits, - and _; not mullion\n");
    bad("[partition mullion]\n" REQUIRED,
        "c:1: [partition mullion]: must be named by 1 to 15 letters, digits, - and _; not mullion\n");
    bad(P REQUIRED P REQUIRED, "c:5: [partition a]: the name is taken in line 1; choose another\n");
    bad("[partition a]\n[partition b]\ncpus = x\n", "c:3: cpus = x" CPUS "\n"
                                                    "c:1: [partition a]: cpus is missing" CPUS_FORM "\n"
                                                    "c:1: [partition a]: memory is missing" MEMORY_FORM "\n"
                                                    "c:1: [partition a]: kernel is missing" MODULE_FORM "\n"
                                                    "c:2: [partition b]: memory is missing" MEMORY_FORM "\n"
                                                    "c:2: [partition b]: kernel is missing" MODULE_FORM "\n");
    for (char name = 'a'; name < 'a' + 17; name++) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "[partition %c]\n%s", name,
                                 name == 'q' ? "x = y\n" : REQUIRED);
    }
    bad(text, "c:65: at most 16 partitions\n");
}

static void test_bad_required_values(void **state) {
    static const char *const cpus[] = {"x", "1,", ",1", "1-", "-1", "3-1", "1 2", "0x", "1-2-3"};
    static const char *const memory[] = {"x",
                                         "M",
                                         "512MB",
                                         "512 M",
                                         "5M identical",
                                         "5M identity x",
                                         "-5M",
                                         "17179869184G",
                                         "0x10000000000000000",
                                         "1M",
                                         "0",
                                         "2097153",
                                         "3000K1",
                                         "65537G",
                                         "2049K"};
    char text[128], log[256];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cpus); i++) {
        snprintf(text, sizeof(text), "cpus = %s", cpus[i]);
        snprintf(log, sizeof(log), "cpus = %s" CPUS, cpus[i]);
        bad_key(text, log);
    }
    bad_key("cpus = 0-64", "cpus = 0-64" CPUS);
    bad_key("cpus = 1-3,2", "cpus = 1-3,2" CPUS);
    for (size_t i = 0; i < ARRAY_SIZE(memory); i++) {
        snprintf(text, sizeof(text), "memory = %s", memory[i]);
        snprintf(log, sizeof(log), "memory = %s" MEMORY, memory[i]);
        bad_key(text, log);
    }
    bad_key("kernel = /boot/vmlinuz", "kernel = /boot/vmlinuz" MODULE);
    bad_key("kernel = a b", "kernel = a b" MODULE);
    bad_key("kernel = 01234567890123456789012345678901", "kernel = 01234567890123456789012345678901" MODULE);
    bad_key("initrd = a\tb", "initrd = a\tb" MODULE);
    bad_key("module = a/b c", "module = a/b c" MODULES);
    bad_key("module = ", "module = " MODULES);
}

static void test_bad_other_values(void **state) {
    char text[1200], whole[1300];

    (void)state;
    bad("[system]\nconsole = com5\n", "c:2: console = com5" CONSOLE "\n");
    bad("[system]\nconsole = 0\n", "c:2: console = 0" CONSOLE "\n");
    bad("[system]\nconsole = or\n", "c:2: console = or" CONSOLE "\n");
    bad("[system]\nconsole = port\n", "c:2: console = port" CONSOLE "\n");
    bad("[system]\nconsole = mmio16:0xfe030000\n", "c:2: console = mmio16:0xfe030000" CONSOLE "\n");
    bad("[system]\nconsole = mmio:0xfe030014\n", "c:2: console = mmio:0xfe030014" CONSOLE "\n");
    bad("[system]\nconsole = mmio:0x1000000000000\n", "c:2: console = mmio:0x1000000000000" CONSOLE "\n");
    bad("[system]\nconsole = mmio:0\n", "c:2: console = mmio:0" CONSOLE "\n");
    bad("[system]\nconsole = 0x3f8:\n", "c:2: console = 0x3f8:" CONSOLE "\n");
    bad("[system]\nconsole = 0xfff9\n", "c:2: console = 0xfff9" CONSOLE "\n");
    bad("[system]\nwhen_done = halt,\n", "c:2: when_done = halt,: must be halt, poweroff or reboot\n");
    bad("[system]\nsmt = 1\npoll_input = on\nwhen_done = stop\nscreen = vga\n",
        "c:2: smt = 1: must be apart or share\n"
        "c:3: poll_input = on: must be no or yes\n"
        "c:4: when_done = stop: must be halt, poweroff or reboot\n"
        "c:5: screen = vga: must be no or yes\n");
    bad_key("console = com1", "console = com1: must be none or vuart");
    bad_key("console = 0123456789012345678901234567890123456789",
            "console = 0123456789012345678901234567890123456789: must be none or vuart");
    bad_key("console = 01234567890123456789012345678901234567890",
            "console = 0123456789012345678901234567890123456789...: must be none or vuart");
    bad_key("on_exit = halt", "on_exit = halt: must be stop or restart");
    bad_key("bad_access = no", "bad_access = no: must be ignore or stop");
    bad_key("load = here", "load = here" LOAD);
    bad_key("load = reset now", "load = reset now" LOAD);
    bad_key("load = 4G", "load = 4G" LOAD);
    bad_key("load = 0xfffff", "load = 0xfffff" LOAD);
    bad_key("cmdline =", "cmdline = : must be text of at most 1023 bytes; without any, leave the line out");
    bad_key("ports = 0x10000", "ports = 0x10000" PORTS);
    bad_key("ports = 2-1", "ports = 2-1" PORTS);
    bad_key("ports = 1,,2", "ports = 1,,2" PORTS);
    bad_key("ports = 1,2,3,4,5,6,7,8,9", "ports = 1,2,3,4,5,6,7,8,9" PORTS);
    bad_key("mmio = 0x1000", "mmio = 0x1000" MMIO);
    bad_key("mmio = 0x1000+", "mmio = 0x1000+" MMIO);
    bad_key("mmio = 0x1001+4K", "mmio = 0x1001+4K" MMIO);
    bad_key("mmio = 0x1000+2K", "mmio = 0x1000+2K" MMIO);
    bad_key("mmio = 0x1000+0", "mmio = 0x1000+0" MMIO);
    bad_key("mmio = 0xfffffffff000+8K", "mmio = 0xfffffffff000+8K" MMIO);
    bad_key("mmio = 0xfffffffffffff000+4K", "mmio = 0xfffffffffffff000+4K" MMIO);
    bad_key("mmio = 0+4K,4K+4K,8K+4K,12K+4K,16K+4K,20K+4K,24K+4K,28K+4K,32K+4K",
            "mmio = 0+4K,4K+4K,8K+4K,12K+4K,16K+4K,20K+4K,24..." MMIO);
    memset(text, 'x', sizeof(text));
    memcpy(text, "cmdline = ", 10);
    text[10 + 1023] = '\0';
    snprintf(whole, sizeof(whole), P REQUIRED "%s\n", text);
    good(whole);
    assert_int_equal(strlen(config.partitions[0].cmdline), 1023);
    text[10 + 1023] = 'x';
    text[10 + 1024] = '\0';
    snprintf(whole, sizeof(whole), P REQUIRED "%s\n", text);
    snprintf(whole, sizeof(whole), P REQUIRED "module = m %.127s\n", text + 10);
    good(whole);
    assert_int_equal(strlen(config.partitions[0].modules[0].args), 127);
    snprintf(whole, sizeof(whole), P REQUIRED "module = m %.128s\n", text + 10);
    bad(whole, "c:5: module = m xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..." MODULES "\n");
    snprintf(whole, sizeof(whole), P REQUIRED "%s\n", text);
    bad(whole, "c:5: cmdline = xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...: must be text of at most "
               "1023 bytes; without any, leave the line out\n");
}

static void test_report_goes_on(void **state) {
    (void)state;
    stub_log_clear();
    report.errors = 3; /* of an earlier input: not this one's fault */
    assert_int_equal(config_parse("", 0, &config, &report), ERR_OK);
    assert_int_equal(config_parse("x", 1, &config, &report), ERR_MALFORMED);
    assert_int_equal(report.errors, 4);
}

static void test_print(void **state) {
    (void)state;
    good(P "cpus=0,2-3,5\nmemory=2052K identity\nkernel=k\n[partition b]\ncpus=1\nmemory=3G\n"
           "kernel=k\ninitrd=i\nconsole=vuart\non_exit=restart\nbad_access=stop\nports=1,2\n"
           "mmio=0+4K\n[partition d]\ncpus=4\nmemory=2M\nkernel=k\nload=reset\nmodule=m x\nmodule=n\n"
           "[partition e]\ncpus=5\nmemory=2M\nkernel=k\nload=64K\n");
    stub_log_clear();
    config_print(&config);
    assert_string_equal(stub_log, "partition a: cores 0,2-3,5, 2052K identity, kernel k\n"
                                  "partition b: core 1, 3G, kernel k, initrd i, console, 2 port ranges, 1 "
                                  "device windows, restarts, strict\n"
                                  "partition d: core 4, 2M, kernel k at reset, 2 modules\n"
                                  "partition e: core 5, 2M, kernel k at 0x10000\n");
    assert_string_equal(config_print_cores(BIT(7)).s, "core 7");
    assert_string_equal(config_print_cores(UINT64_MAX).s, "cores 0-63");
    assert_int_equal(strlen(config_print_cores(UINT64_C(0xaaaaaaaaaaaaaaaa)).s), 6 + 32 * 3 - 1 - 5);
    assert_string_equal(config_print_size(0).s, "0");
    assert_string_equal(config_print_size(1025).s, "1025");
    assert_string_equal(config_print_size(UINT64_C(1) << 46).s, "65536G");
    assert_string_equal(config_print_ports((struct range){0x60, 1}).s, "0x60");
    assert_string_equal(config_print_ports((struct range){0x60, 2}).s, "0x60-0x61");
    assert_string_equal(config_print_mmio((struct range){0xfee00000, 4096}).s, "0xfee00000+4K");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_example),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_system_values),
        cmocka_unit_test(test_partition_values),
        cmocka_unit_test(test_modules),
        cmocka_unit_test(test_text_rules),
        cmocka_unit_test(test_not_text),
        cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_bad_sections),
        cmocka_unit_test(test_bad_required_values),
        cmocka_unit_test(test_bad_other_values),
        cmocka_unit_test(test_report_goes_on),
        cmocka_unit_test(test_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
