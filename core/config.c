/* SPDX-License-Identifier: Apache-2.0 */
/* The lines and sections of the policy's text. Knows no key by name: config_keys.c does. */
#include "core/config.h"

#include "core/config_keys.h"
#include "core/str.h"

static void parse_unknown_key(const struct config_parser *p) {
    char known[LOG_LINE_MAX] = "";
    size_t used = 0;

    for (unsigned i = 0; i < p->keys->count; i++) {
        used +=
            str_format(known + used, sizeof(known) - used, "%s%s", i == 0 ? "" : ", ", p->keys->rows[i].name);
    }
    config_keys_complain(p, "unknown key; %s has %s", p->keys->section, known);
}

static void parse_value(struct config_parser *p, unsigned index) {
    const struct config_key_row *row = &p->keys->rows[index];

    if (p->line_of[index] != 0 && row->times != ANY_TIMES) {
        config_keys_complain(p, "already given in line %u", p->line_of[index]);
        return;
    }
    p->line_of[index] = p->line;
    if (p->value.length == 0)
        config_keys_complain(p, "the value is missing; must be %s", row->form);
    else if (!row->parse(p))
        config_keys_complain(p, "must be %s", row->form);
}

static void parse_key(struct config_parser *p) {
    if (p->keys == NULL) {
        config_keys_complain(p, "before any section; put it under [system] or [partition NAME]");
        return;
    }
    for (unsigned i = 0; i < p->keys->count; i++) {
        if (text_is(p->key, p->keys->rows[i].name)) {
            parse_value(p, i);
            return;
        }
    }
    parse_unknown_key(p);
}

/* ---- Sections -------------------------------------------------------------------------------- */

/* What a partition cannot do without is known to be missing when its section ends. */
static void end_section(const struct config_parser *p) {
    if (p->partition == NULL)
        return;
    for (unsigned i = 0; i < p->keys->count; i++) {
        if (p->keys->rows[i].times == ONCE && p->line_of[i] == 0) {
            report_error(p->report, p->out->file, p->partition->line,
                         "[partition %s]: %s is missing; must be %s", p->partition->name,
                         p->keys->rows[i].name, p->keys->rows[i].form);
        }
    }
}

static void begin_system(struct config_parser *p) {
    if (p->system_line != 0)
        report_error(p->report, p->out->file, p->line, "[system]: already begun in line %u", p->system_line);
    else
        p->system_line = p->line;
    p->keys = &config_keys_system;
    p->line_of = p->line_of_system_key;
}

static bool name_valid(struct text name) {
    for (size_t i = 0; i < name.length; i++) {
        char c = name.at[i], lower = (char)(c | 0x20);

        if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return name.length > 0 && name.length <= CONFIG_MAX_NAME;
}

static void check_name(const struct config_parser *p, struct text name) {
    if (!name_valid(name)) {
        report_error(p->report, p->out->file, p->line,
                     "[partition %.*s]: the name must be 1 to %u letters, digits, - and _", text_shown(name),
                     name.at, CONFIG_MAX_NAME);
        return;
    }
    if (text_is(name, "mullion")) {
        report_error(p->report, p->out->file, p->line,
                     "[partition mullion]: the name is the hypervisor's own; choose another");
    }
    for (const struct partition_config *other = p->out->partitions; other < p->partition; other++) {
        if (text_is(name, other->name)) {
            report_error(p->report, p->out->file, p->line,
                         "[partition %s]: the name is taken in line %u; choose another", other->name,
                         other->line);
        }
    }
}

static void begin_partition(struct config_parser *p, struct text name) {
    if (p->out->nr_partitions == MAX_PARTITIONS) {
        report_error(p->report, p->out->file, p->line, "at most %u partitions", MAX_PARTITIONS);
        p->skip = true;
        return;
    }
    p->partition = &p->out->partitions[p->out->nr_partitions++];
    p->partition->line = p->line;
    p->keys = &config_keys_partition;
    p->line_of = p->partition->line_of;
    check_name(p, name);
    (void)str_copy(p->partition->name, MAX_NAME, name.at, name.length);
}

static void parse_section(struct config_parser *p, struct text line) {
    struct text rest = {line.at + 1, line.length - 1}, word;
    bool closed, named;

    end_section(p);
    p->keys = NULL;
    p->partition = NULL;
    p->skip = false;
    word = text_cut(&rest, ']', &closed);
    if (closed && rest.length == 0) {
        rest = word;
        word = text_cut(&rest, ' ', &named);
        if (text_is(word, "partition")) {
            begin_partition(p, rest);
            return;
        }
        if (text_is(word, "system") && !named) {
            begin_system(p);
            return;
        }
    }
    report_error(p->report, p->out->file, p->line,
                 "%.*s: unknown section; there are [system] and [partition NAME]", text_shown(line), line.at);
    p->skip = true; /* its keys are not wrong by themselves */
}

/* ---- Lines ----------------------------------------------------------------------------------- */

/* A '#' begins a comment at the start of a line and after white space only: a command line may hold
 * one within a word. */
static struct text cut_comment(struct text line) {
    for (size_t i = 0; i < line.length; i++)
        if (line.at[i] == '#' && (i == 0 || text_blank(line.at[i - 1])))
            line.length = i;
    return text_trim(line);
}

static void parse_line(struct config_parser *p, struct text line) {
    bool found;

    line = cut_comment(line);
    if (line.length == 0)
        return;
    if (line.at[0] == '[') {
        parse_section(p, line);
        return;
    }
    p->value = line;
    p->key = text_cut(&p->value, '=', &found);
    if (!found) {
        report_error(p->report, p->out->file, p->line,
                     "%.*s: neither a [section] nor key = value nor a # comment", text_shown(line), line.at);
    } else if (!p->skip) {
        parse_key(p);
    }
}

/* Every byte of a message is shown on a terminal, and a wrong file should give one complaint, not a
 * thousand: so the whole text is looked at before its lines are. */
static bool check_text(const char *text, size_t length, const char *file, struct report *report) {
    unsigned line = 1;

    if (length > CONFIG_MAX_BYTES) {
        report_error(report, file, 0, "%zu bytes; a configuration has at most %lu", length, CONFIG_MAX_BYTES);
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        uint8_t c = (uint8_t)text[i];

        if (c == '\n') {
            line++;
        } else if (c == '\r' ? i + 1 < length && text[i + 1] != '\n' : (c < ' ' && c != '\t') || c == 0x7f) {
            report_error(report, file, line, "byte 0x%02x is not text; is this the right file?", c);
            return false;
        }
    }
    return true;
}

static struct text next_line(const char **at, const char *end) {
    struct text line = {*at, 0};

    while (*at < end && **at != '\n')
        (*at)++;
    line.length = (size_t)(*at - line.at);
    if (*at < end)
        (*at)++;
    if (line.length > 0 && line.at[line.length - 1] == '\r')
        line.length--;
    return line;
}

enum err config_parse(const char *text, size_t length, const char *file, struct system_config *out,
                      struct report *report) {
    struct config_parser p = {.out = out, .report = report};
    unsigned errors = report->errors;
    const char *end = text + length;

    memset(out, 0, sizeof(*out));
    out->file = file;
    out->console_port = 0x3f8;
    out->prefix = true;
    out->poll_input = true;
    if (check_text(text, length, file, report)) {
        if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
            text += 3; /* the byte order mark some editors put first */
        while (text < end) {
            p.line++;
            parse_line(&p, next_line(&text, end));
        }
        end_section(&p);
    }
    return report->errors == errors ? ERR_OK : ERR_MALFORMED;
}
