/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses the loader by what the image says it is. Flat binaries, which say nothing, are loaded
 * here. */
#include "core/load.h"

#include "core/check.h"
#include "core/load_elf.h"
#include "core/load_linux.h"
#include "core/loader.h"
#include "core/str.h"

#define REAL_MODE_MAX 0xFFFF0u /* the highest address a segment register can mean */

/* Up to 0xFFFF0 in real mode at CS:0, with the other segments as CS and SP 0, so that the stack is
 * the top of that 64 KiB; above in 32-bit protected mode, as a multiboot kernel without
 * information. */
static enum err load_flat(const struct load_request *request, struct guest_start *out) {
    const struct load_image *image = &request->kernel;
    struct loader_room room = {.map = request->map};
    struct range target = {request->load, image->bytes};
    bool real = request->load <= REAL_MODE_MAX;

    if ((real && request->load % 16 != 0) || request->load >= GIB(4)) {
        loader_complain(request, image,
                        "load = 0x%lx; wanted: a multiple of 16 up to 0xFFFF0, or any address from "
                        "there to 4 GiB",
                        (unsigned long)request->load);
        return ERR_RANGE;
    }
    if (loader_use(&room, target) != ERR_OK ||
        guest_map_write(request->map, gpa(request->load), image->data, image->bytes) != ERR_OK) {
        loader_complain(request, image, "%lu bytes at 0x%lx are not all RAM of this partition",
                        (unsigned long)image->bytes, (unsigned long)request->load);
        return ERR_RANGE;
    }
    if (!real) {
        enum err err = loader_start_protected(request, &room, out);

        out->rip = request->load;
        return err;
    }
    *out = (struct guest_start){
        .mode = START_REAL,
        .cs = (uint16_t)(request->load >> 4),
        .ds = (uint16_t)(request->load >> 4),
    };
    return ERR_OK;
}

enum err load_guest(const struct load_request *request, struct guest_start *out) {
    const struct load_image *kernel = &request->kernel;
    bool says = load_linux_is(kernel) || load_elf_is(kernel);
    enum err err;

    ASSERT(str_length(request->cmdline) < MAX_CMDLINE);
    ASSERT(str_length(request->initrd.name) < MAX_NAME);
    ASSERT(str_length(request->initrd_args) < MAX_CMDLINE);
    *out = (struct guest_start){0};
    if (request->has_load && says) {
        loader_complain(request, kernel, "load = is for flat binaries; this is %s: leave it out",
                        load_elf_is(kernel) ? "an ELF" : "a Linux kernel");
        return ERR_UNSUPPORTED;
    }
    if (request->has_load)
        return load_flat(request, out);
    err = load_linux_is(kernel) ? load_linux(request, out) : load_elf(request, out);
    if (err == ERR_NOT_FOUND) {
        loader_complain(request, kernel,
                        "neither a Linux bzImage nor a multiboot kernel; if it is a flat binary, "
                        "give load = ADDRESS");
        return ERR_UNSUPPORTED;
    }
    return err;
}
