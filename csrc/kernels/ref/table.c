/* table.c: every kernel in plain C: the oracle of the others, and what runs where no better
 * instruction set is known. */
#include "ref.h"

const xk_table xk_generic = {
    .isa = "generic",
    .vector = 1,
    .mac_cost = 16,
    .gemm = {XK_REF_MR, XK_REF_NR, gemm_f32_4x8_ref, gemm_line_f32_4x8_ref, xk_pack_panels},
    .depthwise = depthwise_f32_ref,
    .winograd4 = {winograd4_input_f32_ref, winograd4_output_f32_ref, xk_pack_winograd4},
    .winograd2 = {winograd2_input_f32_ref, winograd2_output_f32_ref, xk_pack_winograd2},
    .products = {[XK_BF16] = &xk_bf16_ref, [XK_INT8] = &xk_int8_ref},
    .pairs = {XK_REF_LANES, pairs_f32_8_ref},
    .pictures = {mix_rows_u8_ref, mix_columns_u8_ref, warp_u8_ref},
    .map = map_f32_ref,
    .softmax = softmax_f32_ref,
    .normalise = normalise_f32_ref,
    .transport = {divide_f32_ref, exponentials_f32_ref},
};
