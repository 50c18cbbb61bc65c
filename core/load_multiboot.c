/* SPDX-License-Identifier: Apache-2.0 */
/* Finds a multiboot header, version 2 before 1, in a file that is believed in nothing, and
 * says what it asks for. */
#include "core/load_multiboot.h"

#include "core/str.h"

#define MB1_MAGIC        0x1BADB002u
#define MB1_SEARCH       8192u
#define MB1_KNOWN_FLAGS  0x10007u /* align modules, memory, video mode, address fields */
#define MB1_ADDRESSES    BIT(16)

#define MB2_MAGIC        0xE85250D6u
#define MB2_SEARCH       32768u
#define MB2_TAG_OPTIONAL 1u
#define MB2_TAG_LAST     10u /* the last kind the specification knows */

static uint32_t load_multiboot_u32(const struct load_image *image, uint64_t at) {
    uint32_t v;

    memcpy(&v, (const uint8_t *)image->data + at, sizeof(v));
    return v;
}

/* A header begins with magic, two words, and a checksum that makes the sum zero; in version 1 the
 * checksum is the third word. */
static bool load_multiboot_find(const struct load_image *image, uint32_t magic, unsigned words,
                                uint64_t search, uint64_t step, uint64_t *at) {
    uint64_t bytes = words * 4u;

    if (search > image->bytes)
        search = image->bytes;
    for (*at = 0; *at + bytes <= search; *at += step) {
        uint32_t sum = 0;

        for (unsigned i = 0; i < words; i++)
            sum += load_multiboot_u32(image, *at + i * 4u);
        if (sum == 0 && load_multiboot_u32(image, *at) == magic)
            return true;
    }
    return false;
}

static enum err load_multiboot_header1(const struct load_request *request, struct multiboot_header *out) {
    const struct load_image *image = &request->kernel;
    uint32_t flags = load_multiboot_u32(image, out->at + 4);

    out->version = 1;
    if ((flags & 0xFFFF & ~MB1_KNOWN_FLAGS) != 0) {
        loader_complain(request, image, "multiboot header flags 0x%x; of 0-15 only 0-2 are known", flags);
        return ERR_UNSUPPORTED;
    }
    if ((flags & MB1_ADDRESSES) == 0)
        return ERR_OK;
    if (image->bytes - out->at < 32) {
        loader_complain(request, image, "cut short within its multiboot header");
        return ERR_MALFORMED;
    }
    out->has_address = out->has_entry = true;
    out->header_addr = load_multiboot_u32(image, out->at + 12);
    out->load_addr = load_multiboot_u32(image, out->at + 16);
    out->load_end_addr = load_multiboot_u32(image, out->at + 20);
    out->bss_end_addr = load_multiboot_u32(image, out->at + 24);
    out->entry_addr = load_multiboot_u32(image, out->at + 28);
    return ERR_OK;
}

/* One tag of a version 2 header. Requests for information are met as far as we have it: a kernel
 * that lacks a tag can say so better than we can. */
static enum err load_multiboot_tag(const struct load_request *request, uint64_t at, uint32_t size,
                                   struct multiboot_header *out) {
    const struct load_image *image = &request->kernel;
    uint32_t word = load_multiboot_u32(image, at);
    uint32_t type = word & 0xFFFF, flags = word >> 16;

    if (type == 2 && size >= 24) {
        out->has_address = true;
        out->header_addr = load_multiboot_u32(image, at + 8);
        out->load_addr = load_multiboot_u32(image, at + 12);
        out->load_end_addr = load_multiboot_u32(image, at + 16);
        out->bss_end_addr = load_multiboot_u32(image, at + 20);
    } else if (type == 3 && size >= 12) {
        out->has_entry = true;
        out->entry_addr = load_multiboot_u32(image, at + 8);
    } else if (type > MB2_TAG_LAST && (flags & MB2_TAG_OPTIONAL) == 0) {
        loader_complain(request, image, "multiboot2 header wants an unknown tag, %u", type);
        return ERR_UNSUPPORTED;
    }
    return ERR_OK;
}

static enum err load_multiboot_header2(const struct load_request *request, struct multiboot_header *out) {
    const struct load_image *image = &request->kernel;
    uint64_t length = load_multiboot_u32(image, out->at + 8), offset = 16;

    out->version = 2;
    if (load_multiboot_u32(image, out->at + 4) != 0) {
        loader_complain(request, image, "multiboot2 header for another architecture than i386");
        return ERR_UNSUPPORTED;
    }
    while (length <= image->bytes - out->at && offset + 8 <= length) {
        uint32_t type = load_multiboot_u32(image, out->at + offset) & 0xFFFF;
        uint32_t size = load_multiboot_u32(image, out->at + offset + 4);
        enum err err;

        if (type == 0)
            return ERR_OK;
        if (size < 8 || size > length - offset)
            break;
        err = load_multiboot_tag(request, out->at + offset, size, out);
        if (err != ERR_OK)
            return err;
        offset += align_up(size, 8);
    }
    loader_complain(request, image, "multiboot2 header of %lu bytes has no valid end tag",
                    (unsigned long)length);
    return ERR_MALFORMED;
}

enum err load_multiboot_header(const struct load_request *request, struct multiboot_header *out) {
    const struct load_image *image = &request->kernel;

    *out = (struct multiboot_header){0};
    if (load_multiboot_find(image, MB2_MAGIC, 4, MB2_SEARCH, 8, &out->at))
        return load_multiboot_header2(request, out);
    if (load_multiboot_find(image, MB1_MAGIC, 3, MB1_SEARCH, 4, &out->at))
        return load_multiboot_header1(request, out);
    return ERR_NOT_FOUND;
}
