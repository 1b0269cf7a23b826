//@ reduce_f32 DTYPE_F32
//@ reduce_f16 DTYPE_F16
//@ reduce_bf16 DTYPE_BF16
//@ reduce_f64 DTYPE_F64
//@ reduce_i64 DTYPE_I64
//@ reduce_i32 DTYPE_I32
//@ reduce_u32 DTYPE_U32
//@ reduce_u8 DTYPE_U8
#version 460
#extension GL_GOOGLE_include_directive : require
// Sums, products, extremes; means, variances and logarithms of summed exponentials. With more than one part an output, the
// results are partial, kept as COMPUTED, and reduced by a second dispatch. Words: those of share.glsl, start of the output, where the second walk begins, divisor (two words),
// identity of an extreme (two words), long walk of the outputs through the input, walk of an output's elements (from 0).
#define FIRST_WALK 10
#include "include/interface.glsl"
#include "include/dtype.glsl"
#include "include/numbers.glsl"
#include "include/math.glsl"
#include "include/workgroup.glsl"
#include "include/position.glsl"

// The choices of `kernels/reduce.rs`.
layout(constant_id = 10) const uint FLAGS = 0;
const bool ELEMENTS_LINEAR = (FLAGS & 1) != 0;
// Neighbouring threads work on neighbouring outputs, else on neighbouring elements.
const bool COLUMNS = (FLAGS & 2) != 0;
// The input holds partial results.
const bool FROM_PARTIAL = (FLAGS & 4) != 0;
const bool TO_PARTIAL = (FLAGS & 8) != 0;
// The mean or maximum of each output's elements is given, else found here.
const bool SHIFT_GIVEN = (FLAGS & 16) != 0;
// Elements are shifted and mapped, which partial results were already.
const bool MAPS = (FLAGS & 32) != 0;
const bool FINISHES = (FLAGS & 64) != 0;
layout(constant_id = 11) const uint METHOD = 0;
#define SUM 0
#define PRODUCT 1
#define MAXIMUM 2
#define MINIMUM 3
#define MEAN 4
#define VARIANCE 5
#define LOG_SUM_EXP 6
layout(constant_id = 12) const uint LANES = 1;
#include "include/share.glsl"

// Loads under way from each thread: at least 16 bytes, of narrow types 8.
#if defined(DTYPE_F16) || defined(DTYPE_BF16) || defined(DTYPE_U8)
#define UNROLL 8
#else
#define UNROLL 4
#endif

layout(std430, set = 0, binding = 0) writeonly buffer Output {
    STORED result[];
};
layout(std430, set = 0, binding = 1) readonly buffer Input {
    STORED values[];
};
layout(std430, set = 0, binding = 2) writeonly buffer PartialOutput {
    COMPUTED partial_result[];
};
layout(std430, set = 0, binding = 3) readonly buffer PartialInput {
    COMPUTED partial_values[];
};
layout(std430, set = 0, binding = 4) readonly buffer Shifts {
    COMPUTED shifts[];
};

// How elements combine, and before that those that tell the shift. Constants, so that of each function one way is left.
const uint KIND = METHOD <= MINIMUM ? METHOD : SUM;
const uint SHIFT_KIND = METHOD == VARIANCE ? SUM : MAXIMUM;

COMPUTED identity(uint kind) {
    return kind == SUM ? COMPUTED(0) : kind == PRODUCT ? COMPUTED(1) : scalar(word(8), word(9));
}

COMPUTED unmapped(COMPUTED x, COMPUTED shift) {
    return x;
}

COMPUTED mapped(COMPUTED x, COMPUTED shift) {
#ifdef IS_FLOAT
    if (MAPS && METHOD == VARIANCE) {
        return (x - shift) * (x - shift);
    }
    if (MAPS && METHOD == LOG_SUM_EXP) {
        return m_exp(x - shift);
    }
#endif
    return x;
}

COMPUTED element(uint base, uint index) {
    uint place = base + (ELEMENTS_LINEAR ? walked_evenly(word(5), index) : walked(word(5), index));
    return FROM_PARTIAL ? partial_values[place] : LOAD(values[place]);
}

#define COMBINED(kind, x, y) \
    ((kind) == SUM ? (x) + (y) : (kind) == PRODUCT ? (x) * (y) : (kind) == MAXIMUM ? larger(x, y) : smaller(x, y))

// Elements that are added to each of a thread's sums before these are added to others, which start again: of n elements a sum then is no chain of n
// additions but of 64 and n/64.
#define BLOCK 64

// Over the elements of a share, and then across its lanes. All threads make the same number of rounds, so that they stay together. Past
// the end the last element is loaded again, so that no load waits for a branch.
#define REDUCED(NAME, kind, map) \
    COMPUTED NAME(uint base, Share share, COMPUTED shift) { \
        COMPUTED sums[UNROLL]; \
        COMPUTED blocks[UNROLL]; \
        [[unroll]] for (uint step = 0; step < UNROLL; step++) { \
            sums[step] = identity(kind); \
            blocks[step] = COMPUTED(0); \
        } \
        uint round = 0; \
        for (uint start = share.first; start < share.last; start += LANES * UNROLL) { \
            uint at = start + share.lane; \
            COMPUTED x[UNROLL]; \
            [[unroll]] for (uint step = 0; step < UNROLL; step++) { \
                x[step] = element(base, min(at + step * LANES, share.last - 1)); \
            } \
            [[unroll]] for (uint step = 0; step < UNROLL; step++) { \
                if (at + step * LANES < share.last) { \
                    COMPUTED y = map(x[step], shift); \
                    sums[step] = COMBINED(kind, sums[step], y); \
                } \
            } \
            round++; \
            if ((kind) == SUM && round % BLOCK == 0) { \
                [[unroll]] for (uint step = 0; step < UNROLL; step++) { \
                    blocks[step] += sums[step]; \
                    sums[step] = COMPUTED(0); \
                } \
            } \
        } \
        if ((kind) == SUM) { \
            [[unroll]] for (uint step = 0; step < UNROLL; step++) { \
                sums[step] += blocks[step]; \
            } \
        } \
        [[unroll]] for (uint width = UNROLL / 2; width > 0; width /= 2) { \
            [[unroll]] for (uint step = 0; step < width; step++) { \
                sums[step] = COMBINED(kind, sums[step], sums[step + width]); \
            } \
        } \
        switch (kind) { \
        case SUM: return team_sum(sums[0], TEAM_LOW, TEAM_HIGH); \
        case PRODUCT: return team_product(sums[0], TEAM_LOW, TEAM_HIGH); \
        case MAXIMUM: return team_max(sums[0], TEAM_LOW, TEAM_HIGH); \
        default: return team_min(sums[0], TEAM_LOW, TEAM_HIGH); \
        } \
    }

REDUCED(result_of, KIND, mapped)

#ifdef IS_FLOAT
REDUCED(extent_of, SHIFT_KIND, unmapped)

// What elements are shifted by before they are mapped.
COMPUTED shift_of(uint base, Share share) {
    COMPUTED shift = COMPUTED(0);
    if (SHIFT_GIVEN) {
        shift = shifts[share.source];
    } else if (MAPS) {
        shift = extent_of(base, share, shift);
        if (METHOD == VARIANCE) {
            shift = divide(shift, COMPUTED(word(1)));
        }
    }
    // An infinite maximum would make NaN of ∞ − ∞; shifting by 0 there gives the right infinity.
    return METHOD == LOG_SUM_EXP && !is_finite(shift) ? COMPUTED(0) : shift;
}

COMPUTED finished(COMPUTED x, COMPUTED shift) {
    switch (METHOD) {
    case MEAN:
    case VARIANCE: return divide(x, scalar(word(6), word(7)));
    case LOG_SUM_EXP: return m_ln(x) + shift;
    default: return x;
    }
}
#endif

void main() {
    FOR_EACH_SHARE(item) {
        Share share = share_of(item);
        uint base = walked(FIRST_WALK, share.source);
#ifdef IS_FLOAT
        COMPUTED shift = shift_of(base, share);
        COMPUTED x = result_of(base, share, shift);
        if (FINISHES) {
            x = finished(x, shift);
        }
#else
        COMPUTED x = result_of(base, share, COMPUTED(0));
#endif
        if (share.writes) {
            if (TO_PARTIAL) {
                partial_result[share.partial_place] = x;
            } else {
                result[word(4) + share.source] = STORE(x);
            }
        }
    }
}
