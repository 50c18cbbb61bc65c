/* SPDX-License-Identifier: Apache-2.0 */
/* The way into a case and back, from whatever mode it is in: struct fuzz_context, at CONTEXT where all modes reach it,
 * holds what goes in and what came out. */
    CONTEXT   = 0x7000
    RIP       = CONTEXT + 128
    FLAGS     = CONTEXT + 136
    CODE_SEG  = CONTEXT + 144
    STACK_SEG = CONTEXT + 152
    DATA_SEGS = CONTEXT + 160                   /* DS, ES, FS, GS */
    CR0       = CONTEXT + 192
    CR3       = CONTEXT + 200
    CR4       = CONTEXT + 208
    VECTOR    = CONTEXT + 216
    ERROR     = CONTEXT + 224
    KERNEL    = CONTEXT + 232
    REAL      = CONTEXT + 240
    STUBS     = 0x5000                          /* where real mode's code goes */
    EFER      = 0xC0000080

    .macro SAVE_KERNEL
    .irp register, rbx, rbp, r12, r13, r14, r15
    push    %\register
    .endr
    mov     %rsp, KERNEL
    .endm

    .macro RESUME_KERNEL
    mov     KERNEL, %rsp
    .irp register, r15, r14, r13, r12, rbp, rbx
    pop     %\register
    .endr
    ret
    .endm

    .macro GPRS_32 move, prefix=
    n = 0
    .irp register, eax, ecx, edx, ebx, no, ebp, esi, edi
    .ifnc \register, no
    \move   \register, n, \prefix
    .endif
    n = n + 8
    .endr
    .endm
    .macro LOAD register, at, prefix
    mov     \prefix CONTEXT + \at, %\register
    .endm
    .macro STORE register, at, prefix
    mov     %\register, \prefix CONTEXT + \at
    .endm

/* ---- Long mode ---- */
    .text
    .globl fuzz_enter_long
fuzz_enter_long:
    SAVE_KERNEL
    mov     DATA_SEGS, %ds
    mov     DATA_SEGS + 8, %es
    mov     DATA_SEGS + 16, %fs
    mov     DATA_SEGS + 24, %gs
    pushq   STACK_SEG
    pushq   CONTEXT + 32
    pushq   FLAGS
    pushq   CODE_SEG
    pushq   RIP
    n = 0
    .irp register, rax, rcx, rdx, rbx, no, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
    .ifnc \register, no
    mov     CONTEXT + n, %\register
    .endif
    n = n + 8
    .endr
    iretq

    .balign 16
stubs_64:
    vector = 0
    .rept 256
    .balign 16
    push    $vector
    jmp     trap_64
    vector = vector + 1
    .endr

/* The stacks of traps are aligned: whether there is an error code tells their pointer, as an interrupt may have any
 * vector. */
trap_64:
    test    $8, %spl
    jnz     1f
    push    (%rsp)
    movq    $0, 8(%rsp)
1:  cmpl    $0x08, 24(%rsp)                     /* CS: ours */
    je      trap_kernel
    n = 0
    .irp register, rax, rcx, rdx, rbx, no, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
    .ifnc \register, no
    mov     %\register, CONTEXT + n
    .endif
    n = n + 8
    .endr
    popq    VECTOR
    popq    ERROR
    popq    RIP
    popq    CODE_SEG
    popq    FLAGS
    popq    CONTEXT + 32
    cld
    RESUME_KERNEL

/* An NMI, or a breakpoint that MOV SS has delayed; anything else is the end of this life. */
trap_kernel:
    cmpl    $2, (%rsp)
    ja      1f
    cmpl    $0, (%rsp)
    je      1f
    add     $16, %rsp
    iretq
1:  mov     %rsp, %rdi
    and     $~15, %rsp
    call    fuzz_kernel_fault

/* ---- Protected mode without long mode, virtual 8086 mode ---- */
    .globl fuzz_enter_legacy
fuzz_enter_legacy:
    SAVE_KERNEL
    pushq   $0x18
    pushq   $1f
    lretq
    .code32
1:  mov     $0x10, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    mov     $legacy_stack_top, %esp
    mov     %cr0, %eax
    and     $0x7FFFFFFF, %eax
    mov     %eax, %cr0
    mov     $EFER, %ecx
    rdmsr
    and     $~0x100, %eax                       /* LME */
    wrmsr
    mov     CR4, %eax
    mov     %eax, %cr4
    mov     CR3, %eax
    mov     %eax, %cr3
    andb    $~2, gdt + 0x7D                     /* not busy */
    mov     $0x78, %eax
    ltr     %ax
    cmpl    $0, REAL
    jne     to_real
    lidt    idtr_32
    mov     CR0, %eax
    mov     %eax, %cr0
    testl   $0x20000, FLAGS
    jnz     to_v86
    testb   $3, CODE_SEG
    jz      2f
    pushl   STACK_SEG
    pushl   CONTEXT + 32
    jmp     3f
2:  mov     STACK_SEG, %ss
    mov     CONTEXT + 32, %esp
3:  pushl   FLAGS
    pushl   CODE_SEG
    pushl   RIP
    pushl   DATA_SEGS + 24
    pushl   DATA_SEGS + 16
    pushl   DATA_SEGS + 8
    pushl   DATA_SEGS
    GPRS_32 LOAD
    pop     %ds
    pop     %es
    pop     %fs
    pop     %gs
    iretl
to_v86:
    pushl   DATA_SEGS + 24
    pushl   DATA_SEGS + 16
    pushl   DATA_SEGS
    pushl   DATA_SEGS + 8
    pushl   STACK_SEG
    pushl   CONTEXT + 32
    pushl   FLAGS
    pushl   CODE_SEG
    pushl   RIP
    GPRS_32 LOAD
    iretl

    .balign 16
stubs_32:
    vector = 0
    .rept 256
    .balign 16
    push    $vector
    jmp     trap_32
    vector = vector + 1
    .endr

/* From CPL 0 on the stack of the case, the base of which is 0. An interrupt whose vector is that of an exception with
 * an error code is misread: then the case ends. */
trap_32:
    GPRS_32 STORE, %ss:
    mov     $0x10, %eax
    mov     %eax, %ds
    mov     %eax, %es
    pop     VECTOR
    movl    $0, ERROR
    mov     VECTOR, %ecx
    cmp     $32, %ecx
    jae     1f
    mov     $0x227D00, %eax                     /* 8, 10 to 14, 17, 21 */
    bt      %ecx, %eax
    jnc     1f
    pop     ERROR
1:  pop     RIP
    pop     CODE_SEG
    pop     FLAGS
    testl   $0x20000, FLAGS
    jnz     2f
    testb   $3, CODE_SEG
    jnz     2f
    mov     %esp, CONTEXT + 32
    jmp     to_long
2:  pop     CONTEXT + 32

to_long:
    mov     $0x10, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    mov     $legacy_stack_top, %esp
    push    $2                                  /* real mode leaves NT as it is, which IRETQ refuses */
    popf
    mov     %cr0, %eax
    cmpl    $0, REAL
    jne     1f
    mov     %eax, CR0
1:  and     $0x7FFFFFFF, %eax
    mov     %eax, %cr0
    mov     %cr4, %eax
    mov     %eax, CR4
    mov     fuzz_base_cr4, %eax
    mov     %eax, %cr4
    mov     fuzz_base_cr3, %eax
    mov     %eax, %cr3
    mov     fuzz_base_efer, %eax
    xor     %edx, %edx
    mov     $EFER, %ecx
    wrmsr
    mov     fuzz_base_cr0, %eax
    mov     %eax, %cr0
    ljmp    $0x08, $1f
    .code64
1:  lidt    idtr_64
    andb    $~2, gdt + 0x6D
    mov     $0x68, %eax
    ltr     %ax
    cld
    RESUME_KERNEL

/* ---- Real mode ---- */
    .code32
to_real:
    ljmp    $0x20, $STUBS
    .code16
real_begin:
    mov     $0x28, %ax
    mov     %ax, %ds
    mov     %ax, %es
    mov     %ax, %fs
    mov     %ax, %gs
    mov     %ax, %ss
    mov     CR0, %eax
    mov     %eax, %cr0
    ljmp    $0, $STUBS + 1f - real_begin
1:  xor     %eax, %eax
    mov     %ax, %ds
    mov     %ax, %ss
    lidt    STUBS + idtr_16 - real_begin
    mov     CONTEXT + 32, %esp
    pushw   FLAGS
    pushw   CODE_SEG
    pushw   RIP
    pushw   DATA_SEGS + 24
    pushw   DATA_SEGS + 16
    pushw   DATA_SEGS + 8
    pushw   DATA_SEGS
    GPRS_32 LOAD
    pop     %ds
    pop     %es
    pop     %fs
    pop     %gs
    iretw

trap_16:
    GPRS_32 STORE, %cs:
    popw    %cs:VECTOR
    popw    %cs:RIP
    popw    %cs:CODE_SEG
    popw    %cs:FLAGS
    mov     %esp, %cs:CONTEXT + 32
    movw    $0, %cs:ERROR
    lgdtl   %cs:STUBS + gdtr_16 - real_begin
    mov     %cr0, %eax
    mov     %eax, %cs:CR0
    or      $1, %al
    mov     %eax, %cr0
    ljmpl   $0x18, $to_long
gdtr_16:
    .word   gdt_end - gdt - 1
    .long   gdt
idtr_16:
    .word   0x3FF
    .long   0
stubs_16:
    vector = 0
    .rept 256
    .balign 8
    pushw   $vector
    jmp     trap_16
    vector = vector + 1
    .endr
real_end:

/* ---- Tables ---- */
    .code64
    .globl fuzz_load_tables
fuzz_load_tables:
    mov     $real_begin, %esi                   /* real mode's stubs and vectors */
    mov     $STUBS, %edi
    mov     $real_end - real_begin, %ecx
    rep movsb
    xor     %edi, %edi
    mov     $STUBS + stubs_16 - real_begin, %eax
    mov     $256, %ecx
1:  stosl
    add     $8, %eax
    loop    1b

    mov     $idt_64, %edi
    mov     $stubs_64, %eax
    xor     %edx, %edx
1:  call    gate
    movl    $0, (%rdi)                          /* address 63:32 */
    movl    $0, 4(%rdi)
    add     $8, %edi
    movb    $3, -12(%rdi)                       /* IST */
    add     $16, %eax
    inc     %edx
    cmp     $256, %edx
    jb      1b
    movb    $1, idt_64 + 16 + 4                 /* #DB and NMI come in the middle of others */
    movb    $2, idt_64 + 32 + 4

    mov     $idt_32, %edi
    mov     $stubs_32, %eax
    xor     %edx, %edx
1:  call    gate
    movw    $0x18, -6(%rdi)
    add     $16, %eax
    inc     %edx
    cmp     $256, %edx
    jb      1b

    mov     $tss_64, %eax
    mov     $gdt + 0x68, %edi
    call    base
    mov     $tss_32, %eax
    mov     $gdt + 0x78, %edi
    call    base
    movq    $trap_stack_1, tss_64 + 36          /* IST */
    movq    $trap_stack_2, tss_64 + 44
    movq    $trap_stack_3, tss_64 + 52
    movl    $legacy_stack_top, tss_32 + 4
    movl    $0x10, tss_32 + 8
    movw    $104, tss_32 + 102                  /* the I/O bitmap: all zeros, then a byte of ones */
    movw    $104, tss_64 + 102
    movb    $0xFF, tss_32 + 104 + 8192
    movb    $0xFF, tss_64 + 104 + 8192
    lgdt    gdtr_64
    lidt    idtr_64
    mov     $0x68, %eax
    ltr     %ax
    ret

/* Eight bytes of a gate to EAX, by its number EDX, at RDI, which moves on. */
gate:
    mov     %ax, (%rdi)
    movw    $0x08, 2(%rdi)
    movw    $0x8E00, 4(%rdi)
    cmp     $0x81, %edx
    jne     1f
    movw    $0xEE00, 4(%rdi)
1:  mov     %eax, %ecx
    shr     $16, %ecx
    mov     %cx, 6(%rdi)
    add     $8, %rdi
    ret

/* Of a descriptor at RDI: EAX. */
base:
    mov     %ax, 2(%rdi)
    shr     $16, %eax
    mov     %al, 4(%rdi)
    mov     %ah, 7(%rdi)
    ret

    .data
    .balign 8
gdt:
    .quad   0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF   /* 08: 64-bit code, 10: flat data */
    .quad   0x00CF9B000000FFFF, 0x00009B000000FFFF      /* 18: 32-bit code, 20: 16-bit code */
    .quad   0x000093000000FFFF                          /* 28: 16-bit data */
    .quad   0x00CFF3000000FFFF, 0x00AFFB000000FFFF      /* 33: user data, 3B: user 64-bit code */
    .quad   0x00CFFB000000FFFF, 0x0000FB004000FFFF      /* 43: user 32-bit code, 4B: 16-bit, base 4000H */
    .quad   0x00AF9B000000FFFF, 0x00CF9B000000FFFF      /* 50, 58: 64-bit and 32-bit code of a case, */
    .quad   0x00009B004000FFFF                          /* 60: 16-bit, base 4000H */
    .quad   0x0000890000002068, 0                       /* 68: TSS of long mode */
    .quad   0x0000890000002068                          /* 78: TSS of protected mode */
    .quad   0x00C0F320000001FF, 0xFE40F3E000000FFF      /* 83: the window, 8B: the APIC's page */
    .quad   0x0040F7000000FFFF, 0x00CFF1000000FFFF      /* 93: expand-down, 9B: read-only */
    .quad   0xFFCFF3FFFFFDFFFF                          /* A3: from -3 */
    .quad   0x00CF73000000FFFF                          /* AB: not present */
gdt_end:
gdtr_64:
    .word   gdt_end - gdt - 1
    .quad   gdt
idtr_64:
    .word   256 * 16 - 1
    .quad   idt_64
idtr_32:
    .word   256 * 8 - 1
    .quad   idt_32

    .bss
    .balign 16
idt_64:     .skip 256 * 16
idt_32:     .skip 256 * 8
tss_64:     .skip 104 + 8193
    .balign 16
tss_32:     .skip 104 + 8193
    .balign 16
            .skip 1024
trap_stack_1:
            .skip 1024
trap_stack_2:
            .skip 1024
trap_stack_3:
            .skip 1024
legacy_stack_top:
    .section .note.GNU-stack, "", @progbits
