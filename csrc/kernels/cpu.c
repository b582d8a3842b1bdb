/* cpu.c: which instruction set runs.
 *
 * The choice is made once, at first use, from what the processor and the operating
 * system offer (__builtin_cpu_supports also asks whether the system saves the wide
 * registers) less what xk_without was given.  SSE2 and NEON come with their 64-bit processors. */
#include "kernels/cpu.h"
#include "kernels/kernels.h"
#include "xcos.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "os/threads.h"

/* Names of the instruction sets that a user may do without, on whatever machine. */
static const char *const optional[] = {"avx512", "avx2", "sse2", "neon"};
enum { OPTIONAL = sizeof optional / sizeof *optional };

static bool without[OPTIONAL];
static xo_once once = XO_ONCE_INIT;
static const xk_table *tables[OPTIONAL + 2]; /* best first, ends with NULL */
static const char *names[OPTIONAL + 2];      /* of the same */
static _Atomic(const xk_table *) in_force;

xcos_status xk_without(const char *list, xcos_error *err)
{
    while (*(list += strspn(list, ", "))) {
        const size_t length = strcspn(list, ", ");
        int i = 0;
        while (i < OPTIONAL &&
               (strlen(optional[i]) != length || strncmp(list, optional[i], length) != 0))
            i++;
        if (i == OPTIONAL)
            return xcos_fail(err, XCOS_E_ARG,
                             "XCOS_DISABLE_CPU names '%.*s', expected a list of avx512, avx2, sse2, neon",
                             (int)length, list);
        without[i] = true;
        list += length;
    }
    return XCOS_OK;
}

static void offer(const xk_table *table)
{
    static int count;
    for (int i = 0; i < OPTIONAL; i++)
        if (without[i] && strcmp(optional[i], table->isa) == 0)
            return;
    tables[count] = table;
    names[count++] = table->isa;
}

static void detect(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("fma"))
        offer(&xk_avx512);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        offer(&xk_avx2);
    offer(&xk_sse2);
#elif defined(__aarch64__)
    offer(&xk_neon);
#endif
    offer(&xk_generic);
    atomic_store(&in_force, tables[0]);
}

const xk_table *xk_kernels(void)
{
    xo_call_once(&once, detect);
    return atomic_load_explicit(&in_force, memory_order_relaxed);
}

const xk_products *xk_products_of(const xk_table *table, xk_precision precision)
{
    const xk_products *products = table->products[precision];
#if defined(__x86_64__)
    __builtin_cpu_init();
    if ((products == &xk_bf16_avx512 && !__builtin_cpu_supports("avx512bf16")) ||
        (products == &xk_int8_avx512 && !__builtin_cpu_supports("avx512vnni")))
        return NULL;
#endif
    return products;
}

const char *xcos_isa_name(void)
{
    return xk_kernels()->isa;
}

const char *const *xcos_isa_available(void)
{
    xo_call_once(&once, detect);
    return names;
}

xcos_status xcos_isa_select(const char *name, xcos_error *err)
{
    xo_call_once(&once, detect);
    for (int i = 0; tables[i]; i++)
        if (strcmp(names[i], name) == 0) {
            atomic_store(&in_force, tables[i]);
            return XCOS_OK;
        }
    char have[64] = "";
    for (int i = 0; tables[i]; i++)
        strcat(strcat(have, i ? ", " : ""), names[i]);
    return xcos_fail(err, XCOS_E_ARG, "instruction set '%s' is not among those of this machine: %s",
                     name, have);
}
