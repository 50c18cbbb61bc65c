/* SPDX-License-Identifier: Apache-2.0 */
/* Many speakers, one serial line: merges the partitions' output and the hypervisor's log line by
 * line, and gives what is typed to the partition that has the focus. Moves bytes between rings and
 * the caller's buffer; never touches a device and takes no lock.
 *
 * Producers (a partition's virtual UART, each CPU's log) run on any CPU beside everything else.
 * console_pump and console_input run under one lock, which is the caller's.
 *
 * Every line starts with "NAME| ". The focused partition's unfinished line is shown as it grows;
 * any other line waits until it is whole or too long for its buffer. Where a line must be shown
 * while the focused one is unfinished, that is erased and drawn again below. */
#pragma once

#include "core/limits.h"
#include "core/ring.h"
#include "core/types.h"

#define CONSOLE_LINE_BYTES  200 /* longer lines are broken, see console.c */
#define CONSOLE_STAGE_BYTES 512
#define CONSOLE_FOCUS_KEY   0x1d /* Ctrl-] */
#define CONSOLE_SOURCES     (MAX_PARTITIONS + MAX_CPUS)

/* Bytes a ring refused, and the place in its stream where the user is told. */
struct console_loss {
    uint32_t told; /* of ring->dropped */
    uint32_t at;   /* ring position after which to tell */
    bool pending;
};

struct console_partition {
    char name[MAX_NAME];
    struct ring *tx, *rx; /* NULL = this partition has no console */
    bool stopped;
    bool cr;                          /* a carriage return, not yet known what follows */
    bool cut;                         /* on screen, but `line` no longer has all of it */
    unsigned used;                    /* bytes in `line` */
    uint8_t line[CONSOLE_LINE_BYTES]; /* what there is of the unfinished line */
};

struct console_log {
    struct ring *ring; /* NULL = no such CPU */
    bool busy;         /* the producer is inside console_log */
};

struct console {
    bool prefix;
    bool announce; /* say where input goes */
    unsigned focus;
    unsigned turn; /* the source whose turn it is */
    int open;      /* partition whose unfinished line is on screen, -1 = none */
    struct console_partition partitions[MAX_PARTITIONS];
    struct console_log logs[MAX_CPUS];
    struct console_loss losses[CONSOLE_SOURCES]; /* by source: partitions, then logs */
    unsigned staged, sent;
    uint8_t stage[CONSOLE_STAGE_BYTES]; /* [sent, staged) is formatted and goes out next */
};

/* prefix = false: the bytes of the one partition that has a console pass unchanged both ways, and
 * log lines stand plain between them. */
void console_init(struct console *c, bool prefix);

/* Boot only. id < MAX_PARTITIONS; the first one added has the focus. */
void console_add_partition(struct console *c, unsigned id, const char *name, struct ring *tx,
                           struct ring *rx);

/* Boot only. cpu < MAX_CPUS; `ring` holds that CPU's log lines until they are sent. */
void console_add_log(struct console *c, unsigned cpu, struct ring *ring);

/* On the CPU that owns the producer side of the partition's tx: a stopped partition gets neither
 * focus nor input, and the line it left unfinished is ended. */
void console_set_stopped(struct console *c, unsigned id, bool stopped);

/* On that CPU only. Takes the whole line, its newline optional, or counts it as dropped and returns
 * false. An NMI may call it on top of itself; such a line is dropped. */
bool console_log(struct console *c, unsigned cpu, const char *line, size_t bytes);

/* Up to `room` bytes for the serial line; fewer only if there are no more to send now. */
unsigned console_pump(struct console *c, uint8_t *out, unsigned room);

/* Cheap, any CPU, a hint without the lock: is console_pump worth a call? */
bool console_wants_output(const struct console *c);

/* A byte from the serial line. Returns the partitions that now have input, bit n = partition n. */
uint32_t console_input(struct console *c, uint8_t byte);
