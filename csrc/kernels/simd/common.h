/* common.h: what the vector headers share; TARGET, ISA and REGISTER (the constraint of a vector register in
 * assembly) come from them. */

/* A kernel's symbol: NAMED(depthwise_f32) is depthwise_f32_avx2. */
#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAMED(name) JOIN(name, ISA)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

#define INLINE TARGET static inline __attribute__((always_inline))

/* Completely: the loops so marked are short, and what they index lives in registers. */
#if defined(__clang__)
#define UNROLL_LOOP _Pragma("clang loop unroll(full)")
#else
#define UNROLL_LOOP _Pragma("GCC unroll 16")
#endif

/* Hides from the compiler where a pointer or a stride came from.  Left to themselves
 * compilers keep a pointer for each of dozens of equidistant places, and spill most of
 * them; hidden, one pointer moves from place to place. */
#define HIDDEN(x) __asm__("" : "+r"(x))

/* Likewise makes the compiler keep a loaded vector in its register, where it would rather
 * read it from memory once for each use. */
#define KEPT(vector) __asm__("" : "+" REGISTER(vector))
