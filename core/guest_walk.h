/* SPDX-License-Identifier: Apache-2.0 */
/* Guest-linear to guest-physical through the guest's own page tables, which are hostile input. Reads guest
 * memory only, never writes: accessed and dirty bits stay as they are. No protection keys. */
#pragma once

#include "core/guest_map.h"

/* What an access is (0: a supervisor's data read) and why it fails, as a page-fault error code has it. */
enum { WALK_PRESENT = 0x01, WALK_WRITE = 0x02, WALK_USER = 0x04, WALK_RSVD = 0x08, WALK_FETCH = 0x10 };

struct guest_paging {
    uint64_t cr0, cr3, cr4, efer, rflags;
    uint64_t pdptes[4]; /* the CPU's own copies; used in PAE paging only */
    unsigned phys_bits; /* the guest's MAXPHYADDR, 32..52 */
};

struct walk_result {
    gpa_t at;
    uint32_t fault_code; /* valid with ERR_NOT_FOUND */
};

/* ERR_NOT_FOUND: page fault. ERR_MALFORMED: not canonical. ERR_RANGE: a table is not in guest memory. Outside
 * long mode the address is cut to 32 bits. */
must_check enum err guest_walk(const struct guest_map *map, const struct guest_paging *paging,
                               uint64_t linear, unsigned access, struct walk_result *out);

/* Bytes copied, from `linear` on up to the first that cannot be reached. */
must_check size_t guest_walk_read(const struct guest_map *map, const struct guest_paging *paging,
                                  uint64_t linear, unsigned access, void *to, size_t bytes);
