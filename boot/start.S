/* SPDX-License-Identifier: Apache-2.0 */
/* From GRUB's 32-bit entry on the boot core, and from real mode on every other, to C in long mode at
 * the linked address. Runs wherever the image was loaded: EBP holds the load address, every symbol is
 * reached by its offset in the image. */
#include "boot/layout.h"

#define OFFSET(sym)     ((sym) - IMAGE_VIRT)
#define MB2_MAGIC       0xe85250d6
#define MB2_BOOTED      0x36d76289
#define MB2_TAG_SCREEN  5  /* any that there is, with pixels of 32 bits if it has pixels */
#define MB2_OPTIONAL    1
#define MB2_TAG_MODULES 6  /* modules on page borders */
#define MB2_TAG_RELOC   10 /* the image runs at any aligned address below 4 GiB */
#define MB2_PREFER_HIGH 2  /* leaves the low memory in one piece for partitions */
#define PTE_PW          0x003 /* present, writable */
#define PTE_LARGE_PW    0x083
#define CR4_PAE         0x20
#define CR0_PAGED       0x80010031 /* PG, WP, NE, ET, PE: caches on, whatever firmware or INIT left */
#define VGA_TEXT        0xb8000
#define VGA_GREY        0x07
#define MSR_EFER        0xc0000080
#define EFER_LME_NXE    0x900
#define CPUID_LM_NX     (1 << 29 | 1 << 20)

    .section .multiboot, "a" /* what GRUB must know */
    .balign 8
mb2_header:
    .long MB2_MAGIC, 0, mb2_header_end - mb2_header
    .long -(MB2_MAGIC + mb2_header_end - mb2_header)
    .short MB2_TAG_SCREEN, MB2_OPTIONAL
    .long 20, 0, 0, 32
    .balign 8
    .short MB2_TAG_MODULES, 0
    .long 8
    .short MB2_TAG_RELOC, 0
    .long 24, 0x100000, 0xffffffff, IMAGE_ALIGN, MB2_PREFER_HIGH
    .short 0, 0 /* end */
    .long 8
mb2_header_end:

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
    mov %ebx, %edi
    mov $0x80000000, %eax
    cpuid
    cmp $0x80000001, %eax
    jb 8f
    mov $0x80000001, %eax
    cpuid
    not %edx
    test $CPUID_LM_NX, %edx
    jnz 8f

    /* What both ways up use and holds physical addresses. */
    add %ebp, OFFSET(boot_image_phys)(%ebp)
    add %ebp, OFFSET(ap_gdtr + 2)(%ebp)
    add %ebp, OFFSET(ap_jump)(%ebp)
    add %ebp, OFFSET(jump64)(%ebp)

    /* Bootstrap tables: the first 4 GiB at 0 and at DIRECT_VIRT, the image at IMAGE_VIRT. */
    xor %ecx, %ecx
2:  mov %ecx, %eax
    shl $21, %eax
    or $PTE_LARGE_PW, %eax
    mov %eax, OFFSET(boot_pd_low)(%ebp,%ecx,8)
    inc %ecx
    cmp $2048, %ecx
    jne 2b
    lea OFFSET(boot_pd_low + PTE_PW)(%ebp), %eax
    xor %ecx, %ecx
3:  mov %eax, OFFSET(boot_pdpt_low)(%ebp,%ecx,8)
    add $0x1000, %eax
    inc %ecx
    cmp $4, %ecx
    jne 3b
    lea PTE_LARGE_PW(%ebp), %eax
    mov %eax, OFFSET(boot_pd_image)(%ebp)
    lea OFFSET(boot_pd_image + PTE_PW)(%ebp), %eax
    mov %eax, OFFSET(boot_pdpt_high + 8 * 510)(%ebp)
    lea OFFSET(boot_pdpt_low + PTE_PW)(%ebp), %eax
    mov %eax, OFFSET(boot_pml4)(%ebp)
    mov %eax, OFFSET(boot_pml4 + 8 * DIRECT_SLOT)(%ebp)
    lea OFFSET(boot_pdpt_high + PTE_PW)(%ebp), %eax
    mov %eax, OFFSET(boot_pml4 + 8 * 511)(%ebp)
    lgdt OFFSET(ap_gdtr)(%ebp)

/* Every core. EDI: the multiboot information, 0 on an AP, where INIT has cleared it. */
long_mode:
    mov $CR4_PAE, %eax
    mov %eax, %cr4
    lea OFFSET(boot_pml4)(%ebp), %eax
    mov %eax, %cr3
    mov $MSR_EFER, %ecx
    mov $EFER_LME_NXE, %eax
    xor %edx, %edx
    wrmsr
    mov $CR0_PAGED, %eax
    mov %eax, %cr0
    ljmpl *%cs:OFFSET(jump64)(%ebp)

8:  lea OFFSET(no_long_mode)(%ebp), %esi
    mov $0x3f8, %edx
    mov $VGA_TEXT, %edi /* where a CPU so old has its screen */
    mov $VGA_GREY, %ah
    jmp 6f
5:  out %al, (%dx)
    stosw
6:  lodsb
    test %al, %al
    jnz 5b
9:  hlt
    jmp 9b

    .code64
start64:
    movabs $1f, %rax
    jmp *%rax
1:  mov $SEL_DATA, %eax /* an IRET pops SS */
    mov %eax, %ss
    test %edi, %edi
    jz ap_high
    mov %edi, %edi /* the upper half is undefined until written */
    mov $boot_stack_top, %rsp
    xor %ebp, %ebp
    call boot_main

/* Which of smp_entries is this? Its APIC id says; then its tables and its stack are known. */
    .globl ap_high
ap_high:
    xor %eax, %eax
    cpuid
    cmp $0xb, %eax
    jb 1f
    mov $0xb, %eax
    xor %ecx, %ecx
    cpuid
    test %ebx, %ebx
    jnz 2f
1:  mov $1, %eax
    cpuid
    mov %ebx, %edx
    shr $24, %edx
2:  xor %ecx, %ecx
3:  cmp smp_entry_count(%rip), %ecx
    jae 5f
    mov %ecx, %eax
    shl $4, %eax
    cmp %edx, smp_entries(%rax)
    je 4f
    inc %ecx
    jmp 3b
4:  mov smp_entries + 8(%rax), %rdi

/* cpu_enter(cr3): leave the boot stack for this CPU's own tables and stack. */
    .globl cpu_enter
cpu_enter:
    mov %rdi, %cr3
    mov $(PERCPU_STACK_TOP - GUEST_REGS_BYTES), %rsp /* they are there before the first VM entry */
    xor %ebp, %ebp
    call cpu_main
5:  hlt
    jmp 5b

/* An AP's first steps, from SIPI (real mode, CS = page): smp.c copies them below 1 MiB. All APs may
 * be here at the same time: nothing is written. */
    .data
    .globl ap_start, ap_end, boot_image_phys
    .code16
ap_start:
    mov %cs, %ax
    mov %ax, %ds
    mov boot_image_phys - ap_start, %ebp
    lgdtl ap_gdtr - ap_start
    mov %cr0, %eax
    or $1, %eax
    mov %eax, %cr0
    ljmpl *(ap_jump - ap_start)
boot_image_phys:
    .long 0
ap_jump:
    .long OFFSET(long_mode)
    .short SEL_CODE32
ap_gdtr:
    .short boot_gdt_end - boot_gdt - 1
    .long OFFSET(boot_gdt)
ap_end:
jump64:
    .long OFFSET(start64)
    .short SEL_CODE64

    .section .rodata.boot, "a"
    .balign 8
    .globl boot_gdt, boot_gdt_end
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff /* SEL_CODE64 */
    .quad 0x00cf93000000ffff /* SEL_DATA */
    .quad 0x00cf9b000000ffff /* SEL_CODE32 */
boot_gdt_end:
no_long_mode:
    .asciz "mullion| this CPU cannot run Mullion: no 64-bit mode with NX\r\n"

    .section .bss.tables, "aw", @nobits
    .balign 4096
    .globl boot_pml4
boot_pml4:      .skip 4096
boot_pdpt_low:  .skip 4096
boot_pdpt_high: .skip 4096
    .globl boot_pd_image
boot_pd_image:  .skip 4096
boot_pd_low:    .skip 4 * 4096

    .section .bss.stack, "aw", @nobits
    .balign 4096
    .skip BOOT_STACK_BYTES
    .globl boot_stack_top
boot_stack_top:
    .section .note.GNU-stack, "", @progbits
