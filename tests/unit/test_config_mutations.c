/* SPDX-License-Identifier: Apache-2.0 */
/* Good configs with one thing wrong: each token and each line deleted, doubled, exchanged, and each token
 * replaced by all that could stand there. What is accepted is built and proven (built.h); what is refused
 * must be refused where the mistake is. */
#include <ctype.h>

#include "tests/unit/built.h"

#include "tests/unit/unit.h"

#define TEXT_MAX 4096

static const char *const good[] = {
    "guests/mullion.conf",

    "[system]\nconsole = com2\nwhen_done = reboot\non_panic = poweroff\npoll_input = no\nscreen = no\n\n"
    "[partition io]\ncpus = 0-1\nmemory = 64M identity\nkernel = vmlinuz\ninitrd = initrd.img\n"
    "ports = 0x378-0x37f,0x300\nmmio = 0xfd000000+64K,0xfe000000+4K\non_exit = restart\n\n"
    "[partition rt]\ncpus = 2-3\nmemory = 16M\nkernel = jitter.elf\nbad_access = stop\nconsole = vuart\n"
    "ports = 0x2e8-0x2ef\nmmio = 0xfd800000+8K\n",

    "[system]\nconsole = none\nsmt = share\n"
    "[partition flat]\ncpus = 0\nmemory = 4M\nkernel = flat.bin\nload = 0x8000\n"
    "[partition rom]\ncpus = 1\nmemory = 8M\nkernel = rom.bin\nload = reset\n"
    "[partition high]\ncpus = 2,6\nmemory = 8M\nkernel = flat.bin\nload = 2M\nbad_access = ignore\n",

    "# terse\n[system]\nconsole=mmio32:0xfe030000\n"
    "[partition mb]\ncpus=0,1,4-5\nmemory=0x4000000\nkernel=k.elf\ninitrd=initrd.img\n"
    "module=jitter.elf first second\nmodule=flat.bin\ncmdline=a b#c # d\nmmio=0xfe031000+4K\nports=0x2f8\n"
    "[partition b_2]\r\ncpus=6\r\nmemory=4096K\r\nkernel=k.elf\r\nconsole=none\r\non_exit=stop\r\n",

    "[partition a]\ncpus = 0-1\nmemory = 1G\nkernel = vmlinuz\nconsole = vuart\n"
    "[partition b]\ncpus = 2-3\nmemory = 512M\nkernel = vmlinuz\nconsole = vuart\nmmio = 0xfd000000+2M\n"
    "[partition c]\ncpus = 4-7\nmemory = 256M identity\nkernel = k.elf\nports = 0x300-0x307\n",
};

/* What may come in place of a token: each kind of word there is, and numbers at the edge of what is right. */
static const char *const words[] = {
    "system",
    "partition",
    "mullion",
    "rt",
    "cpus",
    "memory",
    "kernel",
    "console",
    "load",
    "mmio",
    "nonsense",
    "yes",
    "no",
    "none",
    "vuart",
    "com1",
    "mmio:0xfd000000",
    "halt",
    "reboot",
    "share",
    "stop",
    "restart",
    "identity",
    "reset",
    "vmlinuz",
    "flat.bin",
    "a/b",
    "=",
    "[",
    "]",
    "#",
    "# x",
    ",",
    "-",
    "+",
    ":",
    ".",
    "\t",
    "\n",
    "\r",
    "\x01",
    "\xc3\xa9",
    "\x7f",
    "0",
    "1",
    "7",
    "8",
    "63",
    "64",
    "-1",
    "0x",
    "0xg",
    "1.5",
    "4K",
    "1M",
    "2M",
    "3G",
    "4G",
    "65536G",
    "65537G",
    "16777216T",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "0xfffffffffffff000",
    "99999999999999999999999",
    "0x3f8",
    "0xcf8",
    "0xffff",
    "0x10000",
    "0xfee00000",
    "0xfec00000",
    "0xfd000000",
    "0x378",
    "2-3",
    "0xffffffff0000+64K",
    "0xffffffff0000+128K",
    "0-63",
    "3-2",
    "thirty-one-characters-are-too-long-for-it",
};

static struct {
    char text[TEXT_MAX];
    struct system_config config;
} original;

/* One mutant, and what counts as its wrong place: lines, and the words by which an error speaks of them. */
static struct {
    char text[2 * TEXT_MAX];
    unsigned first, last;    /* lines that were touched */
    unsigned section_end;    /* if one of them begins a section: where that ends */
    char names[4][TEXT_MAX]; /* keys or partitions of these lines, before and after */
} mutant;

static struct { unsigned made, accepted, built, refused, named; } count;

static struct system_config config;
static struct machine machine;

static void make_machine(void) {
    static const char *const modules[] = {"mullion.conf", "vmlinuz", "initrd.img", "jitter.elf",
                                          "flat.bin",     "rom.bin", "k.elf"};

    built_machine(8, GIB(2));
    built.platform.smt_shift = 1;
    built.platform.pm1a_port = 0x604;
    built.platform.hpet = hpa(0xfed00000);
    for (unsigned i = 0; i < ARRAY_SIZE(modules); i++)
        built_module(modules[i], 4000 + 70000 * (i % 3));
}

/* ---- Is the error where the mistake is? ------------------------------------------------------ */

static const char *line_at(const char *text, unsigned number) {
    while (--number > 0 && (text = strchr(text, '\n')) != NULL)
        text++;
    return text;
}

static bool begins_section(const char *text, unsigned number) {
    const char *line = line_at(text, number);

    return line != NULL && line[strspn(line, " \t")] == '[';
}

/* The key of a line, or the name in a section's brackets. */
static void name_of(const char *text, unsigned number, char *to) {
    const char *line = line_at(text, number);
    size_t bytes = 0;

    *to = '\0';
    if (line == NULL)
        return;
    line += strspn(line, " \t");
    if (strncmp(line, "[partition", 10) == 0)
        line += 10 + strspn(line + 10, " \t");
    bytes = strcspn(line, "=] \t\r\n");
    memcpy(to, line, bytes);
    to[bytes] = '\0';
}

static bool has_word(const char *text, const char *word) {
    size_t bytes = strlen(word);

    for (const char *at = text; bytes > 0 && (at = strstr(at, word)) != NULL; at++)
        if ((at == text || !isalnum((unsigned char)at[-1])) && !isalnum((unsigned char)at[bytes]))
            return true;
    return false;
}

/* It is in such a line, says so of another that it clashes with, or is about a key or a partition of it. */
static bool points(const char *error) {
    unsigned at = 0;
    char line[24];

    if (sscanf(error, CONFIG_NAME ":%u:", &at) == 1 && at >= mutant.first && at <= mutant.last) {
        count.named++;
        return true;
    }
    for (unsigned n = mutant.first; n <= mutant.last; n++) {
        snprintf(line, sizeof(line), "line %u", n);
        if (has_word(error, line))
            return true;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(mutant.names); i++)
        if (has_word(error, mutant.names[i]))
            return true;
    return at > mutant.last && at < mutant.section_end;
}

static bool refused_rightly(void) {
    static char log[STUB_LOG_BYTES];

    strcpy(log, stub_log);
    for (char *error = strtok(log, "\n"); error != NULL; error = strtok(NULL, "\n"))
        if (points(error))
            return true;
    return false;
}

/* ---- One mutant ------------------------------------------------------------------------------ */

static bool read_config(const char *text, struct system_config *to) {
    struct report report = {CONFIG_NAME, 0};

    stub_log_clear();
    return config_parse(text, strlen(text), to, &report) == ERR_OK &&
           config_check(to, &machine, &report) == ERR_OK;
}

/* Without what tables do not depend on. */
static const struct system_config *bare(const struct system_config *from) {
    static struct system_config to[2];
    static unsigned which;
    struct system_config *c = &to[which++ % 2];

    *c = *from;
    memset(c->line_of, 0, sizeof(c->line_of));
    for (unsigned i = 0; i < c->nr_partitions; i++) {
        struct partition_config *p = &c->partitions[i];

        p->line = 0;
        memset(p->line_of, 0, sizeof(p->line_of));
        memset(p->cmdline, 0, sizeof(p->cmdline));
        for (unsigned k = 0; k < p->nr_modules; k++)
            p->modules[k].line = 0;
    }
    return c;
}

/* False: it turned out not to fit, which was said. */
static bool build(void) {
    stub_log_clear();
    make_machine();
    if (built_build(&config) != ERR_OK)
        return false;
    if (!built_prove())
        fail_msg("%s\n%s", mutant.text, built.offence);
    return true;
}

/* first and last are set. `gone`: the line that was there is not there any more. */
static void judge(bool gone) {
    unsigned end = mutant.last;

    count.made++;
    name_of(original.text, mutant.first, mutant.names[0]);
    name_of(original.text, mutant.last, mutant.names[1]);
    name_of(gone ? "" : mutant.text, mutant.first, mutant.names[2]);
    name_of(gone ? "" : mutant.text, mutant.last, mutant.names[3]);
    mutant.section_end = 0;
    if (begins_section(original.text, mutant.first) || begins_section(original.text, mutant.last) ||
        begins_section(mutant.text, mutant.first) || begins_section(mutant.text, mutant.last)) {
        do
            end++;
        while (line_at(mutant.text, end) != NULL && !begins_section(mutant.text, end));
        mutant.section_end = end;
    }
    if (read_config(mutant.text, &config)) {
        bool same = memcmp(bare(&config), bare(&original.config), sizeof(config)) == 0;

        if (same || build()) {
            count.accepted++;
            count.built += !same;
            return;
        }
    }
    count.refused++;
    if (!refused_rightly())
        fail_msg("lines %u to %u of\n%s\n%s", mutant.first, mutant.last, mutant.text, stub_log);
}

static unsigned newlines(const char *text, size_t bytes) {
    unsigned n = 0;

    for (size_t i = 0; i < bytes; i++)
        n += text[i] == '\n';
    return n;
}

/* The original with [from, to) replaced. */
static void replace(const char *from, const char *to, const char *by, bool gone) {
    int before = (int)(from - original.text);
    unsigned old = newlines(from, (size_t)(to - from)), new = newlines(by, strlen(by));

    snprintf(mutant.text, sizeof(mutant.text), "%.*s%s%s", before, original.text, by, to);
    mutant.first = 1 + newlines(original.text, (size_t)before);
    mutant.last = mutant.first + (old > new ? old : new);
    judge(gone);
}

/* ---- All of them ----------------------------------------------------------------------------- */

/* The token that begins at or after *at: a word or a sign. */
static bool next_token(const char **at, const char **end) {
    *at += strspn(*at, " \t\r\n");
    *end = *at;
    while (isalnum((unsigned char)**end) || **end == '_' || **end == '.')
        (*end)++;
    *end += *end == *at && **at != '\0';
    return **at != '\0';
}

static void near_numbers(const char *at, const char *end) {
    static const char *const forms[] = {"%lu%.*s", "0x%lx%.*s"};
    char *unit, by[64];
    uint64_t n = strtoull(at, &unit, 0);
    const uint64_t near[] = {n - 1, n + 1, n * 2, n * 1024, 0 - n};

    for (unsigned i = 0; i < ARRAY_SIZE(near) && isdigit((unsigned char)*at); i++) {
        snprintf(by, sizeof(by), forms[at[1] == 'x'], near[i], (int)(end - unit), unit);
        replace(at, end, by, false);
    }
}

static void mutate_token(const char *at, const char *end) {
    const char *next = end, *next_end;
    char by[TEXT_MAX];
    int bytes = (int)(end - at);

    replace(at, end, "", false);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(by, sizeof(by), "%.*s%s%.*s", bytes, at, i == 0 ? "" : " ", bytes, at);
        replace(at, end, by, false);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
        replace(at, end, words[i], false);
    near_numbers(at, end);
    if (next_token(&next, &next_end)) {
        snprintf(by, sizeof(by), "%.*s%.*s%.*s", (int)(next_end - next), next, (int)(next - end), end, bytes,
                 at);
        replace(at, next_end, by, false);
    }
}

static void mutate_line(const char *at, const char *end) {
    const char *next_end = strchr(end, '\n');
    char by[TEXT_MAX];
    int bytes = (int)(end - at);

    replace(at, end, "", true);
    snprintf(by, sizeof(by), "%.*s%.*s", bytes, at, bytes, at);
    replace(at, end, by, false);
    if (next_end != NULL) {
        snprintf(by, sizeof(by), "%.*s%.*s", (int)(next_end + 1 - end), end, bytes, at);
        replace(at, next_end + 1, by, false);
    }
}

/* All that the other partitions leave, and a page more. Of the first, tables need some. */
static void most_memory(const struct partition_config *p) {
    const char *at = strchr(line_at(original.text, p->line_of[KEY_MEMORY]), '=') + 1, *end;
    uint64_t left = align_down(machine.free_bytes, MIB(1));
    char by[32];

    for (unsigned i = 0; i < original.config.nr_partitions; i++) {
        const struct partition_config *q = &original.config.partitions[i];

        left -= (q == p ? 0 : q->memory_bytes) + (q->identity ? MIB(1) : 0);
    }
    (void)next_token(&at, &end);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(by, sizeof(by), "%luK", (left >> 10) + 4 * i);
        replace(at, end, by, false);
        assert_non_null(strstr(stub_log, i == 0 ? "and its tables do not fit" : "this machine has"));
    }
}

static void all_mutants(void **state) {
    const char *at = original.text, *end;

    (void)state;
    memset(&count, 0, sizeof(count));
    assert_true(build());
    for (; next_token(&at, &end); at = end)
        mutate_token(at, end);
    for (at = original.text; (end = strchr(at, '\n')) != NULL; at = end + 1)
        mutate_line(at, end + 1);
    for (unsigned i = 0; i < original.config.nr_partitions; i++)
        most_memory(&original.config.partitions[i]);
    print_message("%u mutants: %u accepted, %u of them with other tables, all proven; %u refused, %u in the "
                  "very line\n",
                  count.made, count.accepted, count.built, count.refused, count.named);
    assert_true(count.built > 50 && count.refused > 1000 && count.named > count.refused * 8 / 10);
}

static int setup(void **state) {
    const char *text = *state;
    FILE *file = text[0] == 'g' ? fopen(text, "rb") : NULL;

    make_machine();
    assert_int_equal(built_host(), ERR_OK);
    machine = (struct machine){BIT(built.platform.nr_cpus) - 1, frames_free_bytes(&built.frames), &built.info,
                               &built.platform, BIT(vmx_phys_bits(&built.caps))};
    if (file != NULL) {
        original.text[fread(original.text, 1, sizeof(original.text) - 1, file)] = '\0';
        fclose(file);
    } else {
        strcpy(original.text, text);
    }
    assert_true(read_config(original.text, &original.config));
    config = original.config;
    return 0;
}

int main(void) {
    struct CMUnitTest tests[ARRAY_SIZE(good)];

    for (unsigned i = 0; i < ARRAY_SIZE(good); i++)
        tests[i] = (struct CMUnitTest)cmocka_unit_test_prestate_setup_teardown(all_mutants, setup, NULL,
                                                                               (void *)(uintptr_t)good[i]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
