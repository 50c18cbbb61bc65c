/* SPDX-License-Identifier: Apache-2.0 */
/* Little-endian fields by offset. Somebody else's bytes may be hostile: never read behind the end. */
#pragma once

#include "core/str.h"

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

static inline void bytes_put(uint8_t *at, unsigned bytes, uint64_t value) {
    memcpy(at, &value, bytes);
}
