/* core.h: what the tests of the core share. */
#ifndef CORE_TESTS_H
#define CORE_TESTS_H

#include <stdbool.h>
#include <stdint.h>

/* Fails the test at hand, and says where, unless the condition holds. */
#define CHECK(condition) check((condition), __FILE__, __LINE__, #condition)
bool check(bool holds, const char *file, int line, const char *what);

/* Random integers lo..hi (both included), from a fixed seed. */
int between(int lo, int hi);

void test_api(void);
void test_weights(void);
void test_pool(void);
void test_interrupt(void);
void test_arena(void);
void test_schedules(void);
void test_pick(void);
void test_quota(void);

#endif
