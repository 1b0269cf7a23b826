//@ matmul_sum_f32 DTYPE_F32
//@ matmul_sum_f16 DTYPE_F16
//@ matmul_sum_bf16 DTYPE_BF16
//@ matmul_sum_f64 DTYPE_F64
#version 460
#extension GL_GOOGLE_include_directive : require
// The sum of the parts into which `matmul` split the inner axis, in their order. Words: count, columns, parts, whether there is
// a bias, its start and stride, activation.
#define BIAS_BINDING 2
#include "include/interface.glsl"
#include "include/dtype.glsl"
#include "include/numbers.glsl"
#include "include/finish.glsl"

layout(std430, set = 0, binding = 0) writeonly buffer Output {
    STORED result[];
};
layout(std430, set = 0, binding = 1) readonly buffer Parts {
    COMPUTED parts[];
};

void main() {
    uint count = word(0);
    for (uint index = gl_WorkGroupID.x * THREADS + gl_LocalInvocationID.x; index < count; index += gl_NumWorkGroups.x * THREADS) {
        precise COMPUTED sum = parts[index];
        for (uint part = 1; part < word(2); part++) {
            sum += parts[index + part * count];
        }
        sum = finished(sum, word(3) != 0, word(4) + index % word(1) * word(5), word(6));
        result[index] = STORE(sum);
    }
}
