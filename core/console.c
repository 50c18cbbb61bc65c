/* SPDX-License-Identifier: Apache-2.0 */
/* Merges many speakers into one serial line. Pure: works on rings and the caller's buffer only. */
#include "core/console.h"

#include "core/str.h"
#include "core/term.h"

#define STAGE_LIMIT (CONSOLE_STAGE_BYTES / 2) /* begin nothing new above: one step adds less */

/* The most one step adds: erase or break, a prefix, a line with its colour reset, CR LF. */
_Static_assert(STAGE_LIMIT >= 4 + MAX_NAME + 2 + CONSOLE_LINE_BYTES + TERM_EXTRA + 2 + 1, "stage too small");

static void stage_byte(struct console *c, uint8_t byte) {
    c->stage[c->staged++] = byte;
}

static void stage_text(struct console *c, const char *text) {
    for (; *text != '\0'; text++)
        stage_byte(c, (uint8_t)*text);
}

static void stage_prefix(struct console *c, const char *name) {
    if (c->prefix) {
        stage_text(c, name);
        stage_text(c, "| ");
    }
}

static void stage_line(struct console *c, const uint8_t *text, unsigned count, enum term_keep keep) {
    c->staged += term_clean(text, count, keep, c->stage + c->staged);
}

/* Take the unfinished line off the screen. It stays in its buffer and is drawn again on its
 * partition's turn, unless it has outgrown that: then it is broken here. */
static void line_hide(struct console *c) {
    if (c->open >= 0) {
        struct console_partition *p = &c->partitions[c->open];

        stage_text(c, p->cut ? "\r\n" : "\r\x1b[K");
        p->used = p->cut ? 0 : p->used;
        p->cut = false;
        c->open = -1;
    }
}

static void line_show(struct console *c, const char *name, const uint8_t *text, unsigned count) {
    line_hide(c);
    stage_prefix(c, name);
    stage_line(c, text, count, TERM_COLOURS);
    stage_text(c, "\r\n");
}

static void line_open(struct console *c, unsigned id) {
    struct console_partition *p = &c->partitions[id];

    if (c->open != (int)id) {
        line_hide(c);
        stage_prefix(c, p->name);
        stage_line(c, p->line, p->used, TERM_EDITING);
        c->open = (int)id;
    }
}

static void line_end(struct console *c, unsigned id) {
    struct console_partition *p = &c->partitions[id];

    if (c->open == (int)id) {
        stage_text(c, "\r\n");
        c->open = -1;
    } else {
        line_show(c, p->name, p->line, p->used);
    }
    p->used = 0;
    p->cr = false;
    p->cut = false;
}

/* A carriage return with text behind it: the text goes over what is there, right of the prefix. Of
 * a line that nobody sees only the last state is kept, so that a progress bar stays quiet. */
static void line_restart(struct console *c, unsigned id) {
    struct console_partition *p = &c->partitions[id];

    p->cr = false;
    p->cut = false;
    p->used = 0;
    if (c->open == (int)id) {
        stage_byte(c, '\r');
        stage_prefix(c, p->name);
    }
}

static void line_append(struct console *c, unsigned id, uint8_t byte) {
    struct console_partition *p = &c->partitions[id];

    if (p->cr)
        line_restart(c, id);
    if (c->focus == id)
        line_open(c, id);
    if (p->used == CONSOLE_LINE_BYTES) {
        if (c->open == (int)id) {
            p->cut = true;
            p->used = 0;
        } else {
            line_end(c, id);
        }
    }
    if (c->open == (int)id)
        stage_byte(c, byte);
    p->line[p->used++] = byte;
}

/* A byte of the one partition that has the serial line for itself. */
static void raw_append(struct console *c, unsigned id, uint8_t byte) {
    c->partitions[id].cut = true; /* nothing is kept: a log line breaks the open line */
    if (c->open != (int)id)
        line_hide(c);
    stage_byte(c, byte);
    c->open = byte == '\n' ? -1 : (int)id;
}

/* Tell of dropped bytes once those before the gap are out. */
static bool loss_show(struct console *c, unsigned source, const struct ring *r, const char *name) {
    struct console_loss *loss = &c->losses[source];
    uint32_t dropped = __atomic_load_n(&r->dropped, __ATOMIC_ACQUIRE);
    char text[MAX_NAME + 48];

    if (!loss->pending && dropped != loss->told) {
        loss->pending = true;
        loss->at = r->tail + ring_used(r);
    }
    if (!loss->pending || (int32_t)(r->tail - loss->at) < 0)
        return false;
    str_format(text, sizeof(text), "%s: %u bytes of output dropped", name, dropped - loss->told);
    loss->told = dropped;
    loss->pending = false;
    line_show(c, "mullion", (const uint8_t *)text, (unsigned)str_length(text));
    return true;
}

/* One line of a partition, or what there is of it if it has the focus. */
static bool partition_turn(struct console *c, unsigned id) {
    struct console_partition *p = &c->partitions[id];
    bool ended = false;
    uint8_t byte = 0;

    if (p->tx == NULL)
        return false;
    if (loss_show(c, id, p->tx, p->name))
        return true;
    if (c->focus == id && p->used > 0 && c->prefix)
        line_open(c, id);
    for (uint32_t left = ring_used(p->tx); left > 0 && !ended && c->staged < STAGE_LIMIT; left--) {
        ring_take(p->tx, &byte);
        ended = byte == '\n';
        if (!c->prefix)
            raw_append(c, id, byte);
        else if (byte == '\n')
            line_end(c, id);
        else if (byte == '\r')
            p->cr = true;
        else
            line_append(c, id, byte);
    }
    return c->staged > 0;
}

static bool log_turn(struct console *c, unsigned cpu) {
    struct ring *r = c->logs[cpu].ring;
    char name[16];
    uint8_t line[CONSOLE_LINE_BYTES];
    unsigned count = 0;

    if (r == NULL)
        return false;
    str_format(name, sizeof(name), "cpu %u", cpu);
    if (loss_show(c, MAX_PARTITIONS + cpu, r, name))
        return true;
    if (ring_used(r) == 0)
        return false;
    while (count < sizeof(line) && ring_take(r, &line[count]) && line[count] != '\n')
        count++;
    line_show(c, "mullion", line, count);
    return true;
}

static void announce(struct console *c) {
    char text[MAX_NAME + 16];

    str_format(text, sizeof(text), "input goes to %s", c->partitions[c->focus].name);
    c->announce = false;
    line_show(c, "mullion", (const uint8_t *)text, (unsigned)str_length(text));
}

/* Stage the next piece. False if there is nothing to send. */
static bool console_step(struct console *c) {
    c->sent = 0;
    c->staged = 0;
    if (c->announce) {
        announce(c);
        return true;
    }
    for (unsigned i = 0; i < CONSOLE_SOURCES; i++) {
        unsigned source = c->turn;

        c->turn = (source + 1) % CONSOLE_SOURCES;
        if (source < MAX_PARTITIONS ? partition_turn(c, source) : log_turn(c, source - MAX_PARTITIONS))
            return true;
    }
    return false;
}

unsigned console_pump(struct console *c, uint8_t *out, unsigned room) {
    unsigned used = 0;

    while (used < room && (c->sent < c->staged || console_step(c)))
        out[used++] = c->stage[c->sent++];
    return used;
}

static bool source_waits(const struct ring *r, const struct console_loss *loss) {
    return r != NULL && (ring_used(r) > 0 || __atomic_load_n(&r->dropped, __ATOMIC_RELAXED) != loss->told);
}

bool console_wants_output(const struct console *c) {
    const struct console_partition *focus = &c->partitions[c->focus];

    if (c->sent < c->staged || c->announce || (focus->used > 0 && c->prefix && c->open != (int)c->focus))
        return true;
    for (unsigned i = 0; i < MAX_PARTITIONS; i++)
        if (source_waits(c->partitions[i].tx, &c->losses[i]))
            return true;
    for (unsigned i = 0; i < MAX_CPUS; i++)
        if (source_waits(c->logs[i].ring, &c->losses[MAX_PARTITIONS + i]))
            return true;
    return false;
}

static void focus_next(struct console *c) {
    for (unsigned i = 1; i <= MAX_PARTITIONS; i++) {
        unsigned id = (c->focus + i) % MAX_PARTITIONS;

        if (c->partitions[id].rx != NULL && !__atomic_load_n(&c->partitions[id].stopped, __ATOMIC_RELAXED)) {
            c->focus = id;
            c->announce = true;
            return;
        }
    }
}

uint32_t console_input(struct console *c, uint8_t byte) {
    struct console_partition *p = &c->partitions[c->focus];

    if (c->prefix && byte == CONSOLE_FOCUS_KEY) {
        focus_next(c);
        return 0;
    }
    if (p->rx == NULL || __atomic_load_n(&p->stopped, __ATOMIC_RELAXED) || !ring_put(p->rx, byte))
        return 0;
    return UINT32_C(1) << c->focus;
}

bool console_log(struct console *c, unsigned cpu, const char *line, size_t bytes) {
    struct console_log *log = &c->logs[cpu];
    bool taken = false;

    if (log->ring == NULL || bytes > RING_BYTES)
        return false;
    if (log->busy) {
        log->ring->dropped += (uint32_t)bytes;
        return false;
    }
    log->busy = true;
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* the only other who may run here is an NMI */
    taken = ring_put_all(log->ring, (const uint8_t *)line, (uint32_t)bytes);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    log->busy = false;
    return taken;
}

void console_set_stopped(struct console *c, unsigned id, bool stopped) {
    struct console_partition *p = &c->partitions[id];

    if (stopped && p->tx != NULL && p->tx->head > 0 && p->tx->bytes[(p->tx->head - 1) % RING_BYTES] != '\n')
        ring_put(p->tx, '\n');
    __atomic_store_n(&p->stopped, stopped, __ATOMIC_RELAXED);
}

void console_init(struct console *c, bool prefix) {
    memset(c, 0, sizeof(*c));
    c->prefix = prefix;
    c->open = -1;
}

void console_add_partition(struct console *c, unsigned id, const char *name, struct ring *tx,
                           struct ring *rx) {
    bool first = c->partitions[c->focus].tx == NULL;

    str_copy(c->partitions[id].name, MAX_NAME, name, str_length(name));
    c->partitions[id].tx = tx;
    c->partitions[id].rx = rx;
    c->focus = first ? id : c->focus;
}

void console_add_log(struct console *c, unsigned cpu, struct ring *ring) {
    c->logs[cpu].ring = ring;
}
