/* SPDX-License-Identifier: Apache-2.0 */
/* Many speakers, one serial line: merges the partitions' output and the hypervisor's log line by line, and
 * gives what is typed to the partition that has the focus. Moves bytes between rings and the caller; never
 * touches a device and takes no lock.
 *
 * Producers (a partition's virtual UART, each CPU's log) run on any CPU beside everything else. console_next
 * and console_input run under one lock, which is the caller's.
 *
 * Every line starts with "NAME| ". The focused partition's unfinished line is shown as it grows; any other
 * line waits until it is whole or too long for its buffer. Where a line must be shown while the focused one
 * is unfinished, that is erased and drawn again below. */
#pragma once

#include "core/ring.h"

#define CONSOLE_LINE_BYTES  240 /* longer lines are broken */
#define CONSOLE_STAGE_BYTES 640
#define CONSOLE_FOCUS_KEY   0x1d /* Ctrl-] */
#define CONSOLE_SPEAKERS    (MAX_PARTITIONS + MAX_CPUS)
#define CONSOLE_LOG(cpu)    (MAX_PARTITIONS + (cpu)) /* the speaker that is a CPU's log */

struct console_speaker {
    char name[MAX_NAME];
    struct ring *tx; /* what it says; NULL = nobody */
    struct ring *rx; /* what is typed for it; NULL = it cannot have the focus: a log */
    bool stopped;
    bool busy;                        /* the CPU is inside console_log */
    bool cr;                          /* a carriage return, not yet known what follows */
    unsigned used;                    /* bytes in `line` */
    uint8_t line[CONSOLE_LINE_BYTES]; /* what there is of the unfinished line */
};

struct console {
    struct console_speaker *focus, *open; /* open: its unfinished line is on screen; NULL = no one's */
    unsigned turn;                        /* the speaker whose turn it is */
    struct console_speaker speakers[CONSOLE_SPEAKERS]; /* partitions, then logs */
    unsigned staged, sent;
    uint8_t stage[CONSOLE_STAGE_BYTES]; /* [sent, staged) is formatted and goes out next */
};

void console_init(struct console *c);

/* Boot only. The first one with an rx has the focus. */
void console_add(struct console *c, unsigned speaker, const char *name, struct ring *tx, struct ring *rx);

/* On the CPU that owns the producer side of the partition's tx: it no longer gets focus or input, and the
 * line it left unfinished is ended. */
void console_stop(struct console *c, unsigned partition);

/* On that CPU only. Takes the whole line with its newline, or counts it as dropped. An NMI may call it on top
 * of itself; such a line is dropped. */
void console_log(struct console *c, unsigned cpu, const char *line, size_t bytes);

/* The next byte for the serial line. False if there is none now. */
bool console_next(struct console *c, uint8_t *byte);

/* A byte from the serial line. Returns the partitions that now have input, bit n = partition n. */
uint32_t console_input(struct console *c, uint8_t byte);
