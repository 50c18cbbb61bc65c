/* SPDX-License-Identifier: Apache-2.0 */
/* confcheck FILE [cpus=N] [memory=SIZE] [modules=A,B,...]: the verdict the hypervisor would give at
 * boot, by the same code. The machine is as far known as the arguments say. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config.h"
#include "core/host.h"

static struct boot_info boot;
static const struct platform platform;
static struct machine machine = {.boot = &boot, .platform = &platform};

void host_write(const char *text, size_t bytes) {
    fwrite(text, 1, bytes, stdout);
}

static bool read_number(const char *text, uint64_t *value) {
    static const char units[] = "KMG";
    char *end;
    const char *unit;

    *value = strtoull(text, &end, 0);
    unit = *end != '\0' ? strchr(units, *end) : NULL;
    if (unit != NULL) {
        *value <<= 10 * (unit - units + 1);
        end++;
    }
    return end != text && *end == '\0' && *value > 0;
}

static bool read_modules(char *names) {
    for (char *name = strtok(names, ","); name != NULL; name = strtok(NULL, ",")) {
        if (boot.nr_modules == MAX_MODULES || strlen(name) >= MAX_NAME)
            return false;
        strcpy(boot.modules[boot.nr_modules++].name, name);
    }
    return true;
}

static bool read_argument(char *argument) {
    uint64_t cpus;

    if (strncmp(argument, "cpus=", 5) == 0 && read_number(argument + 5, &cpus)) {
        machine.cores = cpus >= MAX_CPUS ? UINT64_MAX : BIT(cpus) - 1;
        return true;
    }
    return (strncmp(argument, "memory=", 7) == 0 && read_number(argument + 7, &machine.free_bytes)) ||
           (strncmp(argument, "modules=", 8) == 0 && read_modules(argument + 8));
}

static int check_file(const char *name, FILE *file) {
    static char text[CONFIG_MAX_BYTES + 1];
    static struct system_config config;
    struct report report = {name, 0};
    size_t bytes = fread(text, 1, sizeof(text), file);

    if (ferror(file)) {
        perror(name);
        return 1;
    }
    if (config_parse(text, bytes, &config, &report) != ERR_OK ||
        config_check(&config, &machine, &report) != ERR_OK) {
        printf("%s: %u error%s\n", name, report.errors, report.errors == 1 ? "" : "s");
        return 1;
    }
    printf("%s: ok: %u partition%s\n", name, config.nr_partitions, config.nr_partitions == 1 ? "" : "s");
    config_print(&config);
    if (machine.cores == 0 || machine.free_bytes == 0 || boot.nr_modules == 0) {
        printf("%s: not checked, as not given:%s%s%s\n", name, machine.cores == 0 ? " cpus=N" : "",
               machine.free_bytes == 0 ? " memory=SIZE" : "", boot.nr_modules == 0 ? " modules=A,B,..." : "");
    }
    return 0;
}

int main(int argc, char **argv) {
    FILE *file;
    int result;

    for (int i = 2; i < argc; i++) {
        if (!read_argument(argv[i])) {
            fprintf(stderr, "confcheck: cannot use '%s'\n", argv[i]);
            argc = 1;
        }
    }
    if (argc < 2) {
        fprintf(stderr, "usage: confcheck FILE [cpus=N] [memory=SIZE] [modules=A,B,...]\n");
        return 1;
    }
    file = fopen(argv[1], "rb");
    if (file == NULL) {
        perror(argv[1]);
        return 1;
    }
    result = check_file(argv[1], file);
    fclose(file);
    return result;
}
