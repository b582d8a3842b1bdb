/* table_template.h: the table of an instruction set, from its vectors and the templates. MR, NR: the tile of
 * the convolutions. TILE_ROWS: pairs_template.h. */
#include "exponential.h"

#include "depthwise_template.h"
#include "functions_template.h"
#include "gemm_template.h"
#include "pairs_template.h"
#include "pictures_template.h"
#include "transport_template.h"
#include "winograd_template.h"

const xk_table JOIN(xk, ISA) = {
    .isa = TEXT(ISA),
    .vector = VL,
    .mac_cost = 1,
    .gemm = {MR, NR, NAMED(gemm_f32), NAMED(gemm_line_f32), xk_pack_panels},
    .depthwise = NAMED(depthwise_f32),
    .winograd4 = {NAMED(winograd4_input_f32), NAMED(winograd4_output_f32), xk_pack_winograd4},
    .winograd2 = {NAMED(winograd2_input_f32), NAMED(winograd2_output_f32), xk_pack_winograd2},
#if defined(PRODUCTS)
    .products = PRODUCTS,
#endif
    .pairs = {VL, NAMED(pairs_f32)},
    .pictures = {NAMED(mix_rows_u8), NAMED(mix_columns_u8), NAMED(warp_u8)},
    .map = NAMED(map_f32),
    .softmax = NAMED(softmax_f32),
    .normalise = NAMED(normalise_f32),
    .transport = {NAMED(divide_f32), NAMED(exponentials_f32)},
};
