/* SPDX-License-Identifier: Apache-2.0 */
/* Walks the tables as they lie in memory, by numbers of its own: pagetable.c is what it looks at. */
#include "tests/audit/ept_check.h"

#include "core/host.h"
#include "core/log.h"

#define LEVELS      4u
#define ENTRIES     512u
#define SPAN        BIT(48)
#define POINTER_LOW 0x1eu /* write-back, 4 levels, no accessed and dirty bits */
#define RIGHTS      7u
#define WRITE       2u
#define EXECUTE     4u
#define LARGE       BIT(7)
#define ADDRESS     UINT64_C(0x000ffffffffff000)
#define UNUSED      (~(ADDRESS | 0xff)) /* ignored, or of features that are off */
#define CAP_X_ONLY  BIT(0)
#define CAP_2M      BIT(16)
#define CAP_1G      BIT(17)

static bool table_is_own(hpa_t at, const struct frames_list *own) {
    bool is = false;
    for (unsigned i = 0; i < own->count; i++)
        is |= range_contains(own->ranges[i], (struct range){at.v, PAGE_SIZE});
    return is;
}

static bool is_leaf(uint64_t e, unsigned level) {
    return level == 1 || (level < LEVELS && (e & LARGE) != 0);
}

/* What is wrong with an entry that is not 0; NULL: nothing. */
static const char *entry_wrong(const struct vmx_caps *caps, const struct frames_list *own, uint64_t e,
                               unsigned level) {
    bool leaf = is_leaf(e, level), large = leaf && level > 1;
    uint64_t cap = caps->raw[CAP_EPT_VPID], type = e >> 3 & 7, size = PAGE_SIZE << 9 * (level - 1);
    const struct {
        bool broken;
        const char *words;
    } rules[] = {
        {(e & RIGHTS) == 0, "no access, and yet not 0"},
        {(e & 3) == WRITE, "writable, not readable"},
        {(e & RIGHTS) == EXECUTE && (cap & CAP_X_ONLY) == 0, "execute-only, which this CPU does not have"},
        {(e & ADDRESS) >> vmx_phys_bits(caps) != 0, "an address from MAXPHYADDR on"},
        {!leaf && (e & (level == LEVELS ? 0xf8 : 0x78)) != 0, "reserved bits"},
        {leaf && type != 0 && type != 1 && (type < 4 || type > 6), "a reserved memory type"},
        {large && (cap & (level == 2 ? CAP_2M : CAP_1G)) == 0, "a page size that this CPU does not have"},
        {large && (e & ADDRESS & (size - 1)) != 0, "not aligned to its size"},
        {(e & UNUSED) != 0, "bits that nothing here uses"},
        {leaf && (e & 0x40) != 0, "the guest's PAT is ignored"},
        {level == 1 && (e & LARGE) != 0, "4 KiB marked as a larger page"},
        {!leaf && (e & RIGHTS) != RIGHTS, "a table without all rights"},
        {!leaf && !table_is_own(hpa(e & ADDRESS), own), "a table that is not the hypervisor's"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rules); i++)
        if (rules[i].broken)
            return rules[i].words;
    return NULL;
}

static enum err refuse(const char *what, uint64_t value, unsigned level, uint64_t from) {
    log_line("EPT check: entry 0x%lx of level %u, guest address 0x%lx: %s", value, level, from, what);
    return ERR_RANGE;
}

enum err ept_check(const struct vmx_caps *caps, uint64_t ept_pointer, const struct frames_list *own) {
    uint64_t size, step;
    if ((ept_pointer & ~ADDRESS) != POINTER_LOW || ept_pointer >> vmx_phys_bits(caps) != 0 ||
        !table_is_own(hpa(ept_pointer & ADDRESS), own))
        return refuse("no pointer to a table of ours, write-back, of 4 levels", ept_pointer, LEVELS + 1, 0);
    for (uint64_t at = 0; at < SPAN; at += step) {
        uint64_t e = ept_pointer;
        unsigned level = LEVELS + 1;
        do {
            const uint64_t *table = host_phys(hpa(e & ADDRESS), PAGE_SIZE);
            size = PAGE_SIZE << 9 * (--level - 1);
            if (table == NULL)
                return refuse("in a table that is out of reach", e, level, at);
            unsigned i = at / size % ENTRIES;
            e = table[i];
            for (step = size; e == 0 && ++i < ENTRIES && table[i] == 0;)
                step += size;
            const char *wrong = e != 0 && at % size == 0 ? entry_wrong(caps, own, e, level) : NULL;
            if (wrong != NULL)
                return refuse(wrong, e, level, at);
        } while (e != 0 && !is_leaf(e, level));
    }
    return ERR_OK;
}
