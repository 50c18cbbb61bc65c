/* SPDX-License-Identifier: Apache-2.0 */
/* VMCSs as arrays: the states that arch/x86/vmcs_setup.c makes, and others that are as good, on a
 * CPU like corei7_skylake_x. Every image is built from nothing. */
#pragma once

#include <string.h>

#include "tests/audit/vmcs_rules.h"

enum vmcs_field {
    F_VPID = 0x0000,
    F_ES = 0x0800,
    F_CS = 0x0802,
    F_SS = 0x0804,
    F_DS = 0x0806,
    F_LDTR = 0x080c,
    F_TR = 0x080e,
    F_HOST_ES = 0x0c00,
    F_HOST_CS = 0x0c02,
    F_HOST_SS = 0x0c04,
    F_HOST_GS = 0x0c0a,
    F_HOST_TR = 0x0c0c,
    F_IO_A = 0x2000,
    F_IO_B = 0x2002,
    F_MSR_BITMAP = 0x2004,
    F_STORE_LIST = 0x2006,
    F_LOAD_LIST = 0x2008,
    F_ENTRY_LIST = 0x200a,
    F_PML = 0x200e,
    F_VIRTUAL_APIC = 0x2012,
    F_APIC_ACCESS = 0x2014,
    F_EPTP = 0x201a,
    F_TSC_MULTIPLIER = 0x2032,
    F_TERTIARY = 0x2034,
    F_LINK = 0x2800,
    F_DEBUGCTL = 0x2802,
    F_PAT = 0x2804,
    F_EFER = 0x2806,
    F_PDPTE0 = 0x280a,
    F_HOST_PAT = 0x2c00,
    F_HOST_EFER = 0x2c02,
    F_PIN = 0x4000,
    F_PRIMARY = 0x4002,
    F_CR3_TARGETS = 0x400a,
    F_EXIT = 0x400c,
    F_STORE_COUNT = 0x400e,
    F_LOAD_COUNT = 0x4010,
    F_ENTRY = 0x4012,
    F_ENTRY_COUNT = 0x4014,
    F_EVENT = 0x4016,
    F_EVENT_ERROR = 0x4018,
    F_EVENT_LENGTH = 0x401a,
    F_TPR_THRESHOLD = 0x401c,
    F_SECONDARY = 0x401e,
    F_ES_LIMIT = 0x4800,
    F_GDTR_LIMIT = 0x4810,
    F_IDTR_LIMIT = 0x4812,
    F_ES_RIGHTS = 0x4814,
    F_INTERRUPTIBILITY = 0x4824,
    F_ACTIVITY = 0x4826,
    F_CR0 = 0x6800,
    F_CR3 = 0x6802,
    F_CR4 = 0x6804,
    F_ES_BASE = 0x6806,
    F_GDTR_BASE = 0x6816,
    F_IDTR_BASE = 0x6818,
    F_DR7 = 0x681a,
    F_RIP = 0x681e,
    F_RFLAGS = 0x6820,
    F_PENDING_DEBUG = 0x6822,
    F_SYSENTER_ESP = 0x6824,
    F_SYSENTER_EIP = 0x6826,
    F_HOST_CR0 = 0x6c00,
    F_HOST_CR3 = 0x6c02,
    F_HOST_CR4 = 0x6c04,
    F_HOST_BASES = 0x6c06, /* FS GS TR GDTR IDTR */
    F_HOST_SYSENTER_ESP = 0x6c10,
    F_HOST_SYSENTER_EIP = 0x6c12,
    F_HOST_RSP = 0x6c14,
    F_HOST_RIP = 0x6c16,
    F_END = 0x6c20,
};

enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR };

#define RIGHTS(segment) (F_ES_RIGHTS + 2 * (segment))
#define BASE(segment)   (F_ES_BASE + 2 * (segment))
#define LIMIT(segment)  (F_ES_LIMIT + 2 * (segment))

static struct vmx_caps image_caps;
static uint64_t image[F_END];

/* Fields that a CPU need not have: read only if the bit of the control word is 1. */
static const struct {
    uint16_t field, word;
    uint8_t bit;
} image_optional[] = {
    {F_SECONDARY, F_PRIMARY, 31},     {F_TERTIARY, F_PRIMARY, 17},
    {F_TPR_THRESHOLD, F_PRIMARY, 21}, {F_VIRTUAL_APIC, F_PRIMARY, 21},
    {F_MSR_BITMAP, F_PRIMARY, 28},    {F_APIC_ACCESS, F_SECONDARY, 0},
    {F_EPTP, F_SECONDARY, 1},         {F_VPID, F_SECONDARY, 5},
    {F_PML, F_SECONDARY, 17},         {F_TSC_MULTIPLIER, F_SECONDARY, 25},
    {F_HOST_PAT, F_EXIT, 19},         {F_HOST_EFER, F_EXIT, 21},
    {F_PDPTE0, F_SECONDARY, 1},
};
static unsigned image_bad_reads; /* of fields that are not there */

static uint64_t image_read(void *context, uint32_t encoding) {
    image_bad_reads += context != image || encoding >= F_END || (encoding & 1) != 0;
    for (size_t i = 0; i < ARRAY_SIZE(image_optional); i++)
        if (image_optional[i].field == encoding)
            image_bad_reads += (image[image_optional[i].word] >> image_optional[i].bit & 1) == 0;
    return encoding < F_END ? image[encoding] : 0;
}

static void image_segment(unsigned s, uint64_t selector, uint64_t base, uint64_t limit, uint64_t rights) {
    image[F_ES + 2 * s] = selector;
    image[BASE(s)] = base;
    image[LIMIT(s)] = limit;
    image[RIGHTS(s)] = rights;
}

static void image_segments(uint64_t selector, uint64_t base, uint64_t limit, uint64_t rights) {
    for (unsigned s = SEG_ES; s <= SEG_GS; s++)
        if (s != SEG_CS)
            image_segment(s, selector, base, limit, rights);
}

/* The control words that core/vmx_ctl makes of the capabilities. */
static void image_controls(void) {
    struct vmx_controls controls;

    (void)!vmx_ctl_resolve(&image_caps, &controls);
    image[F_PIN] = controls.word[VMX_PIN];
    image[F_PRIMARY] = controls.word[VMX_PRIMARY];
    image[F_SECONDARY] = controls.word[VMX_SECONDARY];
    image[F_TERTIARY] = controls.word[VMX_TERTIARY];
    image[F_EXIT] = controls.word[VMX_EXIT];
    image[F_ENTRY] = controls.word[VMX_ENTRY];
}

static void image_reset(void) {
    static const struct vmx_caps skylake = {
        .raw = {[CAP_VENDOR] = 1,
                [CAP_CPUID_1_ECX] = 0x77faf3bf,
                [CAP_CPUID_7_EBX] = 0xd19f27eb,
                [CAP_CPUID_EXT1_EDX] = 0x2c100800,
                [CAP_CPUID_EXT8_EAX] = 0x3028,
                [CAP_FEATURE_CONTROL] = 5,
                [CAP_BASIC] = 0x00d810000000002b,
                [CAP_PINBASED] = 0x0000007f00000016,
                [CAP_PROCBASED] = 0xf7f9fffe0401e172,
                [CAP_EXIT] = 0x007fffff00036dff,
                [CAP_ENTRY] = 0x0000ffff000011ff,
                [CAP_MISC] = 0x600401e0,
                [CAP_CR0_FIXED0] = 0x80000021,
                [CAP_CR0_FIXED1] = 0xffffffff,
                [CAP_CR4_FIXED0] = 0x2000,
                [CAP_CR4_FIXED1] = 0x3727ff,
                [CAP_PROCBASED2] = 0x02177fff00000000,
                [CAP_EPT_VPID] = 0x00000f0106334141,
                [CAP_TRUE_PINBASED] = 0x0000007f00000016,
                [CAP_TRUE_PROCBASED] = 0xf7f9fffe04006172,
                [CAP_TRUE_EXIT] = 0x007fffff00036dfb,
                [CAP_TRUE_ENTRY] = 0x0000ffff000011fb},
    };

    image_caps = skylake;
    memset(image, 0, sizeof(image));
    image_controls();
    image[F_IO_A] = 0x400000;
    image[F_IO_B] = 0x401000;
    image[F_MSR_BITMAP] = 0x402000;
    image[F_EPTP] = 0x40301e;
    image[F_VPID] = 1;

    image[F_HOST_CR0] = 0x80010031;
    image[F_HOST_CR3] = 0x500000;
    image[F_HOST_CR4] = 0x3426a0;
    image[F_HOST_CS] = 8;
    image[F_HOST_SS] = 16;
    image[F_HOST_TR] = 24;
    for (unsigned i = 2; i < 5; i++)
        image[F_HOST_BASES + 2 * i] = 0xffffffff80001000;
    image[F_HOST_PAT] = 0x0007040600070406;
    image[F_HOST_EFER] = 0xd00;
    image[F_HOST_RSP] = 0xffffffffc0003000;
    image[F_HOST_RIP] = 0xffffffff80000100;

    image[F_CR0] = 0x30;
    image[F_CR4] = 0x2000;
    image_segments(0, 0, 0xffff, 0x93);
    image_segment(SEG_CS, 0xf000, 0xffff0000, 0xffff, 0x9b);
    image_segment(SEG_LDTR, 0, 0, 0xffff, 0x82);
    image_segment(SEG_TR, 0, 0, 0xffff, 0x8b);
    image[F_GDTR_LIMIT] = image[F_IDTR_LIMIT] = 0xffff;
    image[F_RIP] = 0xfff0;
    image[F_RFLAGS] = 2;
    image[F_DR7] = 0x400;
    image[F_PAT] = 0x0007040600070406;
    image[F_LINK] = UINT64_MAX;
}

static void image_sipi(void) {
    image_reset();
    image_segment(SEG_CS, 0x9a00, 0x9a000, 0xffff, 0x9b);
    image[F_RIP] = 0;
}

static void image_start32(void) {
    image_reset();
    image[F_CR0] = 0x31;
    image_segment(SEG_CS, 8, 0, 0xffffffff, 0xc09b);
    image_segments(16, 0, 0xffffffff, 0xc093);
    image[F_RIP] = 0x100000;
}

static void image_start64(void) {
    image_start32();
    image[F_CR0] = 0x80000031;
    image[F_CR3] = 0x1000;
    image[F_CR4] = 0x2020;
    image[RIGHTS(SEG_CS)] = 0xa09b;
    image[F_EFER] = 0x500;
    image[F_ENTRY] |= BIT(9);
    image[F_RIP] = 0xffffffff81000000;
}

static bool image_check(struct vmcs_violation *out) {
    return vmcs_check_all(&image_caps, image_read, image, out);
}
