/* SPDX-License-Identifier: Apache-2.0 */
/* A Linux kernel (bzImage) by the 32-bit boot protocol of Documentation/arch/x86/boot.rst, which every one
 * has: reads the file, which is believed in nothing, and builds what the kernel expects around it. */
#include "core/acpi_gen.h"
#include "core/loader.h"

/* Names and offsets as in the protocol. Of boot_params alone: */
enum { ACPI_RSDP_ADDR = 0x070, E820_ENTRIES = 0x1E8, E820_TABLE = 0x2D0, E820_MAX = 128, HEADER_MAX = 0x290 };
/* Of the header, in the file and in boot_params; JUMP says how far after MAGIC it ends, HEADER_MAX at the
 * most. */
enum { SETUP_SECTS = 0x1F1, JUMP = 0x201, MAGIC = 0x202, VERSION = 0x206, TYPE_OF_LOADER = 0x210 };
enum { LOADFLAGS = 0x211, CODE32_START = 0x214, RAMDISK_IMAGE = 0x218, RAMDISK_SIZE = 0x21C };
enum { CMD_LINE_PTR = 0x228, INITRD_ADDR_MAX = 0x22C, KERNEL_ALIGNMENT = 0x230, RELOCATABLE = 0x234 };
enum { XLOADFLAGS = 0x236, CMDLINE_SIZE = 0x238, PREF_ADDRESS = 0x258, INIT_SIZE = 0x260 };
_Static_assert(LOADER_MAX_RUNS <= E820_MAX, "e820_table holds every run");

#define USUAL_ADDRESS MIB(1) /* of kernels from before pref_address; code32_start counts from here */

bool load_linux_is(const struct loader *l, uint64_t *at) {
    (void)at;
    return l->request->kernel.bytes >= HEADER_MAX && loader_field(l, MAGIC, 4) == 0x53726448; /* HdrS */
}

static uint64_t linux_header_end(const struct loader *l) {
    uint64_t end = MAGIC + loader_field(l, JUMP, 1);
    return end < HEADER_MAX ? end : HEADER_MAX;
}

/* What the version of the kernel does not have yet is `other`. */
static uint64_t linux_field(const struct loader *l, unsigned at, unsigned bytes, uint64_t other) {
    return at + bytes <= linux_header_end(l) ? loader_field(l, at, bytes) : other;
}

/* From the start of the loaded kernel. */
static uint64_t linux_entry(const struct loader *l) {
    return linux_field(l, CODE32_START, 4, 0) - USUAL_ADDRESS;
}

/* At its preferred address if that is RAM; elsewhere if it can be moved. */
static enum err linux_place(struct loader *l, uint64_t setup, uint64_t *at) {
    uint64_t file_bytes = l->request->kernel.bytes - setup, bytes = linux_field(l, INIT_SIZE, 4, 0);
    uint64_t preferred = linux_field(l, PREF_ADDRESS, 8, USUAL_ADDRESS);
    bool relocatable = linux_field(l, RELOCATABLE, 1, 0) != 0;
    bytes = bytes > file_bytes ? bytes : file_bytes;
    struct loader_want here = {bytes, 1, preferred, preferred + bytes, false};
    struct loader_want want = {bytes, linux_field(l, KERNEL_ALIGNMENT, 4, 0), MIB(1), GIB(4), false};
    if (relocatable && count_bits(want.align) != 1)
        return loader_refuse(l, ERR_MALFORMED, "kernel_alignment 0x%lx; wanted: a power of two", want.align);
    if (loader_find(l, &here, at) || (relocatable && loader_find(l, &want, at)))
        return loader_place(l, setup, file_bytes, *at, bytes);
    return loader_refuse(l, ERR_NO_MEMORY,
                         "no room: wants %lu KiB of RAM at 0x%lx%s; give the partition more memory",
                         bytes >> 10, preferred, relocatable ? " or elsewhere below 4 GiB" : "");
}

enum err load_linux(struct loader *l, uint64_t at, struct guest_start *out) {
    uint64_t version = linux_field(l, VERSION, 2, 0), file_bytes = l->request->kernel.bytes;
    uint64_t sectors = linux_field(l, SETUP_SECTS, 1, 0), setup = ((sectors == 0 ? 4 : sectors) + 1) * 512;
    uint64_t cmdline = str_length(l->request->config->cmdline);
    uint64_t cmdline_max = linux_field(l, CMDLINE_SIZE, 4, 255);
    if (version < 0x0203 /* initrd_addr_max */ ||
        (linux_field(l, LOADFLAGS, 1, 0) & BIT(0) /* LOADED_HIGH */) == 0)
        return loader_refuse(l, ERR_UNSUPPORTED, "boot protocol %lu.%lu; wanted: a bzImage of 2.3 or later",
                             version >> 8, version & 0xFF);
    if (file_bytes <= setup || linux_entry(l) >= file_bytes - setup)
        return loader_refuse(l, ERR_MALFORMED,
                             "damaged: %lu bytes with %lu of setup code and the entry 0x%lx after them",
                             file_bytes, setup, linux_entry(l));
    if (cmdline > cmdline_max)
        return loader_refuse(l, ERR_RANGE, "a command line of %lu bytes; this kernel takes %lu", cmdline,
                             cmdline_max);
    /* Several modules are one initrd: the kernel unpacks one archive after the other and skips zeros. */
    if ((linux_field(l, XLOADFLAGS, 2, 0) & BIT(1)) == 0) /* XLF_CAN_BE_LOADED_ABOVE_4G, the initrd too */
        l->modules.max = linux_field(l, INITRD_ADDR_MAX, 4, 0) + 1;
    l->modules.high = true;
    out->cs = 0x10; /* __BOOT_CS */
    enum err e = linux_place(l, setup, &at);
    out->rip = at + linux_entry(l);
    return e;
}

/* The kernel copies what it wants to keep of it before it uses that memory. */
void load_linux_tell(struct loader *l, struct guest_start *out) {
    const struct load_request *request = l->request;
    uint64_t kernel_at = out->rip - linux_entry(l);
    uint8_t *params = loader_put(l, PAGE_SIZE, PAGE_SIZE, &out->rsi);
    memcpy(params + SETUP_SECTS, (const uint8_t *)request->kernel.data + SETUP_SECTS,
           linux_header_end(l) - SETUP_SECTS);
    bytes_put(params + TYPE_OF_LOADER, 1, 0xFF); /* none that the protocol knows */
    bytes_put(params + CODE32_START, 4, kernel_at + linux_field(l, CODE32_START, 4, 0) - USUAL_ADDRESS);
    bytes_put(params + RAMDISK_IMAGE, 4, l->modules_at);
    bytes_put(params + RAMDISK_SIZE, 4, l->modules.bytes);
    bytes_put(params + CMD_LINE_PTR, 4, loader_put_text(l, request->config->cmdline, ""));
    bytes_put(params + ACPI_RSDP_ADDR, 8, ACPI_RSDP);
    bytes_put(params + E820_ENTRIES, 1, l->nr_runs);
    memcpy(params + E820_TABLE, l->runs, l->nr_runs * sizeof(l->runs[0]));
}
