/* SPDX-License-Identifier: Apache-2.0 */
/* From GRUB's 32-bit entry to boot_main in long mode at the linked address. Runs wherever the image
 * was loaded: EBP holds the load address, every symbol is reached by its offset in the image. */
#include "boot/layout.h"

#define OFFSET(sym)  ((sym) - IMAGE_VIRT)
#define MB2_BOOTED   0x36d76289

#define PTE_PW       0x003 /* present, writable */
#define PTE_LARGE_PW 0x083
#define CR4_PAE      0x20
#define CR0_PG_WP    0x80010000
#define MSR_EFER     0xc0000080
#define EFER_LME_NXE 0x900
#define CPUID_LM     (1 << 29)
#define CPUID_NX     (1 << 20)

    .section .text.start, "ax"
    .code32
    .globl start32
start32:
    cli
    cld
    cmp $MB2_BOOTED, %eax
    jne 9f
    /* No stack yet: the information structure's reserved word serves as one for a single call. */
    lea 8(%ebx), %esp
    call 1f
1:  pop %ebp
    sub $OFFSET(1b), %ebp
    lea OFFSET(boot_stack_top)(%ebp), %esp
    mov %ebx, %edi

    mov $0x80000000, %eax
    cpuid
    cmp $0x80000001, %eax
    jb 8f
    mov $0x80000001, %eax
    cpuid
    and $(CPUID_LM | CPUID_NX), %edx
    cmp $(CPUID_LM | CPUID_NX), %edx
    jne 8f

    /* Bootstrap tables: the first 4 GiB at 0 and at DIRECT_VIRT, the image at IMAGE_VIRT. */
    xor %ecx, %ecx
2:  mov %ecx, %eax
    shl $21, %eax
    or $PTE_LARGE_PW, %eax
    mov %eax, OFFSET(boot_pd_low)(%ebp,%ecx,8)
    inc %ecx
    cmp $2048, %ecx
    jne 2b

    xor %ecx, %ecx
    lea OFFSET(boot_pd_low + PTE_PW)(%ebp), %eax
3:  mov %eax, OFFSET(boot_pdpt_low)(%ebp,%ecx,8)
    add $0x1000, %eax
    inc %ecx
    cmp $4, %ecx
    jne 3b

    xor %ecx, %ecx
    lea PTE_LARGE_PW(%ebp), %eax
4:  mov %eax, OFFSET(boot_pd_image)(%ebp,%ecx,8)
    add $IMAGE_ALIGN, %eax
    inc %ecx
    cmp $(IMAGE_MAX / IMAGE_ALIGN), %ecx
    jne 4b

    lea OFFSET(boot_pd_image + PTE_PW)(%ebp), %eax
    mov %eax, OFFSET(boot_pdpt_high + 8 * 510)(%ebp)
    lea OFFSET(boot_pdpt_low + PTE_PW)(%ebp), %eax
    mov %eax, OFFSET(boot_pml4)(%ebp)
    mov %eax, OFFSET(boot_pml4 + 8 * DIRECT_SLOT)(%ebp)
    lea OFFSET(boot_pdpt_high + PTE_PW)(%ebp), %eax
    mov %eax, OFFSET(boot_pml4 + 8 * 511)(%ebp)

    mov %cr4, %eax
    or $CR4_PAE, %eax
    mov %eax, %cr4
    lea OFFSET(boot_pml4)(%ebp), %eax
    mov %eax, %cr3
    mov $MSR_EFER, %ecx
    rdmsr
    or $EFER_LME_NXE, %eax
    wrmsr
    mov %cr0, %eax
    or $CR0_PG_WP, %eax
    mov %eax, %cr0

    /* A descriptor-table register image on the stack, its base where we run now. */
    lea OFFSET(boot_gdt)(%ebp), %eax
    push %eax
    pushw $(boot_gdt_end - boot_gdt - 1)
    lgdt (%esp)
    lea OFFSET(start64)(%ebp), %eax
    push $SEL_CODE64
    push %eax
    lret

8:  lea OFFSET(no_long_mode)(%ebp), %esi
    mov $0x3f8, %edx
    jmp 6f
5:  out %al, (%dx)
6:  lodsb
    test %al, %al
    jnz 5b
9:  hlt
    jmp 9b

    .code64
start64:
    mov %ebp, %esi /* second argument; EDI still holds the first */
    mov %edi, %edi
    movabs $1f, %rax
    jmp *%rax
1:  lgdt boot_gdtr
    mov $SEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $boot_stack_top, %rsp
    xor %ebp, %ebp
    call boot_main

/* cpu_enter(cr3): leave the boot stack for this CPU's own tables and stack. */
    .globl cpu_enter
cpu_enter:
    mov %rdi, %cr3
    mov $PERCPU_STACK_TOP, %rsp
    xor %ebp, %ebp
    call cpu_main

    .section .rodata.boot, "a"
    .balign 8
    .globl boot_gdt, boot_gdtr
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff /* SEL_CODE64 */
    .quad 0x00cf93000000ffff /* SEL_DATA */
    .quad 0x00cf9b000000ffff /* SEL_CODE32 */
boot_gdt_end:
boot_gdtr:
    .short boot_gdt_end - boot_gdt - 1
    .quad boot_gdt
no_long_mode:
    .asciz "mullion| this CPU cannot run Mullion: no 64-bit mode with NX\r\n"

    .section .bss.tables, "aw", @nobits
    .balign 4096
    .globl boot_pml4, boot_pdpt_low
boot_pml4:      .skip 4096
boot_pdpt_low:  .skip 4096
boot_pdpt_high: .skip 4096
boot_pd_image:  .skip 4096
boot_pd_low:    .skip 4 * 4096

    .section .bss.stack, "aw", @nobits
    .balign 4096
    .skip 8192
    .globl boot_stack_top
boot_stack_top:
    .section .note.GNU-stack, "", @progbits
