/* SPDX-License-Identifier: Apache-2.0 */
/* What the value of each key looks like. Whether a value fits the machine and the other partitions
 * is not known here: config_check.c. */
#include "core/config_keys.h"

#include "core/guest_layout.h"
#include "core/str.h"

void config_keys_complain(const struct config_parser *p, const char *format, ...) {
    char what[LOG_LINE_MAX];
    va_list args;

    va_start(args, format);
    str_vformat(what, sizeof(what), format, args);
    va_end(args);
    report_error(p->report, p->out->file, p->line, "%.*s = %.*s%s: %s", text_shown(p->key), p->key.at,
                 text_shown(p->value), p->value.at, p->value.length > TEXT_SHOWN ? "..." : "", what);
}

/* ---- [system] -------------------------------------------------------------------------------- */

static bool parse_either(const struct config_parser *p, const char *no, const char *yes, bool *value) {
    *value = text_is(p->value, yes);
    return *value || text_is(p->value, no);
}

static bool parse_system_console(struct config_parser *p) {
    static const char *const words[] = {"none", "com1", "com2", "com3", "com4"};
    static const uint16_t ports[] = {0, 0x3f8, 0x2f8, 0x3e8, 0x2e8};
    uint64_t port;
    unsigned choice;

    p->out->console_line = p->line;
    if (text_pick(p->value, words, ARRAY_SIZE(words), &choice))
        port = ports[choice];
    else if (!text_number(p->value, &port) || port == 0 || port > UINT16_MAX - 7)
        return false; /* a UART has eight ports */
    p->out->console_port = (uint16_t)port;
    return true;
}

static bool parse_prefix(struct config_parser *p) {
    p->out->prefix_line = p->line;
    return parse_either(p, "no", "yes", &p->out->prefix);
}

static bool parse_poll_input(struct config_parser *p) {
    return parse_either(p, "no", "yes", &p->out->poll_input);
}

static bool parse_when_done(struct config_parser *p) {
    static const char *const words[] = {
        [DONE_HALT] = "halt", [DONE_POWEROFF] = "poweroff", [DONE_REBOOT] = "reboot"};

    return text_pick(p->value, words, ARRAY_SIZE(words), &p->out->when_done);
}

/* ---- [partition NAME] ------------------------------------------------------------------------ */

static bool parse_cpus(struct config_parser *p) {
    struct text rest = p->value;
    bool more = true;

    while (more) {
        uint64_t n, last;

        if (!text_span(text_cut(&rest, ',', &more), &n, &last))
            return false;
        if (last >= MAX_CPUS) {
            config_keys_complain(p, "Mullion knows %u cores (0-%u)", MAX_CPUS, MAX_CPUS - 1);
            return true;
        }
        for (; n <= last; n++) {
            if ((p->partition->cpus & BIT(n)) != 0) {
                config_keys_complain(p, "core %lu is in the list twice; once is enough", n);
                return true;
            }
            p->partition->cpus |= BIT(n);
        }
    }
    return true;
}

static bool parse_memory(struct config_parser *p) {
    struct text rest = p->value;
    bool found;
    uint64_t bytes;

    if (!text_size(text_cut(&rest, ' ', &found), &bytes) || (found && !text_is(rest, "identity")))
        return false;
    if (bytes < GUEST_MIN_BYTES || bytes > CONFIG_MAX_MEMORY || bytes % PAGE_SIZE != 0) {
        config_keys_complain(p, "must be %luM to %luG in steps of 4K", GUEST_MIN_BYTES >> 20,
                             CONFIG_MAX_MEMORY >> 30);
    }
    p->partition->memory_bytes = bytes;
    p->partition->identity = found;
    return true;
}

static bool parse_module_name(struct text value, char *name) {
    for (size_t i = 0; i < value.length; i++)
        if (text_blank(value.at[i]) || value.at[i] == '/')
            return false;
    return str_copy(name, MAX_NAME, value.at, value.length);
}

static bool parse_kernel(struct config_parser *p) {
    return parse_module_name(p->value, p->partition->kernel);
}

static bool parse_initrd(struct config_parser *p) {
    return parse_module_name(p->value, p->partition->initrd);
}

static bool parse_module(struct config_parser *p) {
    struct text args = p->value, name;
    struct config_module *module;
    bool found;

    if (p->partition->nr_modules == CONFIG_MAX_MODULES) {
        config_keys_complain(p, "at most %u modules", CONFIG_MAX_MODULES);
        return true;
    }
    module = &p->partition->modules[p->partition->nr_modules++];
    module->line = p->line;
    name = text_cut(&args, ' ', &found);
    if (!str_copy(module->args, MAX_MODULE_ARGS, args.at, args.length)) {
        config_keys_complain(p, "%zu characters of arguments; at most %u fit", args.length,
                             MAX_MODULE_ARGS - 1);
    }
    return parse_module_name(name, module->name);
}

static bool parse_cmdline(struct config_parser *p) {
    if (!str_copy(p->partition->cmdline, MAX_CMDLINE, p->value.at, p->value.length))
        config_keys_complain(p, "%zu characters; at most %u fit", p->value.length, MAX_CMDLINE - 1);
    return true;
}

static bool parse_console(struct config_parser *p) {
    return parse_either(p, "none", "vuart", &p->partition->vuart);
}

static bool parse_on_exit(struct config_parser *p) {
    static const char *const words[] = {[EXIT_STOP] = "stop", [EXIT_RESTART] = "restart"};

    return text_pick(p->value, words, ARRAY_SIZE(words), &p->partition->on_exit);
}

static bool parse_bad_access(struct config_parser *p) {
    static const char *const words[] = {[BAD_ACCESS_IGNORE] = "ignore", [BAD_ACCESS_STOP] = "stop"};

    return text_pick(p->value, words, ARRAY_SIZE(words), &p->partition->bad_access);
}

/* A flat binary starts in real mode below 1 MiB, at CS:0, and in 32-bit mode above; at the reset
 * vector it is a firmware and ends at 1 MiB. */
static bool parse_load(struct config_parser *p) {
    uint64_t *load = &p->partition->load;

    p->partition->has_load = true;
    p->partition->load_at_reset = text_is(p->value, "reset");
    if (p->partition->load_at_reset)
        return true;
    if (!text_size(p->value, load))
        return false;
    if (*load >= GIB(4) || (*load < MIB(1) && *load % 16 != 0))
        config_keys_complain(p, "must be a multiple of 16, or lie from 1M to 4G");
    return true;
}

/* False: one item too many, and said so. */
static bool add_window(const struct config_parser *p, struct range *windows, unsigned *count,
                       struct range window) {
    if (*count == CONFIG_MAX_WINDOWS) {
        config_keys_complain(p, "more than %u in the list", CONFIG_MAX_WINDOWS);
        return false;
    }
    windows[(*count)++] = window;
    return true;
}

static bool parse_ports(struct config_parser *p) {
    struct text rest = p->value;
    bool more = true;

    while (more) {
        uint64_t first, last;

        if (!text_span(text_cut(&rest, ',', &more), &first, &last) || last > UINT16_MAX)
            return false;
        if (!add_window(p, p->partition->ports, &p->partition->nr_ports,
                        (struct range){first, last - first + 1}))
            break;
    }
    return true;
}

static bool parse_mmio(struct config_parser *p) {
    static const struct range all = {0, CONFIG_MAX_ADDRESS};
    struct text rest = p->value;
    bool more = true;

    while (more) {
        struct text size = text_cut(&rest, ',', &more), base;
        struct range window;
        bool found;

        base = text_cut(&size, '+', &found);
        if (!found || !text_size(base, &window.base) || !text_size(size, &window.size))
            return false;
        if ((window.base | window.size) % PAGE_SIZE != 0 || !range_contains(all, window)) {
            config_keys_complain(p, "0x%lx+0x%lx must be one or more pages of 4K and end by 0x%lx",
                                 window.base, window.size, CONFIG_MAX_ADDRESS);
        } else if (!add_window(p, p->partition->mmio, &p->partition->nr_mmio, window)) {
            break;
        }
    }
    return true;
}

/* ---- The tables ------------------------------------------------------------------------------ */

#define YES_NO_FORM "yes or no"
#define MODULE_FORM "the name of a GRUB module: one word, at most 31 characters, no directory"

static const struct config_key_row system_rows[] = {
    {"console", "com1, com2, com3, com4, an I/O port such as 0x3f8, or none", parse_system_console,
     AT_MOST_ONCE},
    {"prefix", YES_NO_FORM, parse_prefix, AT_MOST_ONCE},
    {"when_done", "halt, poweroff or reboot", parse_when_done, AT_MOST_ONCE},
    {"poll_input", YES_NO_FORM, parse_poll_input, AT_MOST_ONCE},
};

static const struct config_key_row partition_rows[KEY_COUNT] = {
    [KEY_CPUS] = {"cpus", "a list of cores such as 0 or 1-2,4", parse_cpus, ONCE},
    [KEY_MEMORY] = {"memory", "a size such as 512M, perhaps with the word identity behind it", parse_memory,
                    ONCE},
    [KEY_KERNEL] = {"kernel", MODULE_FORM, parse_kernel, ONCE},
    [KEY_INITRD] = {"initrd", MODULE_FORM, parse_initrd, AT_MOST_ONCE},
    [KEY_MODULE] = {"module", MODULE_FORM "; arguments may follow", parse_module, ANY_TIMES},
    [KEY_CMDLINE] = {"cmdline", "text; without any, leave the line out", parse_cmdline, AT_MOST_ONCE},
    [KEY_CONSOLE] = {"console", "vuart or none", parse_console, AT_MOST_ONCE},
    [KEY_ON_EXIT] = {"on_exit", "restart or stop", parse_on_exit, AT_MOST_ONCE},
    [KEY_BAD_ACCESS] = {"bad_access", "ignore or stop", parse_bad_access, AT_MOST_ONCE},
    [KEY_LOAD] = {"load", "an address such as 0x100000, or reset", parse_load, AT_MOST_ONCE},
    [KEY_PORTS] = {"ports", "a list of I/O ports such as 0x2f8-0x2ff,0x378", parse_ports, AT_MOST_ONCE},
    [KEY_MMIO] = {"mmio", "a list of address+size such as 0xfebf0000+64K", parse_mmio, AT_MOST_ONCE},
};

_Static_assert(ARRAY_SIZE(system_rows) <= KEY_COUNT, "config_parser has a line for each");

const struct config_keys config_keys_system = {"[system]", system_rows, ARRAY_SIZE(system_rows)};
const struct config_keys config_keys_partition = {"[partition NAME]", partition_rows, KEY_COUNT};
