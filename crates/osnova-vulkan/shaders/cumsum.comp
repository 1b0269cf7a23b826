//@ cumsum_f32 DTYPE_F32
//@ cumsum_f16 DTYPE_F16
//@ cumsum_bf16 DTYPE_BF16
//@ cumsum_f64 DTYPE_F64
//@ cumsum_i64 DTYPE_I64
//@ cumsum_i32 DTYPE_I32
//@ cumsum_u32 DTYPE_U32
//@ cumsum_u8 DTYPE_U8
#version 460
#extension GL_GOOGLE_include_directive : require
// Running sums along the lines of an axis, LANES threads a line; a line may be cut into parts, whose sums were made before. Words: those
// of share.glsl (the outputs are the lines), start and stride along the axis of the output, the same of the input, lines that lie side by
// side in the output, long walk of the lines through the input.
#define FIRST_WALK 8
#include "include/interface.glsl"
#include "include/dtype.glsl"
#include "include/numbers.glsl"
#include "include/running.glsl"
// Elements of a line that a thread has under way.
#define STRIPS 4
#define TEAM_VALUES (THREADS * STRIPS)
#include "include/workgroup.glsl"
#include "include/position.glsl"

// The choice of `kernels/cumsum.rs`.
layout(constant_id = 10) const uint LANES = 1;
#define COLUMNS false
#include "include/share.glsl"

layout(std430, set = 0, binding = 0) writeonly buffer Output {
    STORED result[];
};
layout(std430, set = 0, binding = 1) readonly buffer Input {
    STORED values[];
};
// Of all parts but the last one, in the shape of the output with the parts in place of the axis.
layout(std430, set = 0, binding = 2) readonly buffer Sums {
    COMPUTED part_sums[];
};

// Each strip becomes the running sums across the threads of a line (Sklansky 1960: in each round the upper half of a block adds the
// last sum of the lower half); `totals` are the last ones.
void scan(inout COMPUTED strips[STRIPS], out COMPUTED totals[STRIPS]) {
    if (LANES == 1) {
        totals = strips;
        return;
    }
    uint bit = 1;
    if (SHUFFLES) {
        uint lane = gl_SubgroupInvocationID;
        [[unroll]] for (; bit < min(LANES, SUBGROUP_SIZE); bit <<= 1) {
            uint from = (lane & ~(2 * bit - 1)) + bit - 1;
            [[unroll]] for (uint strip = 0; strip < STRIPS; strip++) {
                COMPUTED below = shuffled_from(strips[strip], from);
                strips[strip] += (lane & bit) != 0 ? below : COMPUTED(0);
            }
        }
        if (LANES <= SUBGROUP_SIZE) {
            [[unroll]] for (uint strip = 0; strip < STRIPS; strip++) {
                totals[strip] = shuffled_from(strips[strip], lane | (LANES - 1));
            }
            return;
        }
    }
    uint thread = thread_number();
    [[unroll]] for (uint strip = 0; strip < STRIPS; strip++) {
        team_values[thread + strip * THREADS] = strips[strip];
    }
    barrier();
    for (; bit < LANES; bit <<= 1) {
        // Written are places in upper halves, read the last ones of lower halves.
        if ((thread & bit) != 0) {
            uint from = (thread & ~(2 * bit - 1)) + bit - 1;
            [[unroll]] for (uint strip = 0; strip < STRIPS; strip++) {
                strips[strip] += team_values[from + strip * THREADS];
                team_values[thread + strip * THREADS] = strips[strip];
            }
        }
        barrier();
    }
    [[unroll]] for (uint strip = 0; strip < STRIPS; strip++) {
        totals[strip] = team_values[(thread | (LANES - 1)) + strip * THREADS];
    }
    barrier();
}

// The sum of the parts before this one.
COMPUTED sum_before(Share share, uint side) {
    uint part = share.first / word(3);
    uint first = share.source / side * side * (word(2) - 1) + share.source % side;
    COMPUTED sum = COMPUTED(0);
    COMPUTED rest = COMPUTED(0);
    for (uint start = 0; start < part; start += LANES) {
        uint before = start + share.lane;
        if (before < part) {
            add_to(sum, rest, part_sums[first + before * side]);
        }
    }
    return team_sum(sum + rest, TEAM_LOW, TEAM_HIGH);
}

void main() {
    uint side = word(7);
    FOR_EACH_SHARE(item) {
        Share share = share_of(item);
        uint source = walked(FIRST_WALK, share.source);
        uint target = word(4) + share.source / side * side * word(1) + share.source % side;
        COMPUTED sum = sum_before(share, side);
        COMPUTED rest = COMPUTED(0);
        for (uint start = share.first; start < share.last; start += LANES * STRIPS) {
            COMPUTED strips[STRIPS];
            COMPUTED totals[STRIPS];
            // Neighbouring threads load neighbouring elements. Past the end the last one is loaded again, so that no load waits for a branch.
            [[unroll]] for (uint strip = 0; strip < STRIPS; strip++) {
                uint at = start + share.lane + strip * LANES;
                COMPUTED x = LOAD(values[source + min(at, share.last - 1) * word(6)]);
                strips[strip] = at < share.last ? x : COMPUTED(0);
            }
            scan(strips, totals);
            [[unroll]] for (uint strip = 0; strip < STRIPS; strip++) {
                uint at = start + share.lane + strip * LANES;
                if (share.inside && at < share.last) {
                    result[target + at * word(5)] = STORE(sum + (rest + strips[strip]));
                }
                add_to(sum, rest, totals[strip]);
            }
        }
    }
}
