/* cpu.c: which instruction set runs.
 *
 * The choice is made once, at first use, from what the processor and the operating
 * system offer (__builtin_cpu_supports also asks whether the system saves the wide
 * registers) less the names in XCOS_DISABLE_CPU. */
#include "kernels.h"
#include "xcos.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TABLES = 3 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const xk_table *tables[MAX_TABLES + 1];   /* best first, ends with NULL */
static const char *names[MAX_TABLES + 1];        /* of the same */
static _Atomic(const xk_table *) in_force;

/* Whether `name` stands in the comma list `list`. */
static bool listed(const char *list, const char *name)
{
    size_t length = strlen(name);
    while (list && *list) {
        list += strspn(list, ", ");
        size_t word = strcspn(list, ", ");
        if (word == length && strncmp(list, name, length) == 0)
            return true;
        list += word;
    }
    return false;
}

static void offer(const xk_table *table)
{
    static int count;
    if (table != &xk_generic && listed(getenv("XCOS_DISABLE_CPU"), table->isa))
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
#endif
    offer(&xk_generic);
    atomic_store(&in_force, tables[0]);
}

const xk_table *xk_kernels(void)
{
    pthread_once(&once, detect);
    return atomic_load_explicit(&in_force, memory_order_relaxed);
}

const char *xcos_isa_name(void)
{
    return xk_kernels()->isa;
}

const char *const *xcos_isa_available(void)
{
    pthread_once(&once, detect);
    return names;
}

xcos_status xcos_isa_select(const char *name, xcos_error *err)
{
    pthread_once(&once, detect);
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
