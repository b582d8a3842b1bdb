/* avx512.c: the kernels for AVX-512 (F, VL, DQ, BW). */
#if defined(__x86_64__)
#include "../kernels.h"
#include "vector_avx512.h"

#define MR 14
#define NR 32
#define TILE_ROWS 3
#include "../simd/exponential.h"
#include "../simd/depthwise_template.h"
#include "../simd/functions_template.h"
#include "../simd/gemm_template.h"
#include "../simd/pairs_template.h"
#include "../simd/transport_template.h"
#include "../simd/winograd_template.h"

const xk_table xk_avx512 = {
    .isa = "avx512",
    .vector = VL,
    .mac_cost = 1,
    .gemm = {MR, NR, gemm_f32_avx512, xk_pack_panels},
    .depthwise = depthwise_f32_avx512,
    .winograd4 = {winograd4_input_f32_avx512, winograd4_output_f32_avx512, xk_pack_winograd4},
    .winograd2 = {winograd2_input_f32_avx512, winograd2_output_f32_avx512, xk_pack_winograd2},
    .pairs = {VL, pairs_f32_avx512},
    .map = map_f32_avx512,
    .softmax = softmax_f32_avx512,
    .normalise = normalise_f32_avx512,
    .transport = {divide_f32_avx512, exponentials_f32_avx512},
};
#else
typedef int xk_no_avx512; /* ISO C wants a declaration in every file */
#endif
