/* The switch of coro_switch.h for the System V ABI of x86-64.
 *
 * A saved context, from its pointer upwards:
 *    0 mxcsr  4 x87 control word  8 r15  16 r14  24 r13  32 r12  40 rbx  48 rbp  56 return address
 *
 * Indirect branch tracking: entries begin with endbr64. Shadow stacks cannot be followed from
 * here, so the note below does not claim them and the linker turns them off for the program. */
#if defined(__x86_64__) && defined(__LP64__) && !defined(CARAFE_CORO_UCONTEXT)

    .text

    .macro SAVE_CONTEXT
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r15, 0
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movq %rsp, (%rdi)
    .endm

/* void coro_switch(void **save [rdi], void *to [rsi])
 * Both stacks have the same layout here, so the unwind rules stay true across the switch. It ends
 * in a jump, since the processor would predict a `ret` to lead back to the caller, always wrongly;
 * notrack, since there is no endbr64 behind a call. */
    .globl coro_switch
    .hidden coro_switch
    .type coro_switch, @function
    .balign 16
coro_switch:
    .cfi_startproc
    endbr64
    SAVE_CONTEXT
    movq %rsi, %rsp
    ldmxcsr (%rsp)
    fldcw 4(%rsp)
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbp
    popq %rcx
    .cfi_adjust_cfa_offset -8
    .cfi_register %rip, %rcx
    notrack jmp *%rcx
    .cfi_endproc
    .size coro_switch, . - coro_switch

/* void coro_start(void **save [rdi], void *stack [rsi], size_t size [rdx],
 *                 coro_entry *entry [rcx], void *arg [r8])
 * The new context takes over the floating point control state, as a call would. Backtraces end
 * here: the return address is undefined, and a zero rbp stops those that follow frame pointers. */
    .globl coro_start
    .hidden coro_start
    .type coro_start, @function
    .balign 16
coro_start:
    .cfi_startproc
    endbr64
    SAVE_CONTEXT
    leaq (%rsi,%rdx), %rsp
    .cfi_def_cfa %rsp, 0
    .cfi_undefined %rip
    .cfi_undefined %rbp
    .cfi_undefined %rbx
    .cfi_undefined %r12
    .cfi_undefined %r13
    .cfi_undefined %r14
    .cfi_undefined %r15
    xorl %ebp, %ebp
    movq %r8, %rdi
    callq *%rcx
    ud2
    .cfi_endproc
    .size coro_start, . - coro_start

/* GNU_PROPERTY_X86_FEATURE_1_AND: IBT, without SHSTK. */
    .section .note.gnu.property, "a", @note
    .balign 8
    .long 4
    .long 16
    .long 5
    .asciz "GNU"
    .long 0xc0000002
    .long 4
    .long 1
    .long 0

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
