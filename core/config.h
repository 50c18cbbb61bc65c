/* SPDX-License-Identifier: Apache-2.0 */
/* The policy of the whole system, from one INI-like text. The same parser runs at boot and, as
 * `make confcheck`, on the host. config.c knows the text; config_check.c knows what is right. */
#pragma once

#include "core/err.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/range.h"
#include "core/types.h"

#define CONFIG_MAX_BYTES   KIB(64) /* of the whole text */
#define CONFIG_MAX_WINDOWS 8
#define CONFIG_MAX_MODULES 8
#define CONFIG_MAX_NAME    15 /* characters of a partition's name: it goes before each line */
#define CONFIG_MAX_MEMORY  GIB(65536)
#define CONFIG_MAX_ADDRESS BIT(48) /* what page tables of four levels reach */

enum when_done { DONE_HALT, DONE_POWEROFF, DONE_REBOOT };
enum on_exit { EXIT_STOP, EXIT_RESTART };
enum bad_access { BAD_ACCESS_IGNORE, BAD_ACCESS_STOP };

/* Every key, so that a complaint made later can name the line. 0 = not given. */
enum config_key {
    KEY_CPUS,
    KEY_MEMORY,
    KEY_KERNEL,
    KEY_INITRD,
    KEY_MODULE, /* of several the last */
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

struct partition_config {
    char name[MAX_NAME];
    unsigned line; /* of the section header */
    unsigned line_of[KEY_COUNT];
    uint64_t cpus; /* bit n = core n of the boot log */
    uint64_t memory_bytes;
    bool identity;         /* RAM at guest-physical = host-physical, plus a private low MiB */
    char kernel[MAX_NAME]; /* names of modules; "" = not given */
    char initrd[MAX_NAME];
    struct config_module modules[CONFIG_MAX_MODULES];
    unsigned nr_modules;
    char cmdline[MAX_CMDLINE];
    bool vuart; /* console = vuart */
    enum on_exit on_exit;
    enum bad_access bad_access;
    bool has_load;      /* the kernel is a flat binary */
    bool load_at_reset; /* load = reset: it ends at 1 MiB, and the vCPU starts at F000:FFF0 */
    uint64_t load;      /* load = address: where it begins and starts */
    struct range ports[CONFIG_MAX_WINDOWS]; /* I/O ports granted */
    unsigned nr_ports;
    struct range mmio[CONFIG_MAX_WINDOWS]; /* device windows granted, identity-mapped */
    unsigned nr_mmio;
};

struct system_config {
    const char *file;      /* name used in messages */
    uint16_t console_port; /* 0 = console = none */
    unsigned console_line; /* line of the key, 0 = default */
    bool prefix;           /* each line with its partition's name in front */
    unsigned prefix_line;
    bool poll_input; /* read input by a slow timer where no interrupt pin is known */
    enum when_done when_done;
    struct partition_config partitions[MAX_PARTITIONS];
    unsigned nr_partitions;
};

/* Parse text[0..length) into *out. Complains about every line that is wrong, then returns
 * ERR_MALFORMED if there was any. `file` must outlive *out. Pure; boot CPU only by use. */
must_check enum err config_parse(const char *text, size_t length, const char *file, struct system_config *out,
                                 struct report *report);
