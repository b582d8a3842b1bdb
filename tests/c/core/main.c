/* main.c: tests of the core from C: what no call from Python can reach.
 *
 *     core NAME...   runs these tests; exit code 0 when all hold
 *     core           prints the names
 *
 * Built and run by test_core.py and test_ports.py. */
#include "core.h"

#include <stdio.h>
#include <string.h>

static int failures;

bool check(bool holds, const char *file, int line, const char *what)
{
    if (!holds && failures++ < 20)
        printf("%s:%d: %s\n", file, line, what);
    return holds;
}

int between(int lo, int hi)
{
    static uint64_t seed = 1;
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return lo + (int)((uint32_t)(seed >> 32) % (uint32_t)(hi - lo + 1));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {{"api", test_api},           {"weights", test_weights},
                 {"pool", test_pool},         {"interrupt", test_interrupt},
                 {"arena", test_arena},       {"schedules", test_schedules},
                 {"pick", test_pick},         {"quota", test_quota}};
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        if (argc < 2)
            puts(tests[i].name);
        for (int j = 1; j < argc; j++)
            if (strcmp(argv[j], tests[i].name) == 0)
                tests[i].run();
    }
    return failures != 0;
}
