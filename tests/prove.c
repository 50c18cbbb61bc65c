/* SPDX-License-Identifier: Apache-2.0 */
/* prove FILE [NAME=BYTES...]: builds all tables of a config with these modules on a large machine and proves
 * them. Exit status: 0 proven, 2 the config is refused, 1 the tables are wrong. */
#include "tests/unit/built.h"

static struct system_config config;

static bool add_module(char *argument) {
    char *size = strchr(argument, '=');

    if (size == NULL)
        return false;
    *size = '\0';
    built_module(argument, strtoull(size + 1, NULL, 0));
    return true;
}

static int usage(void) {
    fprintf(stderr, "usage: prove FILE [NAME=BYTES...]\n");
    return 1;
}

int main(int argc, char **argv) {
    static char text[CONFIG_MAX_BYTES + 1];
    struct report report = {argv[1], 0};
    struct machine machine = {UINT64_MAX, GIB(40), &built.info, &built.platform, BIT(39)};
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
    size_t bytes = file != NULL ? fread(text, 1, sizeof(text), file) : 0;

    if (file == NULL || fclose(file) != 0)
        return usage();
    built_machine(MAX_CPUS, GIB(40));
    built_module("mullion.conf", bytes);
    for (int i = 2; i < argc; i++)
        if (!add_module(argv[i]))
            return usage();
    if (config_parse(text, bytes, &config, &report) != ERR_OK ||
        config_check(&config, &machine, &report) != ERR_OK) {
        printf("%s", stub_log);
        return 2;
    }
    if (built_build(&config) != ERR_OK || !built_prove()) {
        printf("%s%s\n", stub_log, built.offence);
        return 1;
    }
    printf("%s: %u partitions, no frame twice, none of the hypervisor's\n", argv[1], config.nr_partitions);
    return 0;
}
