/* vector_neon.h: the vector operations that the templates use, for NEON, which every 64-bit Arm has. */
#include <arm_neon.h>
#include <string.h>

#define TARGET
#define ISA neon
#define REGISTER "w"
#include "../simd/common.h"
#define VL 4

typedef float32x4_t vf;
typedef int vmask; /* unused: parts of vectors go by their number of lanes */

INLINE vf v_zero(void) { return vdupq_n_f32(0); }
INLINE vf v_set1(float x) { return vdupq_n_f32(x); }
INLINE vf v_load(const float *p) { return vld1q_f32(p); }
INLINE void v_store(float *p, vf x) { vst1q_f32(p, x); }
INLINE vf v_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }  /* a*b + c */
INLINE vf v_fnma(vf a, vf b, vf c) { return vfmsq_f32(c, a, b); } /* c - a*b */

/* Lane `lane`, a constant, in all lanes: a multiply-add takes it as an operand. */
INLINE vf v_lane(vf x, const int lane)
{
    return lane == 0   ? vdupq_laneq_f32(x, 0)
           : lane == 1 ? vdupq_laneq_f32(x, 1)
           : lane == 2 ? vdupq_laneq_f32(x, 2)
                       : vdupq_laneq_f32(x, 3);
}

/* The first n lanes, 0 < n <= VL. */
INLINE vmask v_first(int n) { return n; }
INLINE vf v_load_first(const float *p, vmask mask, int n)
{
    (void)mask;
    if (n >= 4)
        return vld1q_f32(p);
    vf x = v_zero();
    if (n & 2)
        x = vcombine_f32(vld1_f32(p), vdup_n_f32(0));
    if (n == 1)
        x = vld1q_lane_f32(p, x, 0);
    if (n == 3)
        x = vld1q_lane_f32(p + 2, x, 2);
    return x;
}
INLINE void v_store_first(float *p, vf x, vmask mask, int n)
{
    (void)mask;
    if (n >= 4)
        vst1q_f32(p, x);
    if (n == 2 || n == 3)
        vst1_f32(p, vget_low_f32(x));
    if (n == 1)
        vst1q_lane_f32(p, x, 0);
    if (n == 3)
        vst1q_lane_f32(p + 2, x, 2);
}

/* min(max(x, lo), hi), and NaN where x is NaN, as these instructions have it. */
INLINE vf v_clip(vf x, vf lo, vf hi) { return vminq_f32(hi, vmaxq_f32(lo, x)); }

/* x, times slope where x is negative. */
INLINE vf v_prelu(vf x, vf slope)
{
    return vbslq_f32(vcltzq_f32(x), vmulq_f32(x, slope), x);
}

/* What the pair kernel needs beside. */
INLINE vf v_max(vf a, vf b) { return vmaxq_f32(a, b); }
INLINE vf v_min(vf a, vf b) { return vminq_f32(a, b); }
INLINE vf v_round(vf x) { return vrndnq_f32(x); }
/* 2^n for integers -126 <= n <= 127. */
INLINE vf v_pow2(vf n)
{
    const int32x4_t exponent = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
    return vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23));
}
/* x >= limit ? yes : no */
INLINE vf v_at_least(vf x, vf limit, vf yes, vf no) { return vbslq_f32(vcgeq_f32(x, limit), yes, no); }

/* What the kernels of pictures need beside: four floats, and VL bytes as floats. */
typedef float32x4_t v4;

INLINE v4 v4_set1(float x) { return vdupq_n_f32(x); }
INLINE v4 v4_load(const float *p) { return vld1q_f32(p); }
INLINE v4 v4_bytes(const uint8_t *p)
{
    uint32_t four;
    memcpy(&four, p, sizeof four);
    const uint16x8_t pairs = vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four)));
    return vcvtq_f32_u32(vmovl_u16(vget_low_u16(pairs)));
}
/* Of 0 <= x < 256; fractions are dropped. */
INLINE uint32_t v4_to_bytes(v4 x)
{
    const uint16x4_t pairs = vmovn_u32(vcvtq_u32_f32(x));
    return vget_lane_u32(vreinterpret_u32_u8(vmovn_u16(vcombine_u16(pairs, pairs))), 0);
}
INLINE vf v_bytes(const uint8_t *p) { return v4_bytes(p); }
