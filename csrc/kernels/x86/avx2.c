/* avx2.c: the kernels for AVX2 with FMA. */
#if defined(__x86_64__)
#include "../kernels.h"
#include "vector_avx2.h"

#define MR 6
#define NR 16
#define TILE_ROWS 1
#include "../simd/exponential.h"
#include "../simd/depthwise_template.h"
#include "../simd/functions_template.h"
#include "../simd/gemm_template.h"
#include "../simd/pairs_template.h"
#include "../simd/transport_template.h"
#include "../simd/winograd_template.h"

const xk_table xk_avx2 = {
    .isa = "avx2",
    .vector = VL,
    .mac_cost = 1,
    .gemm = {MR, NR, gemm_f32_avx2, xk_pack_panels},
    .depthwise = depthwise_f32_avx2,
    .winograd4 = {winograd4_input_f32_avx2, winograd4_output_f32_avx2, xk_pack_winograd4},
    .winograd2 = {winograd2_input_f32_avx2, winograd2_output_f32_avx2, xk_pack_winograd2},
    .pairs = {VL, pairs_f32_avx2},
    .map = map_f32_avx2,
    .softmax = softmax_f32_avx2,
    .normalise = normalise_f32_avx2,
    .transport = {divide_f32_avx2, exponentials_f32_avx2},
};
#else
typedef int xk_no_avx2; /* ISO C wants a declaration in every file */
#endif
