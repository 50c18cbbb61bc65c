/* SPDX-License-Identifier: Apache-2.0 */
/* The VMX instructions and the fields of the current VMCS. A field's type carries its width and
 * whether it may be written, so that a wrong width, a write to a read-only field or an encoding
 * taken for a value does not compile. Every failure is our own fault and panics with the field. */
#pragma once

#include "core/types.h"

/* Panics with both: the encoding of a field, or the address of a region. */
rarely _Noreturn void vmx_instruction_failed(const char *instruction, uint64_t operand);

/* These two are on the way of every exit: a failure raises #UD, which trap.c knows by what stands before it
 * and the field by RDX; a call would cost each function that has them a frame. */
#define VMCS_ACCESS_FAILED "ja 1f; ud2; 1:"

static inline uint64_t vmcs_read_raw(uint32_t encoding) {
    uint64_t v;
    __asm__ volatile("vmread %1, %0; " VMCS_ACCESS_FAILED
                     : "=r"(v)
                     : "d"((uint64_t)encoding)
                     : "memory", "cc");
    return v;
}

/* Without the check: for what every VMCS has, once another access has shown that there is one. */
static inline uint64_t vmcs_read_sure(uint32_t encoding) {
    uint64_t v;
    __asm__ volatile("vmread %1, %0" : "=r"(v) : "r"((uint64_t)encoding) : "memory", "cc");
    return v;
}

static inline void vmcs_write_sure(uint32_t encoding, uint64_t v) {
    __asm__ volatile("vmwrite %0, %1" : : "r"(v), "r"((uint64_t)encoding) : "memory", "cc");
}

static inline void vmcs_write_raw(uint32_t encoding, uint64_t v) {
    __asm__ volatile("vmwrite %0, %1; " VMCS_ACCESS_FAILED
                     :
                     : "r"(v), "d"((uint64_t)encoding)
                     : "memory", "cc");
}

#define VMCS_TYPE(type, value)                                                                               \
    typedef struct {                                                                                         \
        uint32_t encoding;                                                                                   \
    } type;                                                                                                  \
    static inline value type##_read(type field) {                                                            \
        return (value)vmcs_read_raw(field.encoding);                                                         \
    }                                                                                                        \
    static inline void type##_write(type field, value v) {                                                   \
        vmcs_write_raw(field.encoding, v);                                                                   \
    }

VMCS_TYPE(vmcs_16, uint16_t)
VMCS_TYPE(vmcs_32, uint32_t)
VMCS_TYPE(vmcs_64, uint64_t)
VMCS_TYPE(vmcs_n, uint64_t) /* natural width */
VMCS_TYPE(vmcs_ro32, uint32_t)
VMCS_TYPE(vmcs_ro64, uint64_t)
VMCS_TYPE(vmcs_ron, uint64_t)

/* clang-format off */
#define vmcs_read(field) _Generic((field), vmcs_16: vmcs_16_read, vmcs_32: vmcs_32_read, \
    vmcs_64: vmcs_64_read, vmcs_n: vmcs_n_read, vmcs_ro32: vmcs_ro32_read, vmcs_ro64: vmcs_ro64_read, \
    vmcs_ron: vmcs_ron_read)(field)
#define vmcs_write(field, v) _Generic((field), vmcs_16: vmcs_16_write, vmcs_32: vmcs_32_write, \
    vmcs_64: vmcs_64_write, vmcs_n: vmcs_n_write)(field, v)

/* In the order of "Field Encoding in VMCS". The guest's segments are arrays in the encoding, two
 * apart, in the order of enum segment: not all of them have a name. */
static const vmcs_16 VMCS_VPID = {0x0000}; /* control */
static const vmcs_16 VMCS_GUEST_ES = {0x0800}; /* guest state */
static const vmcs_16 /* host state */
    VMCS_HOST_ES = {0x0c00}, VMCS_HOST_CS = {0x0c02}, VMCS_HOST_SS = {0x0c04}, VMCS_HOST_DS = {0x0c06},
    VMCS_HOST_FS = {0x0c08}, VMCS_HOST_GS = {0x0c0a}, VMCS_HOST_TR = {0x0c0c};
static const vmcs_64 /* control */
    VMCS_IO_BITMAP_A = {0x2000},       VMCS_IO_BITMAP_B = {0x2002},   VMCS_MSR_BITMAP = {0x2004},
    VMCS_TSC_OFFSET = {0x2010},        VMCS_EPT_POINTER = {0x201a},   VMCS_XSS_EXITING = {0x202c},
    VMCS_ENCLS_EXITING = {0x202e},     VMCS_TERTIARY_CONTROLS = {0x2034},
    VMCS_ENCLV_EXITING = {0x2036};
static const vmcs_ro64 VMCS_GUEST_PHYSICAL = {0x2400}; /* exit information */
static const vmcs_64 /* guest state */
    VMCS_LINK_POINTER = {0x2800}, VMCS_GUEST_DEBUGCTL = {0x2802}, VMCS_GUEST_PAT = {0x2804},
    VMCS_GUEST_EFER = {0x2806},   VMCS_GUEST_PDPTE0 = {0x280a},   VMCS_GUEST_PDPTE1 = {0x280c},
    VMCS_GUEST_PDPTE2 = {0x280e}, VMCS_GUEST_PDPTE3 = {0x2810};
static const vmcs_64 /* host state */
    VMCS_HOST_PAT = {0x2c00}, VMCS_HOST_EFER = {0x2c02};
static const vmcs_32 /* control */
    VMCS_PIN_CONTROLS = {0x4000},         VMCS_PRIMARY_CONTROLS = {0x4002},
    VMCS_EXCEPTION_BITMAP = {0x4004},     VMCS_PF_ERROR_MASK = {0x4006},
    VMCS_PF_ERROR_MATCH = {0x4008},       VMCS_CR3_TARGET_COUNT = {0x400a},
    VMCS_EXIT_CONTROLS = {0x400c},        VMCS_EXIT_MSR_STORE_COUNT = {0x400e},
    VMCS_EXIT_MSR_LOAD_COUNT = {0x4010},  VMCS_ENTRY_CONTROLS = {0x4012},
    VMCS_ENTRY_MSR_LOAD_COUNT = {0x4014}, VMCS_ENTRY_INTERRUPT = {0x4016},
    VMCS_ENTRY_ERROR_CODE = {0x4018},     VMCS_ENTRY_LENGTH = {0x401a},
    VMCS_SECONDARY_CONTROLS = {0x401e},   VMCS_NOTIFY_WINDOW = {0x4024};
static const vmcs_ro32 /* exit information */
    VMCS_INSTRUCTION_ERROR = {0x4400}, VMCS_EXIT_REASON = {0x4402},    VMCS_EXIT_INTERRUPT = {0x4404},
    VMCS_IDT_VECTORING = {0x4408},     VMCS_IDT_ERROR_CODE = {0x440a}, VMCS_EXIT_LENGTH = {0x440c},
    VMCS_EXIT_INSTRUCTION = {0x440e};
static const vmcs_32 /* guest state */
    VMCS_GUEST_ES_LIMIT = {0x4800},         VMCS_GUEST_GDTR_LIMIT = {0x4810},
    VMCS_GUEST_IDTR_LIMIT = {0x4812},       VMCS_GUEST_ES_RIGHTS = {0x4814},
    VMCS_GUEST_CS_RIGHTS = {0x4816},        VMCS_GUEST_SS_RIGHTS = {0x4818},
    VMCS_GUEST_TR_RIGHTS = {0x4822},        VMCS_GUEST_INTERRUPTIBILITY = {0x4824},
    VMCS_GUEST_ACTIVITY = {0x4826},         VMCS_GUEST_SMBASE = {0x4828},
    VMCS_GUEST_SYSENTER_CS = {0x482a},      VMCS_PREEMPTION_TIMER = {0x482e};
static const vmcs_32 VMCS_HOST_SYSENTER_CS = {0x4c00}; /* host state */
static const vmcs_n /* control */
    VMCS_CR0_MASK = {0x6000},   VMCS_CR4_MASK = {0x6002}, VMCS_CR0_SHADOW = {0x6004},
    VMCS_CR4_SHADOW = {0x6006};
static const vmcs_ron /* exit information */
    VMCS_QUALIFICATION = {0x6400}, VMCS_GUEST_LINEAR = {0x640a};
static const vmcs_n /* guest state */
    VMCS_GUEST_CR0 = {0x6800},          VMCS_GUEST_CR3 = {0x6802},
    VMCS_GUEST_CR4 = {0x6804},          VMCS_GUEST_ES_BASE = {0x6806},
    VMCS_GUEST_CS_BASE = {0x6808},      VMCS_GUEST_GDTR_BASE = {0x6816},
    VMCS_GUEST_IDTR_BASE = {0x6818},    VMCS_GUEST_DR7 = {0x681a},
    VMCS_GUEST_RSP = {0x681c},          VMCS_GUEST_RIP = {0x681e},
    VMCS_GUEST_RFLAGS = {0x6820},       VMCS_GUEST_PENDING_DEBUG = {0x6822},
    VMCS_GUEST_SYSENTER_ESP = {0x6824}, VMCS_GUEST_SYSENTER_EIP = {0x6826};
static const vmcs_n /* host state */
    VMCS_HOST_CR0 = {0x6c00},          VMCS_HOST_CR3 = {0x6c02},       VMCS_HOST_CR4 = {0x6c04},
    VMCS_HOST_FS_BASE = {0x6c06},      VMCS_HOST_GS_BASE = {0x6c08},   VMCS_HOST_TR_BASE = {0x6c0a},
    VMCS_HOST_GDTR_BASE = {0x6c0c},    VMCS_HOST_IDTR_BASE = {0x6c0e}, VMCS_HOST_SYSENTER_ESP = {0x6c10},
    VMCS_HOST_SYSENTER_EIP = {0x6c12}, VMCS_HOST_RSP = {0x6c14},       VMCS_HOST_RIP = {0x6c16};
/* clang-format on */

/* They take the physical address of the region by reference. */
#define VMX_REGION_INSTRUCTION(name, mnemonic)                                                               \
    static inline void name(hpa_t region) {                                                                  \
        bool failed;                                                                                         \
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
        __asm__ volatile(mnemonic " %1, %2"                                                                  \
                         : "=@ccbe"(failed)                                                                  \
                         : "m"(descriptor), "r"((uint64_t)type)                                              \
                         : "memory");                                                                        \
        if (failed)                                                                                          \
            vmx_instruction_failed(mnemonic, what);                                                          \
    }

VMX_INVALIDATION(vmx_invept, "invept")
VMX_INVALIDATION(vmx_invvpid, "invvpid")
