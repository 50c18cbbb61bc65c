/* SPDX-License-Identifier: Apache-2.0 */
/* A Linux kernel (bzImage) by the 64-bit boot protocol of Documentation/arch/x86/boot.rst: reads the file,
 * which is believed in nothing, and builds what the kernel expects around it: boot_params, page tables, GDT.
 */
#include "core/loader.h"

#define HEADER_AT        0x1F1u
#define HEADER_MAX       0x290u /* where boot_params goes on with something else */
#define MAGIC_AT         0x202u
#define ENTRY_64         0x200u /* from the start of the loaded kernel */
#define SECTOR           512u

#define PROTOCOL_MIN     0x020C /* the first with xloadflags */
#define XLF_KERNEL_64    BIT(0)
#define XLF_ABOVE_4G     BIT(1)
#define LOADER_UNDEFINED 0xFF

#define CS_LINUX         0x10
#define DS_LINUX         0x18

#define PTE_TABLE        (BIT(0) | BIT(1)) /* present, writable */
#define PTE_LARGE        (PTE_TABLE | BIT(7))
#define PTES             (PAGE_SIZE / sizeof(uint64_t))

/* Names as in the protocol. From setup_sects on the file has the same, at the same offsets, up to 268H. */
struct __attribute__((packed)) boot_params { /* offset */
    uint8_t gap_000[0x70];                   /* 000 */
    uint64_t acpi_rsdp_addr;                 /* 070 */
    uint8_t gap_078[0x48];                   /* 078 */
    uint32_t ext_ramdisk_image;              /* 0C0 */
    uint32_t ext_ramdisk_size;               /* 0C4 */
    uint8_t gap_0c8[0x120];                  /* 0C8 */
    uint8_t e820_entries;                    /* 1E8 */
    uint8_t gap_1e9[8];                      /* 1E9 */
    uint8_t setup_sects;                     /* 1F1 */
    uint8_t gap_1f2[15];                     /* 1F2 */
    uint8_t jump_by;                         /* 201: the header ends that far after 202 */
    char magic[4];                           /* 202 */
    uint16_t version;                        /* 206 */
    uint8_t gap_208[8];                      /* 208 */
    uint8_t type_of_loader;                  /* 210 */
    uint8_t gap_211[7];                      /* 211 */
    uint32_t ramdisk_image;                  /* 218 */
    uint32_t ramdisk_size;                   /* 21C */
    uint8_t gap_220[8];                      /* 220 */
    uint32_t cmd_line_ptr;                   /* 228 */
    uint32_t initrd_addr_max;                /* 22C */
    uint32_t kernel_alignment;               /* 230 */
    uint8_t relocatable;                     /* 234 */
    uint8_t min_alignment;                   /* 235 */
    uint16_t xloadflags;                     /* 236 */
    uint32_t cmdline_size;                   /* 238 */
    uint8_t gap_23c[28];                     /* 23C */
    uint64_t pref_address;                   /* 258 */
    uint32_t init_size;                      /* 260 */
    uint8_t gap_264[0x6C];                   /* 264 */
    struct loader_run e820[128];             /* 2D0 */
    uint8_t gap_cd0[PAGE_SIZE - 0xCD0];      /* CD0 */
};
_Static_assert(sizeof(struct boot_params) == PAGE_SIZE, "boot_params");
_Static_assert(offsetof(struct boot_params, setup_sects) == HEADER_AT, "boot_params, setup_header");
_Static_assert(offsetof(struct boot_params, init_size) == 0x260, "boot_params, init_size");
_Static_assert(offsetof(struct boot_params, e820) == 0x2D0, "boot_params, e820_table");
_Static_assert(MAX_GUEST_REGIONS + 2 <= 128, "e820 holds every region");

/* What we put below 640 KiB for the kernel's first steps. The kernel copies what it wants to keep before it
 * uses that memory. */
struct linux_low {
    struct boot_params params;
    char cmdline[PAGE_SIZE - 64];
    uint64_t gdt[8];
    uint64_t pml4[PTES], pdpt[PTES];
    uint64_t pd[6][PTES]; /* the first 4 GiB; two more where the kernel is above */
};
_Static_assert(MAX_CMDLINE <= sizeof(((struct linux_low *)0)->cmdline), "room for a command line");

bool load_linux_is(const struct loader *l) {
    return l->request->kernel.bytes >= HEADER_MAX && loader_field(l, MAGIC_AT, 4) == 0x53726448; /* HdrS */
}

/* What the rest of the loader relies on; `setup` bytes precede the kernel proper. */
static enum err load_linux_check(const struct loader *l, const struct boot_params *h, uint64_t setup) {
    uint64_t bytes = l->request->kernel.bytes;
    size_t cmdline = str_length(l->request->config->cmdline);

    if (h->version < PROTOCOL_MIN || (h->xloadflags & XLF_KERNEL_64) == 0)
        return loader_refuse(
            l, ERR_UNSUPPORTED,
            "no 64-bit entry (boot protocol %u.%u, xloadflags 0x%x); wanted: an x86-64 kernel, "
            "3.8 or later",
            h->version >> 8, h->version & 0xFFu, h->xloadflags);
    if (bytes <= setup + ENTRY_64 || count_bits(h->kernel_alignment) != 1)
        return loader_refuse(l, ERR_MALFORMED,
                             "damaged: %lu bytes with %lu of setup code, kernel_alignment 0x%x; wanted: more "
                             "bytes, and a power of two",
                             bytes, setup, h->kernel_alignment);
    if (cmdline > h->cmdline_size)
        return loader_refuse(l, ERR_RANGE, "a command line of %lu bytes; this kernel takes %u", cmdline,
                             h->cmdline_size);
    return ERR_OK;
}

/* At its preferred address if that is RAM; elsewhere if it can be moved. The page tables reach two GiB from
 * where it starts: more than one is refused. */
static enum err load_linux_place_kernel(struct loader *l, const struct boot_params *h, uint64_t bytes,
                                        uint64_t *at) {
    uint64_t max = (h->xloadflags & XLF_ABOVE_4G) != 0 ? LOADER_ADDR_MAX : GIB(4);
    struct loader_want want = {bytes, h->kernel_alignment, MIB(1), max, false};

    *at = h->pref_address;
    if (bytes <= GIB(1) && ((*at <= GIB(4) - bytes && loader_take(l, (struct range){*at, bytes})) ||
                            (h->relocatable != 0 && loader_find(l, &want, at))))
        return ERR_OK;
    return loader_refuse(l, ERR_NO_MEMORY,
                         "no room: wants %lu KiB of RAM at 0x%lx%s; give the partition more memory",
                         bytes >> 10, h->pref_address, h->relocatable != 0 ? " or elsewhere" : "");
}

static void load_linux_params(const struct loader *l, struct boot_params *params, uint64_t initrd_at) {
    const struct load_request *request = l->request;
    const struct boot_params *file = request->kernel.data;
    uint32_t bytes = MAGIC_AT - HEADER_AT + file->jump_by;

    /* The whole header, not only the part with a name here: it is as long as it says. */
    memcpy((uint8_t *)params + HEADER_AT, (const uint8_t *)file + HEADER_AT,
           bytes < HEADER_MAX - HEADER_AT ? bytes : HEADER_MAX - HEADER_AT);
    params->type_of_loader = LOADER_UNDEFINED;
    params->ramdisk_image = (uint32_t)initrd_at;
    params->ramdisk_size = (uint32_t)request->initrd.bytes;
    params->ext_ramdisk_image = (uint32_t)(initrd_at >> 32);
    params->ext_ramdisk_size = (uint32_t)(request->initrd.bytes >> 32);
    params->acpi_rsdp_addr = request->rsdp.v;
    memcpy(params->e820, l->runs, l->nr_runs * sizeof(l->runs[0]));
    params->e820[l->nr_runs] = (struct loader_run){0xFEC00000, PAGE_SIZE, MEMORY_RESERVED}; /* IOAPIC */
    params->e820[l->nr_runs + 1] =
        (struct loader_run){0xFEE00000, PAGE_SIZE, MEMORY_RESERVED}; /* local APIC */
    params->e820_entries = (uint8_t)(l->nr_runs + 2);
}

/* Identity: the first 4 GiB, and the two GiB from where the kernel lies, in 2 MiB pages. */
static void load_linux_page_tables(struct linux_low *low, uint64_t low_at, uint64_t kernel_at) {
    low->pml4[0] = (low_at + offsetof(struct linux_low, pdpt)) | PTE_TABLE;
    for (unsigned i = 0; i < ARRAY_SIZE(low->pd); i++) {
        uint64_t gib = i < 4 ? i : (kernel_at >> 30) + i - 4;

        for (unsigned j = 0; j < PTES; j++)
            low->pd[i][j] = (GIB(gib) + j * PAGE_2M) | PTE_LARGE;
        low->pdpt[gib] = (low_at + offsetof(struct linux_low, pd[i])) | PTE_TABLE;
    }
}

enum err load_linux(struct loader *l, struct guest_start *out) {
    const struct load_request *request = l->request;
    const struct boot_params *h = request->kernel.data;
    uint64_t setup = ((h->setup_sects == 0 ? 4u : h->setup_sects) + 1u) * SECTOR;
    uint64_t bytes = request->kernel.bytes - setup, low_at, kernel_at, initrd_at;
    uint64_t far = (h->xloadflags & XLF_ABOVE_4G) != 0 ? LOADER_ADDR_MAX : 0;
    struct loader_want initrd = {0, PAGE_SIZE, MIB(1), UINT64_C(1) + h->initrd_addr_max, true};
    enum err err = load_linux_check(l, h, setup);
    struct linux_low *low = err == ERR_OK ? loader_low_block(l, sizeof(*low), &low_at) : NULL;

    if (low == NULL)
        return err == ERR_OK ? ERR_NO_MEMORY : err;
    err = load_linux_place_kernel(l, h, h->init_size > bytes ? h->init_size : bytes, &kernel_at);
    if (err == ERR_OK)
        err = loader_copy(l, &request->kernel, setup, bytes, kernel_at);
    if (err == ERR_OK)
        err = loader_place_initrd(l, initrd, far, &initrd_at);
    if (err != ERR_OK)
        return err;
    load_linux_params(l, &low->params, initrd_at);
    low->params.cmd_line_ptr = (uint32_t)(low_at + offsetof(struct linux_low, cmdline));
    memcpy(low->cmdline, request->config->cmdline, sizeof(request->config->cmdline));
    low->gdt[CS_LINUX / 8] = 0x00AF9B000000FFFF; /* 64-bit code */
    low->gdt[DS_LINUX / 8] = 0x00CF93000000FFFF; /* data */
    load_linux_page_tables(low, low_at, kernel_at);
    *out = (struct guest_start){
        .mode = START_LONG,
        .rip = kernel_at + ENTRY_64,
        .rsi = low_at,
        .cr3 = low_at + offsetof(struct linux_low, pml4),
        .gdt_base = low_at + offsetof(struct linux_low, gdt),
        .gdt_limit = sizeof(low->gdt) - 1,
        .cs = CS_LINUX,
        .ds = DS_LINUX,
    };
    return ERR_OK;
}
