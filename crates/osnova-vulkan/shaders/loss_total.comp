//@ loss_total_f32 DTYPE_F32
//@ loss_total_f16 DTYPE_F16
//@ loss_total_bf16 DTYPE_BF16
//@ loss_total_f64 DTYPE_F64
#version 460
#extension GL_GOOGLE_include_directive : require
// A loss from the sums that workgroups made, by one workgroup. Words: number of sums, number of parts of the divisor (0: it is the number
// that follows), the divisor (two words).
#include "include/interface.glsl"
#include "include/dtype.glsl"
#include "include/numbers.glsl"
#include "include/math.glsl"
#include "include/metadata.glsl"
#include "include/workgroup.glsl"

layout(std430, set = 0, binding = 0) writeonly buffer Output {
    STORED result[];
};
layout(std430, set = 0, binding = 1) readonly buffer Sums {
    COMPUTED sums[];
};
layout(std430, set = 0, binding = 2) readonly buffer Divisor {
    COMPUTED divisor_parts[];
};

void main() {
    uint thread = thread_number();
    COMPUTED total = COMPUTED(0);
    for (uint index = thread; index < word(0); index += THREADS) {
        total += sums[index];
    }
    total = workgroup_sum(total);
    COMPUTED divisor = number(2);
    if (word(1) > 0) {
        divisor = workgroup_sum(thread < word(1) ? divisor_parts[thread] : COMPUTED(0));
    }
    if (thread == 0) {
        result[0] = STORE(divide(total, divisor));
    }
}
