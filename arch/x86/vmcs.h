/* SPDX-License-Identifier: Apache-2.0 */
/* The VMX instructions and the fields of the current VMCS. A field's type carries its width and
 * whether it may be written, so that a wrong width, a write to a read-only field or an encoding
 * taken for a value does not compile. Every failure is our own fault and panics with the field. */
#pragma once

#include "core/types.h"

#define VMCS_FIELD_TYPE(name)                                                                                \
    typedef struct {                                                                                         \
        uint32_t encoding;                                                                                   \
    } name

VMCS_FIELD_TYPE(vmcs_16);
VMCS_FIELD_TYPE(vmcs_32);
VMCS_FIELD_TYPE(vmcs_64);
VMCS_FIELD_TYPE(vmcs_n);
VMCS_FIELD_TYPE(vmcs_ro32);
VMCS_FIELD_TYPE(vmcs_ro64);
VMCS_FIELD_TYPE(vmcs_ron);

/* Field encodings, grouped as in the SDM's "Field Encoding in VMCS". The guest segments are arrays in
 * the encoding, two apart, in the order of enum segment: only ES is named. */
/* 16-Bit Control Fields */
#define VMCS_VPID ((vmcs_16){0x0000})

/* 16-Bit Guest-State Fields */
#define VMCS_GUEST_ES ((vmcs_16){0x0800})

/* 16-Bit Host-State Fields */
#define VMCS_HOST_ES ((vmcs_16){0x0c00})
#define VMCS_HOST_CS ((vmcs_16){0x0c02})
#define VMCS_HOST_SS ((vmcs_16){0x0c04})
#define VMCS_HOST_DS ((vmcs_16){0x0c06})
#define VMCS_HOST_FS ((vmcs_16){0x0c08})
#define VMCS_HOST_GS ((vmcs_16){0x0c0a})
#define VMCS_HOST_TR ((vmcs_16){0x0c0c})

/* 64-Bit Control Fields */
#define VMCS_IO_BITMAP_A       ((vmcs_64){0x2000})
#define VMCS_IO_BITMAP_B       ((vmcs_64){0x2002})
#define VMCS_MSR_BITMAP        ((vmcs_64){0x2004})
#define VMCS_EPT_POINTER       ((vmcs_64){0x201a})
#define VMCS_XSS_EXITING       ((vmcs_64){0x202c})
#define VMCS_ENCLV_EXITING     ((vmcs_64){0x2036})
#define VMCS_ENCLS_EXITING     ((vmcs_64){0x202e})
#define VMCS_TERTIARY_CONTROLS ((vmcs_64){0x2034})

/* 64-Bit Read-Only Data Field */
#define VMCS_GUEST_PHYSICAL ((vmcs_ro64){0x2400})

/* 64-Bit Guest-State Fields */
#define VMCS_LINK_POINTER   ((vmcs_64){0x2800})
#define VMCS_GUEST_DEBUGCTL ((vmcs_64){0x2802})
#define VMCS_GUEST_PAT      ((vmcs_64){0x2804})
#define VMCS_GUEST_EFER     ((vmcs_64){0x2806})
#define VMCS_GUEST_PDPTE0   ((vmcs_64){0x280a})
#define VMCS_GUEST_PDPTE1   ((vmcs_64){0x280c})
#define VMCS_GUEST_PDPTE2   ((vmcs_64){0x280e})
#define VMCS_GUEST_PDPTE3   ((vmcs_64){0x2810})

/* 64-Bit Host-State Fields */
#define VMCS_HOST_PAT  ((vmcs_64){0x2c00})
#define VMCS_HOST_EFER ((vmcs_64){0x2c02})

/* 32-Bit Control Fields */
#define VMCS_PIN_CONTROLS         ((vmcs_32){0x4000})
#define VMCS_PRIMARY_CONTROLS     ((vmcs_32){0x4002})
#define VMCS_EXCEPTION_BITMAP     ((vmcs_32){0x4004})
#define VMCS_PF_ERROR_MASK        ((vmcs_32){0x4006})
#define VMCS_PF_ERROR_MATCH       ((vmcs_32){0x4008})
#define VMCS_CR3_TARGET_COUNT     ((vmcs_32){0x400a})
#define VMCS_EXIT_CONTROLS        ((vmcs_32){0x400c})
#define VMCS_EXIT_MSR_STORE_COUNT ((vmcs_32){0x400e})
#define VMCS_EXIT_MSR_LOAD_COUNT  ((vmcs_32){0x4010})
#define VMCS_ENTRY_CONTROLS       ((vmcs_32){0x4012})
#define VMCS_ENTRY_MSR_LOAD_COUNT ((vmcs_32){0x4014})
#define VMCS_ENTRY_INTERRUPT      ((vmcs_32){0x4016})
#define VMCS_ENTRY_ERROR_CODE     ((vmcs_32){0x4018})
#define VMCS_ENTRY_LENGTH         ((vmcs_32){0x401a})
#define VMCS_SECONDARY_CONTROLS   ((vmcs_32){0x401e})

/* 32-Bit Read-Only Data Fields */
#define VMCS_INSTRUCTION_ERROR ((vmcs_ro32){0x4400})
#define VMCS_EXIT_REASON       ((vmcs_ro32){0x4402})
#define VMCS_EXIT_INTERRUPT    ((vmcs_ro32){0x4404})
#define VMCS_IDT_VECTORING     ((vmcs_ro32){0x4408})
#define VMCS_IDT_ERROR_CODE    ((vmcs_ro32){0x440a})
#define VMCS_EXIT_LENGTH       ((vmcs_ro32){0x440c})
#define VMCS_EXIT_INSTRUCTION  ((vmcs_ro32){0x440e})

/* 32-Bit Guest-State Fields */
#define VMCS_GUEST_ES_LIMIT         ((vmcs_32){0x4800})
#define VMCS_GUEST_GDTR_LIMIT       ((vmcs_32){0x4810})
#define VMCS_GUEST_IDTR_LIMIT       ((vmcs_32){0x4812})
#define VMCS_GUEST_ES_RIGHTS        ((vmcs_32){0x4814})
#define VMCS_GUEST_CS_RIGHTS        ((vmcs_32){0x4816})
#define VMCS_GUEST_SS_RIGHTS        ((vmcs_32){0x4818})
#define VMCS_GUEST_INTERRUPTIBILITY ((vmcs_32){0x4824})
#define VMCS_GUEST_ACTIVITY         ((vmcs_32){0x4826})
#define VMCS_GUEST_SMBASE           ((vmcs_32){0x4828})
#define VMCS_GUEST_SYSENTER_CS      ((vmcs_32){0x482a})
#define VMCS_PREEMPTION_TIMER       ((vmcs_32){0x482e})

/* 32-Bit Host-State Field */
#define VMCS_HOST_SYSENTER_CS ((vmcs_32){0x4c00})

/* Natural-Width Control Fields */
#define VMCS_CR0_MASK   ((vmcs_n){0x6000})
#define VMCS_CR4_MASK   ((vmcs_n){0x6002})
#define VMCS_CR0_SHADOW ((vmcs_n){0x6004})
#define VMCS_CR4_SHADOW ((vmcs_n){0x6006})

/* Natural-Width Read-Only Data Fields */
#define VMCS_QUALIFICATION ((vmcs_ron){0x6400})
#define VMCS_GUEST_LINEAR  ((vmcs_ron){0x640a})

/* Natural-Width Guest-State Fields */
#define VMCS_GUEST_CR0           ((vmcs_n){0x6800})
#define VMCS_GUEST_CR3           ((vmcs_n){0x6802})
#define VMCS_GUEST_CR4           ((vmcs_n){0x6804})
#define VMCS_GUEST_ES_BASE       ((vmcs_n){0x6806})
#define VMCS_GUEST_CS_BASE       ((vmcs_n){0x6808})
#define VMCS_GUEST_GDTR_BASE     ((vmcs_n){0x6816})
#define VMCS_GUEST_IDTR_BASE     ((vmcs_n){0x6818})
#define VMCS_GUEST_DR7           ((vmcs_n){0x681a})
#define VMCS_GUEST_RSP           ((vmcs_n){0x681c})
#define VMCS_GUEST_RIP           ((vmcs_n){0x681e})
#define VMCS_GUEST_RFLAGS        ((vmcs_n){0x6820})
#define VMCS_GUEST_PENDING_DEBUG ((vmcs_n){0x6822})
#define VMCS_GUEST_SYSENTER_ESP  ((vmcs_n){0x6824})
#define VMCS_GUEST_SYSENTER_EIP  ((vmcs_n){0x6826})

/* Natural-Width Host-State Fields */
#define VMCS_HOST_CR0          ((vmcs_n){0x6c00})
#define VMCS_HOST_CR3          ((vmcs_n){0x6c02})
#define VMCS_HOST_CR4          ((vmcs_n){0x6c04})
#define VMCS_HOST_FS_BASE      ((vmcs_n){0x6c06})
#define VMCS_HOST_GS_BASE      ((vmcs_n){0x6c08})
#define VMCS_HOST_TR_BASE      ((vmcs_n){0x6c0a})
#define VMCS_HOST_GDTR_BASE    ((vmcs_n){0x6c0c})
#define VMCS_HOST_IDTR_BASE    ((vmcs_n){0x6c0e})
#define VMCS_HOST_SYSENTER_ESP ((vmcs_n){0x6c10})
#define VMCS_HOST_SYSENTER_EIP ((vmcs_n){0x6c12})
#define VMCS_HOST_RSP          ((vmcs_n){0x6c14})
#define VMCS_HOST_RIP          ((vmcs_n){0x6c16})

/* An instruction of VMX failed: panics, naming the instruction, its operand and the error number
 * of "VM Instruction Error Numbers". */
_Noreturn void vmx_instruction_failed(const char *instruction, uint64_t operand);

static inline uint64_t vmcs_read_raw(uint32_t encoding) {
    uint64_t v;
    bool failed;

    __asm__ volatile("vmread %2, %1" : "=@ccbe"(failed), "=r"(v) : "r"((uint64_t)encoding) : "memory");
    if (__builtin_expect(!failed, 1))
        return v;
    vmx_instruction_failed("VMREAD", encoding);
}

static inline void vmcs_write_raw(uint32_t encoding, uint64_t v) {
    bool failed;

    __asm__ volatile("vmwrite %1, %2" : "=@ccbe"(failed) : "r"(v), "r"((uint64_t)encoding) : "memory");
    if (__builtin_expect(failed, 0))
        vmx_instruction_failed("VMWRITE", encoding);
}

#define VMCS_READER(type, result)                                                                            \
    static inline result vmcs_read_##type(vmcs_##type field) {                                               \
        return (result)vmcs_read_raw(field.encoding);                                                        \
    }
#define VMCS_WRITER(type, value)                                                                             \
    static inline void vmcs_write_##type(vmcs_##type field, value v) {                                       \
        vmcs_write_raw(field.encoding, v);                                                                   \
    }

VMCS_READER(16, uint16_t)
VMCS_READER(32, uint32_t)
VMCS_READER(64, uint64_t)
VMCS_READER(n, uint64_t)
VMCS_READER(ro32, uint32_t)
VMCS_READER(ro64, uint64_t)
VMCS_READER(ron, uint64_t)
VMCS_WRITER(16, uint16_t)
VMCS_WRITER(32, uint32_t)
VMCS_WRITER(64, uint64_t)
VMCS_WRITER(n, uint64_t)

#define vmcs_read(field)                                                                                     \
    _Generic((field), vmcs_16                                                                                \
             : vmcs_read_16, vmcs_32                                                                         \
             : vmcs_read_32, vmcs_64                                                                         \
             : vmcs_read_64, vmcs_n                                                                          \
             : vmcs_read_n, vmcs_ro32                                                                        \
             : vmcs_read_ro32, vmcs_ro64                                                                     \
             : vmcs_read_ro64, vmcs_ron                                                                      \
             : vmcs_read_ron)(field)

#define vmcs_write(field, v)                                                                                 \
    _Generic((field), vmcs_16                                                                                \
             : vmcs_write_16, vmcs_32                                                                        \
             : vmcs_write_32, vmcs_64                                                                        \
             : vmcs_write_64, vmcs_n                                                                         \
             : vmcs_write_n)(field, v)

/* They take the physical address of the region by reference. */
#define VMX_REGION_INSTRUCTION(name, mnemonic)                                                               \
    static inline void name(hpa_t region) {                                                                  \
        bool failed;                                                                                         \
                                                                                                             \
        __asm__ volatile(mnemonic " %1" : "=@ccbe"(failed) : "m"(region.v) : "memory");                      \
        if (failed)                                                                                          \
            vmx_instruction_failed(mnemonic, region.v);                                                      \
    }

VMX_REGION_INSTRUCTION(vmx_on, "vmxon")
VMX_REGION_INSTRUCTION(vmx_clear, "vmclear")
VMX_REGION_INSTRUCTION(vmx_load, "vmptrld")

static inline void vmx_off(void) {
    __asm__ volatile("vmxoff" : : : "memory", "cc");
}

enum invalidation { INVALIDATE_SINGLE = 1, INVALIDATE_ALL = 2 }; /* the same for both instructions */

/* The descriptor: EPT pointer or VPID, then zero (the address, which these types do not use). */
#define VMX_INVALIDATION(name, mnemonic)                                                                     \
    static inline void name(enum invalidation type, uint64_t what) {                                         \
        uint64_t descriptor[2] = {what, 0};                                                                  \
        bool failed;                                                                                         \
                                                                                                             \
        __asm__ volatile(mnemonic " %1, %2"                                                                  \
                         : "=@ccbe"(failed)                                                                  \
                         : "m"(descriptor), "r"((uint64_t)type)                                              \
                         : "memory");                                                                        \
        if (failed)                                                                                          \
            vmx_instruction_failed(mnemonic, what);                                                          \
    }

VMX_INVALIDATION(vmx_invept, "invept")
VMX_INVALIDATION(vmx_invvpid, "invvpid")
