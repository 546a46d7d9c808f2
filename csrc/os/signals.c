#include "os/signals.h"

#include <ucontext.h>
#include <unistd.h>

#define OS_DIRECTION_FLAG 0x400

bool wr_os_signal_current(int signal, WrOsSignalHandler handler, struct sigaction *out_current, bool *out_is_ours)
{
    if (sigaction(signal, NULL, out_current) != 0) return false;
    *out_is_ours = (out_current->sa_flags & SA_SIGINFO) != 0 && out_current->sa_sigaction == handler;
    return true;
}

bool wr_os_signal_install(int signal, WrOsSignalHandler handler)
{
    struct sigaction ours = { 0 };
    ours.sa_sigaction = handler;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&ours.sa_mask);
    return sigaction(signal, &ours, NULL) == 0;
}

bool wr_os_signal_is_fault(const siginfo_t *info)
{
    /* kill, tkill and sigqueue have codes of zero and below; faults those of their signal, or SI_KERNEL */
    return info->si_code > 0;
}

bool wr_os_signal_was_raised(const siginfo_t *info)
{
    return info->si_code == SI_TKILL && info->si_pid == getpid();
}

void wr_os_signal_default(int signal, const siginfo_t *info)
{
    struct sigaction action = { 0 };
    action.sa_handler = SIG_DFL;
    sigemptyset(&action.sa_mask);
    (void)sigaction(signal, &action, NULL);
    if (!wr_os_signal_is_fault(info)) (void)raise(signal);
}

WrOsRegisters wr_os_registers(const void *context)
{
    const greg_t *registers = ((const ucontext_t *)context)->uc_mcontext.gregs;
    return (WrOsRegisters){ (uintptr_t)registers[REG_RIP], (uintptr_t)registers[REG_RSP], (uintptr_t)registers[REG_RBP] };
}

void wr_os_resume_at(void *context, uintptr_t pc, uintptr_t sp)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    registers[REG_RIP] = (greg_t)pc;
    registers[REG_RSP] = (greg_t)sp;
    registers[REG_EFL] &= ~(greg_t)OS_DIRECTION_FLAG;
}

void wr_os_return_false(void *context, uintptr_t pc, uintptr_t sp, uintptr_t fp, const uintptr_t *saved)
{
    static const int callee_saved[] = { REG_RBX, REG_R12, REG_R13, REG_R14, REG_R15 };
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    for (unsigned i = 0; saved != NULL && i < 5; i++) registers[callee_saved[i]] = (greg_t)saved[i];
    registers[REG_RBP] = (greg_t)fp;
    registers[REG_RAX] = 0;
    wr_os_resume_at(context, pc, sp);
}
