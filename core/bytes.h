/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody else's bytes, which may be hostile: fields are read by offset, never behind the end. */
#pragma once

#include "core/str.h"
#include "core/types.h"

struct bytes {
    const uint8_t *at;
    uint64_t length;
};

/* Little-endian, of at most 8 bytes. What lies behind the end reads as 0, as fields younger than a table
 * should. */
static inline uint64_t bytes_field(struct bytes b, uint64_t offset, unsigned bytes) {
    uint64_t v = 0;
    if (offset <= b.length && bytes <= b.length - offset)
        memcpy(&v, b.at + offset, bytes);
    return v;
}

static inline uint32_t bytes_u32(struct bytes b, uint64_t offset) {
    return (uint32_t)bytes_field(b, offset, 4);
}

static inline uint8_t bytes_u8(struct bytes b, uint64_t offset) {
    return (uint8_t)bytes_field(b, offset, 1);
}
