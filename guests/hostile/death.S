/* SPDX-License-Identifier: Apache-2.0 */
/* From 64-bit mode to 32-bit protected mode without paging, and what is only there: task switches, virtual-8086 mode,
 * stacks that are not aligned when an exception pushes. None of them comes back. */

#define CODE      0x08
#define DATA      0x10
#define TASK      0x18
#define OTHER     0x20
#define USER_CODE 0x2B
#define USER_DATA 0x33
#define REAL      0x8000 /* the code for virtual-8086 mode */

    .text
    .macro TO_32_BITS
    cli
    lgdt    gdtr
    pushq   $CODE
    pushq   $1f
    lretq
    .code32
1:  mov     $DATA, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    mov     %cr0, %eax
    and     $0x7FFFFFFF, %eax                   /* PG off, and long mode with it */
    or      $0x00040000, %eax                   /* AM */
    mov     %eax, %cr0
    mov     $stack_top, %esp
    movl    $stack_top, tss + 4                 /* ESP0, SS0 */
    movl    $DATA, tss + 8
    movw    $104, tss + 102                     /* the I/O bitmap, all zeros */
    mov     $tss, %eax                          /* below 16 MiB */
    mov     %ax, gdt + TASK + 2
    mov     %ax, gdt + OTHER + 2
    shr     $16, %eax
    mov     %al, gdt + TASK + 4
    mov     %al, gdt + OTHER + 4
    mov     $TASK, %eax
    ltr     %ax
    lidt    idtr
    .endm

    .globl hostile_task_jump, hostile_task_gate, hostile_v8086, hostile_ac_loop
hostile_task_jump:
    TO_32_BITS
    ljmp    $OTHER, $0

    .code64
hostile_task_gate:
    TO_32_BITS
    movl    $OTHER << 16, idt + 6 * 8           /* #UD by a task gate */
    movl    $0x8500, idt + 6 * 8 + 4
    ud2

    .code64
hostile_v8086:
    TO_32_BITS
    mov     $real, %esi
    mov     $REAL, %edi
    mov     $real_end - real, %ecx
    cld
    rep movsb
    .irp segment, 0, 0, 0xA000, 0, 0x1000, 0x2A0 /* GS FS DS ES SS SP */
    pushl   $\segment
    .endr
    pushl   $0x23002                            /* VM, IOPL 3 */
    pushl   $REAL >> 4
    pushl   $0
    iretl

    .code16
real:
    xor     %eax, %eax
    cpuid
    sti
    cli
    in      $0x3A, %al
    mov     %al, 0                              /* DS: where a PC has its screen, and nothing is */
    mov     0x1FE, %ax
    outsw
    mov     $100, %cx
    xor     %si, %si
    xor     %di, %di
    mov     $0x3A, %dx
    rep insb
    int3                                        /* no gate */
real_end:

    .code64
hostile_ac_loop:
    TO_32_BITS
    mov     $user, %eax                         /* the handler is the user's, and so is its stack */
    movw    %ax, idt + 17 * 8
    movw    $USER_CODE, idt + 17 * 8 + 2
    movw    $0xEE00, idt + 17 * 8 + 4
    shr     $16, %eax
    movw    %ax, idt + 17 * 8 + 6
    pushl   $USER_DATA
    pushl   $user_stack_top - 2
    pushl   $0x40002                            /* AC */
    pushl   $USER_CODE
    pushl   $user
    iretl
user:
    push    %eax
    jmp     user

    .data
    .balign 8
gdt:
    .quad 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF     /* 08: code, 10: data */
    .quad 0x000089000000FFFF, 0x000089000000FFFF        /* 18, 20: TSS */
    .quad 0x00CFFB000000FFFF, 0x00CFF3000000FFFF        /* 2B, 33: user code, data */
gdt_end:
gdtr:
    .word gdt_end - gdt - 1
    .quad gdt
idtr:
    .word 32 * 8 - 1
    .quad idt

    .bss
    .balign 16
idt:        .skip 32 * 8
tss:        .skip 104 + 8193                    /* with the bitmap */
            .skip 4096
stack_top:  .skip 4096
user_stack_top:
    .section .note.GNU-stack, "", @progbits
