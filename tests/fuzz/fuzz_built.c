/* SPDX-License-Identifier: Apache-2.0 */
/* Any system that config_check accepts, on any memory map: its tables are refused with a reason or pass the
 * proof of built.h. */
#include "core/host.h"
#include "tests/unit/built.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *next;
static size_t left;

static uint64_t take(size_t bytes) {
    uint64_t v = 0;

    bytes = bytes < left ? bytes : left;
    memcpy(&v, next, bytes);
    next += bytes;
    left -= bytes;
    return v;
}

/* Further pieces of the map below 64 GiB, on any byte, of any kind, over what is there. */
static void any_memory(void) {
    for (unsigned more = (unsigned)take(1) % 8; more > 0; more--) {
        uint64_t shift = take(1) % 24, base = take(2) << shift, bytes = take(2) << shift;

        built.info.memory[built.info.nr_memory].range =
            range_clip((struct range){base + take(1), bytes}, 0, BUILT_MEMORY);
        built.info.memory[built.info.nr_memory++].kind = (enum memory_kind)(MEMORY_RAM + take(1) % 5);
    }
}

static void any_partition(struct partition_config *p, char name) {
    uint64_t flags = take(1);

    p->name[0] = name;
    strcpy(p->kernel, "k");
    strcpy(p->initrd, (flags & 1) != 0 ? "i" : "");
    p->cpus = take(1) << (flags & 2);
    p->memory_bytes = MIB(2) + take(2) * ((flags & 4) != 0 ? KIB(4) : MIB(1) / 4);
    p->identity = (flags & 8) != 0;
    p->has_load = p->load_at_reset = (flags & 48) == 48;
    p->bad_access = BAD_ACCESS_STOP;
    for (p->mmio.count = 0; p->mmio.count < (flags >> 6); p->mmio.count++)
        p->mmio.at[p->mmio.count] = (struct range){take(3) << 12, (1 + take(1)) << 12};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct system_config config;
    struct report report = {"c", 0};

    next = data;
    left = size;
    stub_log_clear();
    memset(&config, 0, sizeof(config));
    built_machine(1 + (unsigned)take(1) % 4, MIB(64) << take(1) % 7);
    built_module("k", 1 + take(2));
    built_module("i", take(2));
    any_memory();
    config.nr_partitions = 1 + (unsigned)take(1) % 4;
    for (unsigned i = 0; i < config.nr_partitions; i++)
        any_partition(&config.partitions[i], (char)('a' + i));
    if (frames_init(&built.frames, built.info.memory, built.info.nr_memory) != ERR_OK)
        return 0;
    const struct machine machine = {BIT(built.platform.nr_cpus) - 1, frames_free_bytes(&built.frames),
                                    &built.info, &built.platform, BIT(vmx_phys_bits(&built.caps))};

    if (config_check(&config, &machine, &report) != ERR_OK)
        return 0;
    stub_log_clear();
    if (built_build(&config) != ERR_OK) {
        if (strstr(stub_log, "no room for") == NULL)
            host_panic(__FILE__, __LINE__, stub_log);
    } else if (!built_prove()) {
        host_panic(__FILE__, __LINE__, built.offence);
    }
    return 0;
}
