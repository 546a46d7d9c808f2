/* Signal handlers, and the registers of the interrupted thread: all that a trap handler needs to know of the system.
 *
 * Only async-signal-safe calls are made here once a handler is installed. */
#ifndef WR_OS_SIGNALS_H
#define WR_OS_SIGNALS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

typedef void (*WrOsSignalHandler)(int signal, siginfo_t *info, void *context);

/* What handles `signal` now, and whether that is `handler`. */
bool wr_os_signal_current(int signal, WrOsSignalHandler handler, struct sigaction *out_current, bool *out_is_ours);
/* `handler` runs on the alternate stack of the thread if it has one, with the signal not blocked, so that a fault inside a handler that is chained to
 * reaches the next. */
bool wr_os_signal_install(int signal, WrOsSignalHandler handler);
/* Gives the signal its default action and raises it again: the process ends as if no handler had been there. For a synchronous fault the
 * faulting instruction runs again after the return. */
void wr_os_signal_default(int signal, const siginfo_t *info);
/* The fault came from an instruction of this thread, not from kill(). */
bool wr_os_signal_is_fault(const siginfo_t *info);
/* It came from raise() in this process. */
bool wr_os_signal_was_raised(const siginfo_t *info);

typedef struct WrOsRegisters { uintptr_t pc, sp, fp; } WrOsRegisters;
WrOsRegisters wr_os_registers(const void *context);
/* The thread goes on as if a function had returned false to `pc`: with these sp and fp, and rbx, r12, r13, r14, r15 from `saved` (NULL: as they are). */
void wr_os_return_false(void *context, uintptr_t pc, uintptr_t sp, uintptr_t fp, const uintptr_t *saved);
/* The thread goes on at `pc` with stack pointer `sp` when the handler returns. */
void wr_os_resume_at(void *context, uintptr_t pc, uintptr_t sp);

#endif
