/* SPDX-License-Identifier: Apache-2.0 */
/* From the VMCS, from segment and offset, to what is there. What lies behind an address that is not RAM is
 * core/trap_map's; device windows that the guest has for itself are not touched for it. */
#include "arch/x86/guest.h"

#include "arch/x86/cpu.h"
#include "arch/x86/devices.h"
#include "arch/x86/vmx_cpu.h"
#include "core/guest_walk.h"
#include "core/log.h"
#include "core/str.h"

/* Segment access rights */
#define RIGHTS_WRITABLE    BIT(1) /* of data; of code: readable */
#define RIGHTS_EXPAND_DOWN BIT(2) /* of data */
#define RIGHTS_CODE        BIT(3)
#define RIGHTS_LONG        BIT(13) /* of code */
#define RIGHTS_BIG         BIT(14)
#define RIGHTS_UNUSABLE    BIT(16)

#define CR0_AM             BIT(18)
#define RFLAGS_AC          BIT(18)

bool guest_cs_long(void) {
    return (vmcs_read(VMCS_GUEST_CS_RIGHTS) & RIGHTS_LONG) != 0 &&
           (vmcs_read(VMCS_GUEST_EFER) & EFER_LMA) != 0;
}

enum insn_mode guest_insn_mode(void) {
    if (guest_cs_long())
        return INSN_64;
    return (vmcs_read(VMCS_GUEST_CS_RIGHTS) & RIGHTS_BIG) != 0 ? INSN_32 : INSN_16;
}

static struct guest_paging read_paging(void) {
    return (struct guest_paging){
        .cr0 = vmcs_read(VMCS_GUEST_CR0),
        .cr3 = vmcs_read(VMCS_GUEST_CR3),
        .cr4 = vmcs_read(VMCS_GUEST_CR4),
        .efer = vmcs_read(VMCS_GUEST_EFER),
        .rflags = vmcs_read(VMCS_GUEST_RFLAGS),
        .pdptes = {vmcs_read(VMCS_GUEST_PDPTE0), vmcs_read(VMCS_GUEST_PDPTE1), vmcs_read(VMCS_GUEST_PDPTE2),
                   vmcs_read(VMCS_GUEST_PDPTE3)},
        .phys_bits = vmx_phys_bits(&vmx_caps),
    };
}

size_t guest_fetch(const struct vcpu *v, void *to, size_t bytes) {
    struct guest_paging paging = read_paging();
    uint64_t rip = vmcs_read(VMCS_GUEST_RIP);
    return guest_walk_read(&v->partition->map, &paging,
                           guest_cs_long() ? rip : (uint32_t)(vmcs_read(VMCS_GUEST_CS_BASE) + rip),
                           WALK_FETCH | (guest_cpl() == 3 ? WALK_USER : 0), to, bytes);
}

uint64_t operand_segment_base(enum insn_segment s) {
    return guest_cs_long() && s < INSN_FS ? 0 : vmcs_read((vmcs_n){VMCS_GUEST_ES_BASE.encoding + 2 * s});
}

/* "Limit Checking", "Type Checking"; in 64-bit mode neither is done. */
static bool segment_allows(enum insn_segment s, uint64_t offset, unsigned bytes, bool write) {
    if (guest_cs_long())
        return true;
    uint32_t rights = vmcs_read((vmcs_32){VMCS_GUEST_ES_RIGHTS.encoding + 2 * s});
    uint64_t limit = vmcs_read((vmcs_32){VMCS_GUEST_ES_LIMIT.encoding + 2 * s}), last = offset + bytes - 1;
    bool code = (rights & RIGHTS_CODE) != 0, writable = (rights & RIGHTS_WRITABLE) != 0;
    if ((rights & RIGHTS_UNUSABLE) != 0 || (write ? code || !writable : code && !writable))
        return false;
    if (!code && (rights & RIGHTS_EXPAND_DOWN) != 0)
        return offset > limit && last <= ((rights & RIGHTS_BIG) != 0 ? UINT32_MAX : UINT16_MAX);
    return last <= limit;
}

static struct verdict find_pages(const struct vcpu *v, uint64_t linear, unsigned bytes, bool write,
                                 struct operand *out) {
    unsigned access = (write ? WALK_WRITE : 0) | (guest_cpl() == 3 ? WALK_USER : 0);
    struct guest_paging paging = read_paging();
    out->pieces = 0;
    for (unsigned done = 0; done < bytes; done += out->piece[out->pieces++].bytes) {
        uint64_t at = guest_cs_long() ? linear + done : (uint32_t)(linear + done);
        unsigned on_page = PAGE_SIZE - at % PAGE_SIZE;
        struct walk_result walk;
        switch (guest_walk(&v->partition->map, &paging, at, access, &walk)) {
        case ERR_OK:
            out->piece[out->pieces].at = walk.at;
            out->piece[out->pieces].bytes = on_page < bytes - done ? on_page : bytes - done;
            break;
        case ERR_NOT_FOUND:
            cpu_write_cr2(at);
            return exit_inject_fault(VECTOR_PF, walk.fault_code);
        case ERR_MALFORMED:
            return exit_inject_gp(); /* not canonical */
        default:
            return exit_stop(STOP_CRASHED, "page tables where nothing is");
        }
    }
    return VERDICT_NEXT;
}

static struct verdict check_policy(const struct vcpu *v, const struct operand *o, bool write) {
    for (unsigned i = 0; i < o->pieces && v->partition->config->bad_access == BAD_ACCESS_STOP; i++)
        if (guest_map_ptr(&v->partition->map, o->piece[i].at, o->piece[i].bytes) == NULL &&
            trap_map_memory(v->lapic.mode, o->piece[i].at, o->piece[i].bytes, write) == TRAP_NONE)
            return exit_stop(STOP_CRASHED, "access to where nothing is (bad_access = stop)");
    return VERDICT_NEXT;
}

struct verdict operand_find(const struct vcpu *v, enum insn_segment s, uint64_t offset, unsigned bytes,
                            bool write, struct operand *out) {
    if (!segment_allows(s, offset, bytes, write))
        return exit_inject_fault(s == INSN_SS ? VECTOR_SS : VECTOR_GP, 0);
    uint64_t linear = operand_segment_base(s) + offset;
    struct verdict verdict = find_pages(v, linear, bytes, write, out);
    if (verdict.kind == KIND_NEXT && linear % bytes != 0 && guest_cpl() == 3 &&
        (vmcs_read(VMCS_GUEST_CR0) & CR0_AM) != 0 && (vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_AC) != 0)
        return exit_inject_fault(VECTOR_AC, 0);
    return verdict.kind == KIND_NEXT ? check_policy(v, out, write) : verdict;
}

struct verdict operand_passed(const struct vcpu *v, gpa_t at, uint64_t linear, unsigned bytes, bool write,
                              struct operand *out) {
    *out = (struct operand){.pieces = 1, .piece = {{at, bytes}}};
    if (linear % PAGE_SIZE + bytes > PAGE_SIZE) {
        struct verdict verdict = find_pages(v, linear, bytes, write, out);
        if (verdict.kind != KIND_NEXT)
            return verdict;
    }
    return check_policy(v, out, write);
}

static void bad_access(struct vcpu *v, gpa_t at, bool write) {
    if (v->bad_accesses++ == 0) {
        log_line("%s: vCPU %u: %s of guest-physical 0x%lx, where nothing is (said once, counted)",
                 v->partition->config->name, v->index, write ? "write" : "read", at.v);
    }
}

static uint64_t piece_read(struct vcpu *v, gpa_t at, unsigned bytes) {
    enum trap_target target = trap_map_memory(v->lapic.mode, at, bytes, false);
    unsigned offset = at.v % PAGE_SIZE & ~3u, shift = at.v % 4 * 8;
    const void *ram = guest_map_ptr(&v->partition->map, at, bytes);
    uint64_t value = UINT64_MAX;
    if (ram != NULL)
        memcpy(&value, ram, bytes);
    else if (target == TRAP_NONE)
        bad_access(v, at, false);
    else
        value = (target == TRAP_APIC ? apic_page_read(v, offset) : devices_read(v, target, offset)) >> shift;
    return insn_cut(value, bytes);
}

static void piece_write(struct vcpu *v, gpa_t at, unsigned bytes, uint64_t value) {
    enum trap_target target = trap_map_memory(v->lapic.mode, at, bytes, true);
    void *ram = guest_map_ptr(&v->partition->map, at, bytes);
    if (ram != NULL)
        memcpy(ram, &value, bytes);
    else if (target == TRAP_NONE)
        bad_access(v, at, true);
    else if (target == TRAP_APIC)
        apic_page_write(v, at.v % PAGE_SIZE, (uint32_t)value);
    else
        devices_write(v, target, at.v % PAGE_SIZE, (uint32_t)value);
}

uint64_t operand_read(struct vcpu *v, const struct operand *o) {
    uint64_t value = 0;
    for (unsigned i = 0, shift = 0; i < o->pieces; shift += 8 * o->piece[i++].bytes)
        value |= piece_read(v, o->piece[i].at, o->piece[i].bytes) << shift;
    return value;
}

void operand_write(struct vcpu *v, const struct operand *o, uint64_t value) {
    for (unsigned i = 0, shift = 0; i < o->pieces; shift += 8 * o->piece[i++].bytes)
        piece_write(v, o->piece[i].at, o->piece[i].bytes, value >> shift);
}
