/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a bzImage, which is the user's file and believed in nothing, and builds what the kernel
 * expects around it: boot_params, e820, page tables, GDT. */
#include "core/load_linux.h"

#include "core/loader.h"
#include "core/str.h"

#define packed           __attribute__((packed))

#define HEADER_AT        0x1F1u
#define HEADER_MAX       0x290u /* where boot_params goes on with something else */
#define ENTRY_64         0x200u /* from the start of the loaded kernel */
#define SECTOR           512u

#define PROTOCOL_MIN     0x020C /* the first with xloadflags */
#define XLF_KERNEL_64    BIT(0)
#define XLF_ABOVE_4G     BIT(1)
#define LOADER_UNDEFINED 0xFF

#define CS_LINUX         0x10
#define DS_LINUX         0x18

#define E820_RAM         1u
#define E820_RESERVED    2u
#define E820_ACPI        3u

#define PTE_PRESENT      BIT(0)
#define PTE_WRITABLE     BIT(1)
#define PTE_LARGE        BIT(7)
#define PTES             (PAGE_SIZE / sizeof(uint64_t))

/* Names as in the protocol. */
struct packed setup_header {   /* offset in the file and in boot_params */
    uint8_t setup_sects;       /* 1F1 */
    uint8_t gap_1f2[12];       /* 1F2 */
    uint16_t boot_flag;        /* 1FE */
    uint8_t jump;              /* 200 */
    uint8_t jump_by;           /* 201: the header ends that far after 202 */
    char magic[4];             /* 202 */
    uint16_t version;          /* 206 */
    uint8_t gap_208[8];        /* 208 */
    uint8_t type_of_loader;    /* 210 */
    uint8_t loadflags;         /* 211 */
    uint8_t gap_212[6];        /* 212 */
    uint32_t ramdisk_image;    /* 218 */
    uint32_t ramdisk_size;     /* 21C */
    uint8_t gap_220[8];        /* 220 */
    uint32_t cmd_line_ptr;     /* 228 */
    uint32_t initrd_addr_max;  /* 22C */
    uint32_t kernel_alignment; /* 230 */
    uint8_t relocatable;       /* 234 */
    uint8_t min_alignment;     /* 235 */
    uint16_t xloadflags;       /* 236 */
    uint32_t cmdline_size;     /* 238 */
    uint8_t gap_23c[28];       /* 23C */
    uint64_t pref_address;     /* 258 */
    uint32_t init_size;        /* 260 */
    uint32_t handover_offset;  /* 264 */
};
_Static_assert(sizeof(struct setup_header) == 0x268 - HEADER_AT, "setup_header");

struct packed e820_entry {
    uint64_t base;
    uint64_t size;
    uint32_t type;
};
_Static_assert(sizeof(struct e820_entry) == 20, "e820 entry");

struct packed boot_params {             /* offset */
    uint8_t gap_000[0x70];              /* 000 */
    uint64_t acpi_rsdp_addr;            /* 070 */
    uint8_t gap_078[0x48];              /* 078 */
    uint32_t ext_ramdisk_image;         /* 0C0 */
    uint32_t ext_ramdisk_size;          /* 0C4 */
    uint32_t ext_cmd_line_ptr;          /* 0C8 */
    uint8_t gap_0cc[0x11C];             /* 0CC */
    uint8_t e820_entries;               /* 1E8 */
    uint8_t gap_1e9[8];                 /* 1E9 */
    struct setup_header header;         /* 1F1 */
    uint8_t gap_268[0x2D0 - 0x268];     /* 268 */
    struct e820_entry e820[128];        /* 2D0 */
    uint8_t gap_cd0[PAGE_SIZE - 0xCD0]; /* CD0 */
};
_Static_assert(sizeof(struct boot_params) == PAGE_SIZE, "boot_params");
_Static_assert(offsetof(struct boot_params, header) == HEADER_AT, "boot_params, setup_header");
_Static_assert(offsetof(struct boot_params, e820) == 0x2D0, "boot_params, e820_table");
_Static_assert(MAX_GUEST_REGIONS + 2 <= 128, "e820 holds every region");

/* What we put below 640 KiB for the kernel's first steps, in this order. The kernel copies what it
 * wants to keep before it uses that memory. */
struct linux_low {
    struct boot_params params;
    char cmdline[PAGE_SIZE - 64];
    uint64_t gdt[8];
    uint64_t pml4[PTES], pdpt[PTES];
    uint64_t pd[6][PTES]; /* the first 4 GiB; two more where the kernel is above */
};
_Static_assert(MAX_CMDLINE <= sizeof(((struct linux_low *)0)->cmdline), "room for a command line");

/* Everything about one load. */
struct linux_plan {
    const struct load_request *request;
    struct loader_room room;
    struct setup_header header;
    uint64_t payload_at, payload_bytes; /* in the file */
    uint64_t kernel_at, initrd_at, low_at;
};

bool load_linux_is(const struct load_image *image) {
    const uint8_t *data = image->data;

    return image->bytes >= HEADER_AT + sizeof(struct setup_header) && memcmp(data + 0x202, "HdrS", 4) == 0;
}

/* Copy the header, check what the rest of the loader relies on. */
static enum err load_linux_header(struct linux_plan *plan) {
    const struct load_request *request = plan->request;
    const struct load_image *kernel = &request->kernel;
    struct setup_header *h = &plan->header;
    uint64_t setup;

    memcpy(h, (const uint8_t *)kernel->data + HEADER_AT, sizeof(*h));
    setup = ((h->setup_sects == 0 ? 4u : h->setup_sects) + 1u) * SECTOR;
    if (h->version < PROTOCOL_MIN || (h->xloadflags & XLF_KERNEL_64) == 0) {
        loader_complain(request, kernel,
                        "no 64-bit entry (boot protocol %u.%u, xloadflags 0x%x); "
                        "wanted: an x86-64 kernel, 3.8 or later",
                        h->version >> 8, h->version & 0xFFu, h->xloadflags);
        return ERR_UNSUPPORTED;
    }
    if (kernel->bytes <= setup + ENTRY_64) {
        loader_complain(request, kernel, "cut short: %lu bytes, its setup code alone takes %lu",
                        (unsigned long)kernel->bytes, (unsigned long)setup);
        return ERR_MALFORMED;
    }
    if (h->kernel_alignment == 0 || (h->kernel_alignment & (h->kernel_alignment - 1)) != 0) {
        loader_complain(request, kernel, "kernel_alignment 0x%x is not a power of two", h->kernel_alignment);
        return ERR_MALFORMED;
    }
    if (str_length(request->cmdline) > h->cmdline_size) {
        loader_complain(request, kernel, "a command line of %lu bytes; this kernel takes %u",
                        (unsigned long)str_length(request->cmdline), h->cmdline_size);
        return ERR_RANGE;
    }
    plan->payload_at = setup;
    plan->payload_bytes = kernel->bytes - setup;
    return ERR_OK;
}

/* At its preferred address if that is RAM; elsewhere if it can be moved. The page tables reach two
 * GiB from where it starts: more than one is refused. */
static enum err load_linux_place_kernel(struct linux_plan *plan) {
    const struct setup_header *h = &plan->header;
    uint64_t bytes = h->init_size > plan->payload_bytes ? h->init_size : plan->payload_bytes;
    struct loader_want want = {bytes, h->kernel_alignment, MIB(1), GIB(4), false};
    enum err err = ERR_NO_MEMORY;

    plan->kernel_at = h->pref_address;
    if (bytes <= GIB(1) && h->pref_address <= GIB(4) - bytes &&
        loader_use(&plan->room, (struct range){h->pref_address, bytes}) == ERR_OK)
        return ERR_OK;
    if (bytes <= GIB(1) && h->relocatable != 0) {
        err = loader_find(&plan->room, &want, &plan->kernel_at);
        if (err != ERR_OK && (h->xloadflags & XLF_ABOVE_4G) != 0) {
            want.max = LOADER_ADDR_MAX;
            err = loader_find(&plan->room, &want, &plan->kernel_at);
        }
    }
    if (err != ERR_OK) {
        loader_complain(plan->request, &plan->request->kernel,
                        "no room: wants %lu KiB of RAM at 0x%lx%s; give the partition more memory",
                        (unsigned long)(bytes >> 10), (unsigned long)h->pref_address,
                        h->relocatable != 0 ? " or elsewhere" : "");
    }
    return err;
}

static enum err load_linux_place_initrd(struct linux_plan *plan) {
    const struct load_image *initrd = &plan->request->initrd;
    struct loader_want want = {initrd->bytes, PAGE_SIZE, MIB(1), (uint64_t)plan->header.initrd_addr_max + 1,
                               true};
    enum err err;

    if (initrd->bytes == 0)
        return ERR_OK;
    err = loader_find(&plan->room, &want, &plan->initrd_at);
    if (err != ERR_OK && (plan->header.xloadflags & XLF_ABOVE_4G) != 0) {
        want.max = LOADER_ADDR_MAX;
        err = loader_find(&plan->room, &want, &plan->initrd_at);
    }
    if (err != ERR_OK) {
        loader_complain(plan->request, initrd,
                        "no room for %lu KiB of initrd; give the partition more memory",
                        (unsigned long)(initrd->bytes >> 10));
    }
    return err;
}

static enum err load_linux_place(struct linux_plan *plan) {
    struct loader_want low = {sizeof(struct linux_low), PAGE_SIZE, LOADER_LOW_MIN, LOADER_LOW_MAX, false};
    enum err err = loader_find(&plan->room, &low, &plan->low_at);

    if (err != ERR_OK) {
        loader_complain(plan->request, &plan->request->kernel,
                        "no room: %lu KiB of RAM between 64 and 640 KiB are needed",
                        (unsigned long)(low.bytes >> 10));
        return err;
    }
    err = load_linux_place_kernel(plan);
    return err == ERR_OK ? load_linux_place_initrd(plan) : err;
}

static void load_linux_e820(struct boot_params *params, const struct guest_map *map) {
    enum region_kind kind;
    struct range run;
    unsigned index = 0, n = 0;

    while (loader_next_run(map, &index, &run, &kind)) {
        params->e820[n++] =
            (struct e820_entry){run.base, run.size, kind == REGION_RAM ? E820_RAM : E820_ACPI};
    }
    params->e820[n++] = (struct e820_entry){0xFEC00000, PAGE_SIZE, E820_RESERVED}; /* IOAPIC */
    params->e820[n++] = (struct e820_entry){0xFEE00000, PAGE_SIZE, E820_RESERVED}; /* local APIC */
    params->e820_entries = (uint8_t)n;
}

static void load_linux_params(const struct linux_plan *plan, struct boot_params *params) {
    const struct load_request *request = plan->request;
    uint64_t cmdline = plan->low_at + offsetof(struct linux_low, cmdline);
    uint64_t header_end = 0x202u + plan->header.jump_by;

    /* The whole header, not only the part with a name here: it is as long as it says. */
    if (header_end > HEADER_MAX)
        header_end = HEADER_MAX;
    memcpy((uint8_t *)params + HEADER_AT, (const uint8_t *)request->kernel.data + HEADER_AT,
           header_end - HEADER_AT);
    params->header.type_of_loader = LOADER_UNDEFINED;
    params->header.cmd_line_ptr = (uint32_t)cmdline;
    params->header.ramdisk_image = (uint32_t)plan->initrd_at;
    params->header.ramdisk_size = (uint32_t)request->initrd.bytes;
    params->ext_ramdisk_image = (uint32_t)(plan->initrd_at >> 32);
    params->ext_ramdisk_size = (uint32_t)(request->initrd.bytes >> 32);
    params->acpi_rsdp_addr = request->rsdp.v;
    load_linux_e820(params, request->map);
}

/* Identity: the first 4 GiB, and the two GiB from where the kernel lies, in 2 MiB pages. */
static void load_linux_page_tables(const struct linux_plan *plan, struct linux_low *low) {
    uint64_t low_at = plan->low_at, first = plan->kernel_at >> 30;

    low->pml4[0] = (low_at + offsetof(struct linux_low, pdpt)) | PTE_PRESENT | PTE_WRITABLE;
    for (unsigned i = 0; i < ARRAY_SIZE(low->pd); i++) {
        uint64_t gib = i < 4 ? i : first + i - 4;

        for (unsigned j = 0; j < PTES; j++)
            low->pd[i][j] = GIB(gib) + j * PAGE_2M + (PTE_PRESENT | PTE_WRITABLE | PTE_LARGE);
        low->pdpt[gib % PTES] =
            (low_at + offsetof(struct linux_low, pd) + i * PAGE_SIZE) | PTE_PRESENT | PTE_WRITABLE;
    }
}

static void load_linux_low(const struct linux_plan *plan, struct linux_low *low) {
    memset(low, 0, sizeof(*low));
    load_linux_params(plan, &low->params);
    str_copy(low->cmdline, sizeof(low->cmdline), plan->request->cmdline, str_length(plan->request->cmdline));
    low->gdt[CS_LINUX / 8] = 0x00AF9B000000FFFF; /* 64-bit code */
    low->gdt[DS_LINUX / 8] = 0x00CF93000000FFFF; /* data */
    load_linux_page_tables(plan, low);
}

static enum err load_linux_write(const struct linux_plan *plan) {
    const struct load_request *request = plan->request;
    const uint8_t *payload = (const uint8_t *)request->kernel.data + plan->payload_at;
    struct linux_low *low = guest_map_ptr(request->map, gpa(plan->low_at), sizeof(*low));
    enum err err;

    if (low == NULL) {
        loader_complain(request, &request->kernel, "no %lu KiB of one piece below 640 KiB",
                        (unsigned long)(sizeof(*low) >> 10));
        return ERR_NO_MEMORY;
    }
    load_linux_low(plan, low);
    err = guest_map_write(request->map, gpa(plan->kernel_at), payload, plan->payload_bytes);
    if (err == ERR_OK && request->initrd.bytes != 0) {
        err =
            guest_map_write(request->map, gpa(plan->initrd_at), request->initrd.data, request->initrd.bytes);
    }
    if (err != ERR_OK) {
        loader_complain(request, &request->kernel, "guest memory at 0x%lx cannot be written",
                        (unsigned long)plan->kernel_at);
    }
    return err;
}

enum err load_linux(const struct load_request *request, struct guest_start *out) {
    struct linux_plan plan = {.request = request, .room = {.map = request->map}};
    enum err err = load_linux_header(&plan);

    if (err == ERR_OK)
        err = load_linux_place(&plan);
    if (err == ERR_OK)
        err = load_linux_write(&plan);
    if (err != ERR_OK)
        return err;
    *out = (struct guest_start){
        .mode = START_LONG,
        .rip = plan.kernel_at + ENTRY_64,
        .rsi = plan.low_at + offsetof(struct linux_low, params),
        .cr3 = plan.low_at + offsetof(struct linux_low, pml4),
        .gdt_base = plan.low_at + offsetof(struct linux_low, gdt),
        .gdt_limit = sizeof(((struct linux_low *)0)->gdt) - 1,
        .cs = CS_LINUX,
        .ds = DS_LINUX,
    };
    return ERR_OK;
}
