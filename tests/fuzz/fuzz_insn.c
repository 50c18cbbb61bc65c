/* SPDX-License-Identifier: Apache-2.0 */
/* First byte the mode, then an instruction: what is decoded is within bounds, needs exactly its
 * length, and executes without undefined behaviour. */
#include <stdlib.h>
#include <string.h>

#include "core/insn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool true_thing) {
    if (!true_thing)
        abort();
}

static bool size_ok(unsigned bytes) {
    return bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8;
}

static void check_bounds(const struct insn *i) {
    require(i->length > 0 && i->length <= INSN_MAX_BYTES);
    require(size_ok(i->mem_bytes) && size_ok(i->reg_bytes) && size_ok(i->address_bytes));
    require(size_ok(i->scale) && i->base >= -1 && i->base < 16 && i->index >= -1 && i->index < 16);
    require(i->reg < (i->high_byte ? 4 : 16) && i->segment <= INSN_GS);
    require(i->op <= INSN_LODS && i->op != 2 && i->op != 3);
    require(!i->has_immediate || !i->writes_reg);
    require(i->reads_mem || i->writes_mem || i->op >= INSN_MOVS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const enum insn_mode modes[] = {INSN_16, INSN_32, INSN_64};
    static const uint64_t gpr[16] = {UINT64_MAX, 1, BIT(63), BIT(31), BIT(15), 0x123456789abcdef};
    enum insn_mode mode;
    struct insn i, again;
    struct insn_result r;
    uint64_t mem = 0, reg = 0;

    if (size == 0)
        return 0;
    mode = modes[data[0] % 3];
    if (insn_decode(data + 1, (unsigned)size - 1, mode, &i) != ERR_OK)
        return 0;
    check_bounds(&i);
    require(i.length < size);
    require(insn_decode(data + 1, i.length, mode, &again) == ERR_OK);
    require(insn_decode(data + 1, i.length - 1u, mode, &again) == ERR_RANGE);
    memcpy(&mem, data + size - (size < 8 ? size : 8), size < 8 ? size : 8);
    reg = mem * 0x9e3779b97f4a7c15u;
    require(i.address_bytes == 8 || insn_offset(&i, gpr, mem) >> (8 * i.address_bytes) == 0);
    if (i.op >= INSN_MOVS)
        return 0;
    insn_execute(&i, mem, reg, &r);
    require(i.writes_reg || r.reg == reg);
    require(i.mem_bytes == 8 || r.mem >> (8 * i.mem_bytes) == 0);
    return 0;
}
