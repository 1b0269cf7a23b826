//@ sample_weight_f32 DTYPE_F32
//@ sample_weight_f16 DTYPE_F16
//@ sample_weight_bf16 DTYPE_BF16
//@ sample_weight_f64 DTYPE_F64
#version 460
#extension GL_GOOGLE_include_directive : require
// What the mean of a weighted cross-entropy is divided by: the weights of the samples that count, a sum for each workgroup. Words: samples,
// classes, start and stride of the target, start and stride of the weights, the ignored label (two words).
#define INDEX_BINDING 1
#define INDEX_ID 12
#include "include/interface.glsl"
#include "include/dtype.glsl"
#include "include/numbers.glsl"
#include "include/workgroup.glsl"
#include "include/index.glsl"

layout(constant_id = 10) const bool WEIGHTED = false;
layout(constant_id = 11) const bool IGNORES = false;

layout(std430, set = 0, binding = 0) writeonly buffer Sums {
    COMPUTED sums[];
};
layout(std430, set = 0, binding = 2) readonly buffer Weights {
    STORED weights[];
};

void main() {
    COMPUTED total = COMPUTED(0);
    for (uint index = gl_WorkGroupID.x * THREADS + thread_number(); index < word(0); index += gl_NumWorkGroups.x * THREADS) {
        uvec2 label = index_at(word(2) + index * word(3));
        // A label out of range is told of by `cross_entropy.comp`.
        bool counts = label.y == 0 && label.x < word(1) && !(IGNORES && label == uvec2(word(6), word(7)));
        if (counts) {
            total += WEIGHTED ? LOAD(weights[word(4) + label.x * word(5)]) : COMPUTED(1);
        }
    }
    total = workgroup_sum(total);
    if (thread_number() == 0) {
        sums[gl_WorkGroupID.x] = total;
    }
}
