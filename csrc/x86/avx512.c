/* avx512.c: the kernels for AVX-512 (F, VL, DQ, BW). */
#if defined(__x86_64__)
#include "../head_kernels.h"
#include "../kernels.h"
#include "vector_avx512.h"

#define MR 14
#include "depthwise_template.h"
#include "gemm_template.h"
#include "winograd_template.h"

const xk_table xk_avx512 = {
    .isa = "avx512",
    .mr = MR,
    .nr = NV * VL,
    .vector = VL,
    .mac_cost = 1,
    .gemm = gemm,
    .depthwise = depthwise,
    .wino4_input = wino4_input,
    .wino2_input = wino2_input,
    .wino4_output = wino4_output,
    .wino2_output = wino2_output,
    .head = &xk_head_avx512,
};
#else
typedef int xk_no_avx512; /* ISO C wants a declaration in every file */
#endif
