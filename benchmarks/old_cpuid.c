/* old_cpuid.c: answers CPUID as a processor with SSE4.2 and no more would.
 *
 * In the copies of libraries that baseline.py makes, CPUID has become UD2, an invalid instruction of the
 * same length. The signal that it raises is answered here: by CPUID itself, less what came after SSE4.2. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

enum {
    FMA = 1 << 12, XSAVE = 1 << 26, OSXSAVE = 1 << 27, AVX = 1 << 28, F16C = 1 << 29, /* leaf 1, ECX */
    XOP = 1 << 11, FMA4 = 1 << 16, /* leaf 0x80000001, ECX */
};

static void answer(int signal, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned leaf = (unsigned)registers[REG_RAX];
    unsigned a, b, c, d;
    (void)signal, (void)info;
    __cpuid_count(leaf, (unsigned)registers[REG_RCX], a, b, c, d);
    if (leaf == 1)
        c &= ~(unsigned)(FMA | XSAVE | OSXSAVE | AVX | F16C);
    else if (leaf == 0x80000001)
        c &= ~(unsigned)(XOP | FMA4);
    else if (leaf == 7 || leaf == 0xd) /* AVX2, AVX-512 and what they save */
        a = b = c = d = 0;
    registers[REG_RAX] = a;
    registers[REG_RBX] = b;
    registers[REG_RCX] = c;
    registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void install(void)
{
    struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO};
    sigaction(SIGILL, &action, NULL);
}
