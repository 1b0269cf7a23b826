//@ unary_f32 DTYPE_F32
//@ unary_f16 DTYPE_F16
//@ unary_bf16 DTYPE_BF16
//@ unary_f64 DTYPE_F64
//@ unary_i64 DTYPE_I64
//@ unary_i32 DTYPE_I32
//@ unary_u32 DTYPE_U32
//@ unary_u8 DTYPE_U8
#version 460
#extension GL_GOOGLE_include_directive : require
// Functions of one tensor. Words: count, start of the output, two scalars of two words, walk of the input.
// The output may be the input: each thread reads an element before it writes that same element.
#define INPUTS 1
#define WALK 6
#include "include/interface.glsl"
#include "include/dtype.glsl"
#include "include/numbers.glsl"
#include "include/math.glsl"
#include "include/operations.glsl"
#include "include/strided.glsl"

layout(constant_id = 11) const uint OPERATION = 0;

layout(std430, set = 0, binding = 0) buffer Output {
    STORED result[];
};
layout(std430, set = 0, binding = 1) readonly buffer Input {
    STORED values[];
};

void main() {
    uint count = word(0);
    uint start = word(1);
    COMPUTED low = scalar(word(2), word(3));
    COMPUTED high = scalar(word(4), word(5));
    for (uint base = gl_WorkGroupID.x * (THREADS * 4) + gl_LocalInvocationID.x; base < count;
         base += gl_NumWorkGroups.x * (THREADS * 4)) {
        // All loads before the first store, so that they are under way together.
        COMPUTED x[4];
        [[unroll]] for (uint step = 0; step < 4; step++) {
            // The elements past the end repeat the first one of this thread, which nobody else writes.
            uint index = base + step * THREADS < count ? base + step * THREADS : base;
            uint at[INPUTS];
            locate(index, at);
            x[step] = LOAD(values[at[0]]);
        }
        [[unroll]] for (uint step = 0; step < 4; step++) {
            uint index = base + step * THREADS;
            if (index < count) {
                result[start + index] = STORE(unary(OPERATION, x[step], low, high));
            }
        }
    }
}
