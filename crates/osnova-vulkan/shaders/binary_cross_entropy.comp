//@ binary_cross_entropy_f32 DTYPE_F32
//@ binary_cross_entropy_f16 DTYPE_F16
//@ binary_cross_entropy_bf16 DTYPE_BF16
//@ binary_cross_entropy_f64 DTYPE_F64
#version 460
#extension GL_GOOGLE_include_directive : require
// |x|·t + ln(1 + e^−|x|) of each logit x and its target y, with t = 1 − y of a positive x and else y: max(x, 0) − x·y without its cancellation, 0
// where t is 0 and x infinite. And the gradient sigmoid(x) − y from the same exponential. Words: count,
// what the gradient is multiplied by and the loss divided by (two words each), walk of logits and target. Outputs are row-major.
#define INPUTS 2
#define WALK 5
#include "include/interface.glsl"
#include "include/dtype.glsl"
#include "include/numbers.glsl"
#include "include/math.glsl"
#include "include/metadata.glsl"
#include "include/strided.glsl"
#include "include/workgroup.glsl"

layout(constant_id = 11) const bool GRADIENT = false;
// What becomes of the values: one for each element, a sum for each workgroup, or the loss itself from the only workgroup.
layout(constant_id = 12) const uint RESULT = 0;
#define EACH 0
#define SUMS 1
#define LOSS 2

layout(std430, set = 0, binding = 0) writeonly buffer Values {
    STORED values[];
};
layout(std430, set = 0, binding = 0) writeonly buffer Sums {
    COMPUTED sums[];
};
layout(std430, set = 0, binding = 1) writeonly buffer Gradient {
    STORED gradient[];
};
layout(std430, set = 0, binding = 2) readonly buffer Logits {
    STORED logits[];
};
layout(std430, set = 0, binding = 3) readonly buffer Target {
    STORED target[];
};

void main() {
    uint count = word(0);
    COMPUTED factor = number(1);
    uint thread = thread_number();
    COMPUTED total = COMPUTED(0);
    for (uint base = gl_WorkGroupID.x * (THREADS * 4) + thread; base < count; base += gl_NumWorkGroups.x * (THREADS * 4)) {
        // All loads before the first store, so that they are under way together.
        COMPUTED x[4];
        COMPUTED y[4];
        [[unroll]] for (uint step = 0; step < 4; step++) {
            uint at[INPUTS];
            locate(min(base + step * THREADS, count - 1), at);
            x[step] = LOAD(logits[at[0]]);
            y[step] = LOAD(target[at[1]]);
        }
        [[unroll]] for (uint step = 0; step < 4; step++) {
            uint index = base + step * THREADS;
            COMPUTED size = magnitude(x[step]);
            COMPUTED wrong = x[step] > COMPUTED(0) ? COMPUTED(1) - y[step] : y[step];
            COMPUTED small = m_exp(negated(size));
            COMPUTED value = (wrong == COMPUTED(0) && size == INFINITY ? COMPUTED(0) : size * wrong) + m_ln1p(small);
            if (index < count) {
                if (RESULT != EACH) {
                    total += value;
                } else {
                    values[index] = STORE(value);
                }
                if (GRADIENT) {
                    COMPUTED share = divide(x[step] < COMPUTED(0) ? small : COMPUTED(1), COMPUTED(1) + small);
                    gradient[index] = STORE((share - y[step]) * factor);
                }
            }
        }
    }
    if (RESULT != EACH) {
        total = workgroup_sum(total);
        if (thread == 0 && RESULT == SUMS) {
            sums[gl_WorkGroupID.x] = total;
        } else if (thread == 0) {
            values[0] = STORE(divide(total, number(3)));
        }
    }
}
