/* SPDX-License-Identifier: Apache-2.0 */
/* The policy of the whole system, from one INI-like text. The same parser runs at boot and, as `make
 * confcheck`, on the host. config.c knows the text and what a single value must look like; config_check.c
 * everything that must hold between partitions, and between them and the machine; config_print.c the way
 * back into text. Pure but for the log. */
#pragma once

#include "core/log.h"
#include "core/platform.h"

#define CONFIG_NAME        "mullion.conf" /* the module that holds it */
#define CONFIG_MAX_BYTES   KIB(64)        /* of the whole text */
#define CONFIG_MAX_WINDOWS 8
#define CONFIG_MAX_MODULES 8
#define CONFIG_MAX_NAME    15 /* characters of a partition's name: it goes before each line */
#define CONFIG_MAX_MEMORY  GIB(65536)
#define CONFIG_MAX_ADDRESS BIT(48) /* what page tables of four levels reach */

/* What when_done and on_panic say. */
enum when_done { DONE_HALT, DONE_POWEROFF, DONE_REBOOT };
enum on_exit { EXIT_STOP, EXIT_RESTART };
enum bad_access { BAD_ACCESS_IGNORE, BAD_ACCESS_STOP };

/* Every key, so that a complaint made later can name the line. */
enum config_key {
    KEY_SYSTEM_CONSOLE, /* of [system] */
    KEY_WHEN_DONE,
    KEY_ON_PANIC,
    KEY_POLL_INPUT,
    KEY_SMT,
    KEY_SCREEN,
    KEY_CPUS, /* of [partition NAME] */
    KEY_MEMORY,
    KEY_KERNEL,
    KEY_INITRD,
    KEY_MODULE,
    KEY_CMDLINE,
    KEY_CONSOLE,
    KEY_ON_EXIT,
    KEY_BAD_ACCESS,
    KEY_LOAD,
    KEY_PORTS,
    KEY_MMIO,
    KEY_COUNT,
};

/* A further module for a multiboot or PVH guest, in the order of the file. */
struct config_module {
    char name[MAX_NAME];
    char args[MAX_MODULE_ARGS]; /* what the guest sees behind the name */
    unsigned line;
};

struct config_windows {
    struct range at[CONFIG_MAX_WINDOWS];
    unsigned count;
};

struct partition_config {
    char name[MAX_NAME];
    unsigned line;               /* of the section header */
    unsigned line_of[KEY_COUNT]; /* 0 = not given */
    uint64_t cpus;               /* bit n = core n of the boot log */
    uint64_t memory_bytes;
    bool identity;         /* RAM at guest-physical = host-physical, plus a private low MiB */
    char kernel[MAX_NAME]; /* names of modules; "" = not given */
    char initrd[MAX_NAME];
    struct config_module modules[CONFIG_MAX_MODULES];
    unsigned nr_modules;
    char cmdline[MAX_CMDLINE];
    bool vuart;                        /* console = vuart */
    uint8_t on_exit;                   /* enum on_exit */
    uint8_t bad_access;                /* enum bad_access */
    bool has_load;                     /* the kernel is a flat binary */
    bool load_at_reset;                /* load = reset: it ends at 1 MiB, and the vCPU starts at F000:FFF0 */
    uint64_t load;                     /* load = address: where it begins and starts */
    struct config_windows ports, mmio; /* granted: I/O ports; device memory, identity-mapped */
};

struct system_config {
    unsigned line_of[KEY_COUNT]; /* 0 = not given */
    struct uart_place console;   /* its address is 0 = console = none */
    bool screen;                 /* show the console on the boot loader's screen, too */
    bool poll_input;             /* read input by a slow timer where no interrupt pin is known */
    uint8_t when_done, on_panic; /* enum when_done */
    bool smt_shared;             /* smt = share: threads of one core may be in different partitions */
    struct partition_config partitions[MAX_PARTITIONS];
    unsigned nr_partitions;
};

/* Parse text[0..length) into *out. Complains about every line that is wrong, then returns ERR_MALFORMED if
 * there was any. */
must_check enum err config_parse(const char *text, size_t length, struct system_config *out,
                                 struct report *report);

/* What is known of the machine. A fact that is not known is not checked against. */
struct machine {
    uint64_t cores;                  /* bit n = core n of the boot log runs; 0 = not known */
    uint64_t free_bytes;             /* RAM that partitions can have; 0 = not known */
    const struct boot_info *boot;    /* all zero = not known */
    const struct platform *platform; /* all zero = not known */
    uint64_t address_end;            /* of the physical addresses its CPUs have; 0 = not known */
};

/* Complain about everything that is wrong, then return ERR_RANGE if anything was. `config` is what
 * config_parse returned with ERR_OK. */
must_check enum err config_check(const struct system_config *config, const struct machine *machine,
                                 struct report *report);

/* Log one line a partition. */
void config_print(const struct system_config *config);

/* Values in the notation they are written in, for messages. */
struct config_text {
    char s[40];
};
struct config_cores {
    char s[104]; /* the longest: 32 single cores */
};
struct config_cores config_print_cores(uint64_t cores); /* "core 4", "cores 0-2,4" */
struct config_text config_print_size(uint64_t bytes);   /* in the largest unit that divides it */
struct config_text config_print_ports(struct range ports);
struct config_text config_print_mmio(struct range window); /* "0xfebf0000+64K" */
