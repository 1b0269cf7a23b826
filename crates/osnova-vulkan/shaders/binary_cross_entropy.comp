//@ binary_cross_entropy_f32 DTYPE_F32
//@ binary_cross_entropy_f16 DTYPE_F16
//@ binary_cross_entropy_bf16 DTYPE_BF16
//@ binary_cross_entropy_f64 DTYPE_F64
#version 460
#extension GL_GOOGLE_include_directive : require
// max(x, 0) − x·y + ln(1 + e^−|x|) of each logit x and its target y, and the gradient sigmoid(x) − y from the same exponential. Words: count,
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
            COMPUTED small = m_exp(negated(magnitude(x[step])));
            COMPUTED positive = x[step] < COMPUTED(0) ? COMPUTED(0) : x[step];
            COMPUTED value = positive - x[step] * y[step] + m_ln1p(small);
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
