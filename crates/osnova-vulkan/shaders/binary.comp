//@ binary_f32 DTYPE_F32
//@ binary_f16 DTYPE_F16
//@ binary_bf16 DTYPE_BF16
//@ binary_f64 DTYPE_F64
//@ binary_i64 DTYPE_I64
//@ binary_i32 DTYPE_I32
//@ binary_u32 DTYPE_U32
//@ binary_u8 DTYPE_U8
#version 460
#extension GL_GOOGLE_include_directive : require
// Functions of two tensors. Words: count, start of the output, walk of both inputs.
// The output may be either input: each thread reads an element before it writes that same element.
#define INPUTS 2
#define WALK 2
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
layout(std430, set = 0, binding = 1) readonly buffer Left {
    STORED left[];
};
layout(std430, set = 0, binding = 2) readonly buffer Right {
    STORED right[];
};

void main() {
    uint count = word(0);
    uint start = word(1);
    for (uint base = gl_WorkGroupID.x * (THREADS * 4) + gl_LocalInvocationID.x; base < count;
         base += gl_NumWorkGroups.x * (THREADS * 4)) {
        COMPUTED x[4];
        COMPUTED y[4];
        [[unroll]] for (uint step = 0; step < 4; step++) {
            // The elements past the end repeat the first one of this thread, which nobody else writes.
            uint index = base + step * THREADS;
            uint at[INPUTS];
            locate(index < count ? index : base, at);
            x[step] = LOAD(left[at[0]]);
            y[step] = LOAD(right[at[1]]);
        }
        [[unroll]] for (uint step = 0; step < 4; step++) {
            uint index = base + step * THREADS;
            if (index < count) {
                result[start + index] = STORE(binary(OPERATION, x[step], y[step]));
            }
        }
    }
}
