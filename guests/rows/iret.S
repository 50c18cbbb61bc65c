/* SPDX-License-Identifier: Apache-2.0 */
/* row_nmi_stub: an NMI handler that goes to CPL 3 by RETF, NMIs still blocked. There an IRET pops the frame that
 * row_iret_frame points to, misaligned, with EFLAGS.AC set; when it succeeds, INT 81H ends it all. */
    .text
    .globl row_nmi_stub, row_iret_frame
row_nmi_stub:
    pushq   $0x33
    pushq   $guest_user_stack_top - 64
    pushq   $0x3B
    pushq   $1f
    lretq
1:  pushfq
    orl     $0x40000, (%rsp)
    popfq
    mov     row_iret_frame, %rsp
    iretq
    .globl row_iret_done
row_iret_done:
    int     $0x81

    .bss
    .balign 8
row_iret_frame: .skip 8
    .section .note.GNU-stack, "", @progbits
