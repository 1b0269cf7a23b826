//@ argreduce_f32 DTYPE_F32
//@ argreduce_f16 DTYPE_F16
//@ argreduce_bf16 DTYPE_BF16
//@ argreduce_f64 DTYPE_F64
//@ argreduce_i64 DTYPE_I64
//@ argreduce_i32 DTYPE_I32
//@ argreduce_u32 DTYPE_U32
//@ argreduce_u8 DTYPE_U8
#version 460
#extension GL_GOOGLE_include_directive : require
// The position of the largest or smallest element along an axis: NaN counts as the extreme, the first of equals wins. With more than
// one part an output, the results are candidates, among which a second dispatch chooses. Words: those of share.glsl, start
// of the output, stride of the axis, strides of the outputs and parts through the candidates, long walk of the outputs through the input.
#define FIRST_WALK 8
#include "include/interface.glsl"
#include "include/dtype.glsl"
#include "include/numbers.glsl"
#include "include/workgroup.glsl"
#include "include/position.glsl"

// The choices of `kernels/argreduce.rs`.
layout(constant_id = 10) const uint FLAGS = 0;
const bool COLUMNS = (FLAGS & 1) != 0;
const bool FROM_CANDIDATES = (FLAGS & 2) != 0;
const bool TO_CANDIDATES = (FLAGS & 4) != 0;
const bool LARGEST = (FLAGS & 8) != 0;
layout(constant_id = 11) const uint LANES = 1;
#include "include/share.glsl"

// Loads under way from each thread.
#define UNROLL 4

layout(std430, set = 0, binding = 0) writeonly buffer Output {
    // The words of an i64.
    uvec2 result[];
};
layout(std430, set = 0, binding = 1) readonly buffer Input {
    STORED values[];
};
layout(std430, set = 0, binding = 2) writeonly buffer CandidatesOutput {
    uint chosen[];
};
layout(std430, set = 0, binding = 3) readonly buffer CandidatesInput {
    uint candidates[];
};

shared uint team_places[THREADS];

struct Found {
    COMPUTED value;
    uint place;
};

Found better(Found x, Found y) {
    bool x_nan = is_nan(x.value);
    bool y_nan = is_nan(y.value);
    ORDERED x_key = order_key(x.value);
    ORDERED y_key = order_key(y.value);
    bool equal = x_nan || y_nan ? x_nan && y_nan : x_key == y_key;
    bool ahead = x_nan || (!y_nan && (LARGEST ? x_key > y_key : x_key < y_key));
    return (equal ? x.place <= y.place : ahead) ? x : y;
}

// As the reductions of workgroup.glsl go.
Found best_of_team(Found x) {
    uint bit = TEAM_LOW;
    if (SHUFFLES) {
        [[unroll]] for (; bit < min(TEAM_HIGH, SUBGROUP_SIZE); bit <<= 1) {
            x = better(x, Found(shuffled(x.value, bit), shuffled(x.place, bit)));
        }
    }
    uint thread = thread_number();
    while (bit < TEAM_HIGH) {
        uint next = min(bit * SHARED_STEP, TEAM_HIGH);
        team_values[thread] = x.value;
        team_places[thread] = x.place;
        barrier();
        uint first = thread & ~(next - bit);
        for (uint at = first; at < first + next; at += bit) {
            x = better(x, Found(team_values[at], team_places[at]));
        }
        barrier();
        bit = next;
    }
    return x;
}

Found element(uint base, Share share, uint index) {
    uint place = FROM_CANDIDATES ? candidates[share.source * word(6) + index * word(7)] : index;
    return Found(LOAD(values[base + place * word(5)]), place);
}

void main() {
    FOR_EACH_SHARE(item) {
        Share share = share_of(item);
        uint base = walked(FIRST_WALK, share.source);
        Found best[UNROLL];
        Found first = element(base, share, share.first);
        [[unroll]] for (uint step = 0; step < UNROLL; step++) {
            best[step] = first;
        }
        // The same number of rounds for all threads, so that they stay together.
        for (uint start = share.first; start < share.last; start += LANES * UNROLL) {
            Found found[UNROLL];
            // Past the end the last element is looked at again, which changes nothing.
            [[unroll]] for (uint step = 0; step < UNROLL; step++) {
                found[step] = element(base, share, min(start + share.lane + step * LANES, share.last - 1));
            }
            [[unroll]] for (uint step = 0; step < UNROLL; step++) {
                best[step] = better(best[step], found[step]);
            }
        }
        [[unroll]] for (uint step = 1; step < UNROLL; step++) {
            best[0] = better(best[0], best[step]);
        }
        Found found = best_of_team(best[0]);
        if (share.writes) {
            if (TO_CANDIDATES) {
                chosen[share.partial_place] = found.place;
            } else {
                result[word(4) + share.source] = uvec2(found.place, 0);
            }
        }
    }
}
