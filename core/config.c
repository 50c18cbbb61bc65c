/* SPDX-License-Identifier: Apache-2.0 */
/* The policy's text: its lines and sections, and what the value of each key looks like. Whether a value fits
 * the machine and the other partitions is not known here: config_check.c. */
#include "core/config.h"

#include "core/guest_layout.h"
#include "core/str.h"

enum section { OUTSIDE, SYSTEM, PARTITION, UNKNOWN };
enum { REQUIRED = 1, LIST = 2, REPEATED = 4 }; /* LIST: parse gets one item of it at a time */

struct parser {
    struct system_config *out;
    struct report *report;
    unsigned line;
    enum section section;
    struct partition_config *partition; /* the last one begun */
    struct text key, value;             /* of this line */
    const struct key_row *row;          /* of this key */
};

struct key_row {
    const char *name;
    enum section section;
    unsigned flags;
    const char *form;                                   /* completes "must be ..." */
    bool (*parse)(struct parser *p, struct text value); /* false: not that form */
    size_t field;                                       /* its offset in the section's struct */
};

/* ---- Values ---------------------------------------------------------------------------------- */

static void *field(const struct parser *p) {
    return (p->row->section == SYSTEM ? (char *)p->out : (char *)p->partition) + p->row->field;
}

/* Which word of the row's form, "halt, poweroff or reboot", it is; -1 = none. */
static int find_word(const struct parser *p, struct text value) {
    struct text form = {p->row->form, str_length(p->row->form)};
    bool more = true;
    for (int index = 0; more; index++) {
        struct text word = text_cut(&form, ' ', &more);
        if (text_is(word, "or"))
            word = text_cut(&form, ' ', &more);
        word.length -= word.at[word.length - 1] == ',';
        if (word.length == value.length && memcmp(word.at, value.at, value.length) == 0)
            return index;
    }
    return -1;
}

static bool parse_word(struct parser *p, struct text value) {
    int index = find_word(p, value);
    if (index >= 0)
        *(uint8_t *)field(p) = (uint8_t)index;
    return index >= 0;
}

static bool parse_system_console(struct parser *p, struct text value) {
    static const uint16_t ports[] = {0, 0x3f8, 0x2f8, 0x3e8, 0x2e8};
    struct uart_place *at = &p->out->console;
    int index = find_word(p, value);
    bool memory;
    at->address = index >= 0 && index < (int)ARRAY_SIZE(ports) ? ports[index] : 0;
    if (at->address != 0 || index == 0)
        return true;
    struct text address = value, kind = text_cut(&address, ':', &memory);
    at->stride = !memory ? 0 : text_is(kind, "mmio32") ? 4 : 1;
    return text_size(memory ? address : kind, &at->address) && at->address != 0 &&
           (memory ? (at->stride == 4 || text_is(kind, "mmio")) && at->address % 8 == 0 &&
                         at->address < CONFIG_MAX_ADDRESS
                   : at->address <= UINT16_MAX - 7); /* a UART has eight */
}

static bool parse_cpus(struct parser *p, struct text value) {
    uint64_t *cpus = field(p), n, last;
    if (!text_span(value, &n, &last) || last >= MAX_CPUS)
        return false;
    for (; n <= last; n++) {
        if ((*cpus & BIT(n)) != 0)
            return false;
        *cpus |= BIT(n);
    }
    return true;
}

static bool parse_memory(struct parser *p, struct text value) {
    uint64_t *bytes = &p->partition->memory_bytes;
    return text_size(text_cut(&value, ' ', &p->partition->identity), bytes) &&
           (!p->partition->identity || text_is(value, "identity")) && *bytes >= GUEST_MIN_BYTES &&
           *bytes <= CONFIG_MAX_MEMORY && *bytes % PAGE_SIZE == 0;
}

static bool copy_name(struct text value, char *name) {
    for (size_t i = 0; i < value.length; i++)
        if (text_blank(value.at[i]) || value.at[i] == '/')
            return false;
    return str_copy(name, MAX_NAME, value.at, value.length);
}

static bool parse_image(struct parser *p, struct text value) {
    return copy_name(value, field(p));
}

static bool parse_module(struct parser *p, struct text value) {
    struct config_module *m = &p->partition->modules[p->partition->nr_modules];
    bool found;
    if (p->partition->nr_modules == CONFIG_MAX_MODULES)
        return false;
    p->partition->nr_modules++;
    m->line = p->line;
    return copy_name(text_cut(&value, ' ', &found), m->name) &&
           str_copy(m->args, MAX_MODULE_ARGS, value.at, value.length);
}

static bool parse_cmdline(struct parser *p, struct text value) {
    return str_copy(field(p), MAX_CMDLINE, value.at, value.length);
}

/* A flat binary starts in real mode below 1 MiB, at CS:0, and in 32-bit mode above. */
static bool parse_load(struct parser *p, struct text value) {
    uint64_t *load = &p->partition->load;
    p->partition->has_load = true;
    p->partition->load_at_reset = text_is(value, "reset");
    return p->partition->load_at_reset ||
           (text_size(value, load) && *load < GIB(4) && (*load >= MIB(1) || *load % 16 == 0));
}

static bool add_window(struct config_windows *windows, struct range window) {
    if (windows->count == CONFIG_MAX_WINDOWS)
        return false;
    windows->at[windows->count++] = window;
    return true;
}

static bool parse_ports(struct parser *p, struct text value) {
    uint64_t first, last;
    return text_span(value, &first, &last) && last <= UINT16_MAX &&
           add_window(field(p), (struct range){first, last - first + 1});
}

static bool parse_mmio(struct parser *p, struct text value) {
    struct range window = {0, 0};
    bool found;
    return text_size(text_cut(&value, '+', &found), &window.base) && text_size(value, &window.size) &&
           (window.base | window.size) % PAGE_SIZE == 0 &&
           range_contains((struct range){0, CONFIG_MAX_ADDRESS}, window) && add_window(field(p), window);
}

#define MODULE_FORM     "a GRUB module's name, at most 31 characters, without its directory"
#define IN_SYSTEM(f)    offsetof(struct system_config, f)
#define IN_PARTITION(f) offsetof(struct partition_config, f)

/* The words of a form are in the order of the field's enum. */
static const struct key_row keys[KEY_COUNT] = {
    [KEY_SYSTEM_CONSOLE] =
        {"console", SYSTEM, 0,
         "none, com1, com2, com3, com4, an I/O port such as 0x3f8, or mmio:ADDRESS or mmio32:ADDRESS",
         parse_system_console, IN_SYSTEM(console)},
    [KEY_WHEN_DONE] = {"when_done", SYSTEM, 0, "halt, poweroff or reboot", parse_word, IN_SYSTEM(when_done)},
    [KEY_ON_PANIC] = {"on_panic", SYSTEM, 0, "halt, poweroff or reboot", parse_word, IN_SYSTEM(on_panic)},
    [KEY_POLL_INPUT] = {"poll_input", SYSTEM, 0, "no or yes", parse_word, IN_SYSTEM(poll_input)},
    [KEY_SMT] = {"smt", SYSTEM, 0, "apart or share", parse_word, IN_SYSTEM(smt_shared)},
    [KEY_SCREEN] = {"screen", SYSTEM, 0, "no or yes", parse_word, IN_SYSTEM(screen)},
    [KEY_CPUS] = {"cpus", PARTITION, REQUIRED | LIST,
                  "a list of cores from 0 to 63, each once, such as 0 or 1-2,4", parse_cpus,
                  IN_PARTITION(cpus)},
    [KEY_MEMORY] = {"memory", PARTITION, REQUIRED,
                    "2M to 65536G in steps of 4K, such as 512M, perhaps with the word identity behind it",
                    parse_memory, IN_PARTITION(memory_bytes)},
    [KEY_KERNEL] = {"kernel", PARTITION, REQUIRED, MODULE_FORM, parse_image, IN_PARTITION(kernel)},
    [KEY_INITRD] = {"initrd", PARTITION, 0, MODULE_FORM, parse_image, IN_PARTITION(initrd)},
    [KEY_MODULE] = {"module", PARTITION, REPEATED,
                    MODULE_FORM ", and perhaps 127 of arguments; at most 8 times", parse_module,
                    IN_PARTITION(modules)},
    [KEY_CMDLINE] = {"cmdline", PARTITION, 0, "text of at most 1023 bytes; without any, leave the line out",
                     parse_cmdline, IN_PARTITION(cmdline)},
    [KEY_CONSOLE] = {"console", PARTITION, 0, "none or vuart", parse_word, IN_PARTITION(vuart)},
    [KEY_ON_EXIT] = {"on_exit", PARTITION, 0, "stop or restart", parse_word, IN_PARTITION(on_exit)},
    [KEY_BAD_ACCESS] = {"bad_access", PARTITION, 0, "ignore or stop", parse_word, IN_PARTITION(bad_access)},
    [KEY_LOAD] = {"load", PARTITION, 0, "reset, an address from 1M to 4G, or a multiple of 16 below 1M",
                  parse_load, IN_PARTITION(load)},
    [KEY_PORTS] = {"ports", PARTITION, LIST, "a list of at most 8 I/O ports such as 0x2f8-0x2ff,0x378",
                   parse_ports, IN_PARTITION(ports)},
    [KEY_MMIO] = {"mmio", PARTITION, LIST,
                  "a list of at most 8 address+size such as 0xfebf0000+64K, in pages of 4K below 2^48",
                  parse_mmio, IN_PARTITION(mmio)},
};

/* ---- Lines ----------------------------------------------------------------------------------- */

static void complain(const struct parser *p, const char *what, const char *right) {
    report_error(p->report, p->line, "%.*s = %.*s%s: %s%s", text_shown(p->key), p->key.at,
                 text_shown(p->value), p->value.at, p->value.length > TEXT_SHOWN ? "..." : "", what, right);
}

static void parse_value(struct parser *p, enum config_key key) {
    const struct key_row *row = p->row = &keys[key];
    unsigned *line = row->section == SYSTEM ? &p->out->line_of[key] : &p->partition->line_of[key];
    struct text rest = p->value;
    bool more = true, right = rest.length > 0;
    if (*line != 0 && (row->flags & REPEATED) == 0) {
        report_error(p->report, p->line, "%s: already given in line %u", row->name, *line);
        return;
    }
    *line = p->line;
    if ((row->flags & LIST) == 0)
        right = right && row->parse(p, rest);
    else
        while (more && right)
            right = row->parse(p, text_cut(&rest, ',', &more));
    if (!right)
        complain(p, "must be ", row->form);
}

static void parse_key(struct parser *p) {
    char known[LOG_LINE_MAX] = "";
    size_t used = 0;
    if (p->section == UNKNOWN) /* its keys are not wrong by themselves */
        return;
    for (enum config_key key = 0; key < KEY_COUNT; key++) {
        if (keys[key].section != p->section)
            continue;
        if (text_is(p->key, keys[key].name)) {
            parse_value(p, key);
            return;
        }
        used += str_format(known + used, sizeof(known) - used, "%s%s", used == 0 ? "" : ", ", keys[key].name);
    }
    if (p->section == OUTSIDE)
        complain(p, "before any section; put it under ", "[system] or [partition NAME]");
    else
        complain(p, "unknown key; this section has ", known);
}

static bool name_valid(struct text name) {
    for (size_t i = 0; i < name.length; i++) {
        char c = name.at[i], lower = (char)(c | 0x20);
        if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return name.length > 0 && name.length <= CONFIG_MAX_NAME && !text_is(name, "mullion"); /* our own */
}

static void begin_partition(struct parser *p, struct text name) {
    struct system_config *out = p->out;
    p->section = out->nr_partitions < MAX_PARTITIONS ? PARTITION : UNKNOWN;
    if (p->section == UNKNOWN) {
        report_error(p->report, p->line, "at most %u partitions", MAX_PARTITIONS);
        return;
    }
    if (!name_valid(name))
        report_error(p->report, p->line,
                     "[partition %.*s]: must be named by 1 to %u letters, digits, - and _; not mullion",
                     text_shown(name), name.at, CONFIG_MAX_NAME);
    p->partition = &out->partitions[out->nr_partitions++];
    p->partition->line = p->line;
    (void)str_copy(p->partition->name, MAX_NAME, name.at, name.length);
    for (const struct partition_config *other = out->partitions; other < p->partition; other++)
        if (str_equal(p->partition->name, other->name))
            report_error(p->report, p->line, "[partition %s]: the name is taken in line %u; choose another",
                         other->name, other->line);
}

static void parse_section(struct parser *p, struct text line) {
    struct text rest = {line.at + 1, line.length - 1};
    bool closed, named;
    struct text inside = text_cut(&rest, ']', &closed);
    struct text word = text_cut(&inside, ' ', &named);
    p->section = UNKNOWN;
    if (closed && rest.length == 0 && text_is(word, "partition"))
        begin_partition(p, inside);
    else if (closed && rest.length == 0 && text_is(word, "system") && !named)
        p->section = SYSTEM;
    else
        report_error(p->report, p->line, "%.*s: unknown section; there are [system] and [partition NAME]",
                     text_shown(line), line.at);
}

/* Leave out the comment: a '#' begins one at the start of a line and after white space only, as a command
 * line may hold one within a word. False: this is not text, and no byte of it is shown. */
static bool clean_line(const struct parser *p, struct text *line) {
    for (size_t i = line->length; i-- > 0;) {
        uint8_t c = (uint8_t)line->at[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            report_error(p->report, p->line, "byte 0x%02x is not text; is this the right file?", c);
            return false;
        }
        if (c == '#' && (i == 0 || text_blank(line->at[i - 1])))
            line->length = i;
    }
    *line = text_trim(*line);
    return true;
}

static void parse_line(struct parser *p, struct text line) {
    bool found;
    p->value = line;
    p->key = text_cut(&p->value, '=', &found);
    if (line.length > 0 && line.at[0] == '[')
        parse_section(p, line);
    else if (found)
        parse_key(p);
    else if (line.length > 0)
        report_error(p->report, p->line, "%.*s: neither a [section] nor key = value nor a # comment",
                     text_shown(line), line.at);
}

static void parse_lines(struct parser *p, struct text rest) {
    for (bool more = true; more;) {
        struct text line = text_cut(&rest, '\n', &more);
        p->line++;
        if (!clean_line(p, &line))
            return;
        parse_line(p, line);
    }
    for (unsigned i = 0; i < p->out->nr_partitions; i++) {
        const struct partition_config *partition = &p->out->partitions[i];
        for (enum config_key key = 0; key < KEY_COUNT; key++)
            if ((keys[key].flags & REQUIRED) != 0 && partition->line_of[key] == 0)
                report_error(p->report, partition->line, "[partition %s]: %s is missing; must be %s",
                             partition->name, keys[key].name, keys[key].form);
    }
}

enum err config_parse(const char *text, size_t length, struct system_config *out, struct report *report) {
    static const char byte_order_mark[] = "\xef\xbb\xbf"; /* some editors put it first */
    struct parser p = {.out = out, .report = report};
    unsigned errors = report->errors;
    memset(out, 0, sizeof(*out));
    out->console.address = 0x3f8;
    out->screen = true;
    out->poll_input = true;
    size_t skip = length >= 3 && memcmp(text, byte_order_mark, 3) == 0 ? 3 : 0;
    if (length <= CONFIG_MAX_BYTES)
        parse_lines(&p, (struct text){text + skip, length - skip});
    else
        report_error(report, 0, "%zu bytes; a configuration has at most %lu", length, CONFIG_MAX_BYTES);
    return report->errors == errors ? ERR_OK : ERR_MALFORMED;
}
