//@ cross_entropy_f32 DTYPE_F32
//@ cross_entropy_f16 DTYPE_F16
//@ cross_entropy_bf16 DTYPE_BF16
//@ cross_entropy_f64 DTYPE_F64
#version 460
#extension GL_GOOGLE_include_directive : require
// Softmax cross-entropy of class indices, and its gradient from the same exponentials. With M the largest logit of a sample, S = Σ e^(x − M),
// k = (1 − s)·w_y, spread = s/C and W = Σ w:
//   loss = k·(ln S − (x_y − M)) + spread·(W·ln S − Σ w·(x − M))
//   gradient = ((k + spread·W)·e^(x − M)/S − spread·w − k where it is the label) / divisor
// Words: samples, classes, start and strides of the logits, start and stride of the target, start and stride of the weights, slot for
// faults, the ignored label (two words), number of parts of the divisor, then numbers of two words: 1 − s, s/C, W of even weights, divisor.
#define FAULT_BINDING 6
#define INDEX_BINDING 3
#define INDEX_ID 19
#include "include/interface.glsl"
#include "include/dtype.glsl"
#include "include/numbers.glsl"
#include "include/math.glsl"
#include "include/metadata.glsl"
#include "include/workgroup.glsl"
#include "include/rows.glsl"
#include "include/fault.glsl"
#include "include/index.glsl"

layout(constant_id = 10) const bool GRADIENT = false;
// What becomes of the values: one for each sample, a sum for each workgroup, or the loss itself from the only workgroup.
layout(constant_id = 14) const uint RESULT = 0;
#define EACH 0
#define SUMS 1
#define LOSS 2
layout(constant_id = 15) const bool SMOOTHED = false;
layout(constant_id = 16) const bool WEIGHTED = false;
layout(constant_id = 17) const bool IGNORES = false;
// The divisor is the sum of what `sample_weight.comp` made.
layout(constant_id = 18) const bool DIVISOR_IN_PARTS = false;

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
layout(std430, set = 0, binding = 4) readonly buffer Weights {
    STORED weights[];
};
layout(std430, set = 0, binding = 5) readonly buffer Divisor {
    COMPUTED divisor_parts[];
};

// Where the team's sample begins.
uint source;

#define ROW_ELEMENT(index) LOAD(logits[source + (index) * word(4)])
#define KEEPS_EXPONENTIALS (GRADIENT && !SMOOTHED)
#include "include/exponentials.glsl"

// factor · value, where a factor of 0 leaves an infinite value out.
COMPUTED weighted(COMPUTED factor, COMPUTED value) {
    return factor == COMPUTED(0) && magnitude(value) == INFINITY ? COMPUTED(0) : factor * value;
}

COMPUTED class_weight(uint index) {
    return WEIGHTED ? LOAD(weights[word(7) + index * word(8)]) : COMPUTED(1);
}

// Σ w and Σ w·(x − M), over the classes.
void summarise_weights(uint size, out COMPUTED all, out COMPUTED along) {
    all = COMPUTED(0);
    along = COMPUTED(0);
    for (uint base = team_member(); base < size; base += TEAM * AT_A_TIME) {
        FOR_EACH_AT_A_TIME {
            uint index = base + step * TEAM;
            if (index < size) {
                COMPUTED weight = class_weight(index);
                all += weight;
                along += weighted(weight, KEPT > 0 ? kept[step] : ROW_ELEMENT(index) - row_maximum);
            }
        }
    }
    all = WEIGHTED ? row_sum(all) : number(17);
    along = row_sum(along);
}

// The gradient of one sample's logits; of 0 where `size` says that it does not count.
void write_gradient(uint at, uint size, uint label, COMPUTED factor, COMPUTED spread, COMPUTED keep, COMPUTED share) {
    for (uint base = team_member(); base < word(1); base += TEAM * AT_A_TIME) {
        COMPUTED x[MOST_KEPT];
        FOR_EACH_AT_A_TIME {
            uint index = base + step * TEAM;
            x[step] = KEPT > 0 ? kept[step] : index < size ? ROW_ELEMENT(index) - row_maximum : COMPUTED(0);
        }
        FOR_EACH_AT_A_TIME {
            uint index = base + step * TEAM;
            COMPUTED slope = factor * (KEPT > 0 && KEEPS_EXPONENTIALS ? x[step] : m_exp(x[step]));
            slope -= SMOOTHED ? spread * class_weight(min(index, word(1) - 1)) : COMPUTED(0);
            slope -= index == label ? keep : COMPUTED(0);
            if (index < word(1)) {
                gradient[at + index] = STORE(size > 0 ? slope * share : COMPUTED(0));
            }
        }
    }
}

void main() {
    uint samples = word(0);
    uint classes = word(1);
    uint member = team_member();
    COMPUTED divisor = number(19);
    if (DIVISOR_IN_PARTS) {
        uint thread = thread_number();
        divisor = workgroup_sum(thread < word(12) ? divisor_parts[thread] : COMPUTED(0));
    }
    COMPUTED share = divide(COMPUTED(1), divisor);
    COMPUTED total = COMPUTED(0);
    FOR_EACH_ROW(samples) {
        uint sample_number = first_row + team_number();
        bool exists = sample_number < samples;
        uvec2 label = exists ? index_at(word(5) + sample_number * word(6)) : uvec2(0);
        bool counts = exists && !(IGNORES && label == uvec2(word(10), word(11)));
        counts = counts && in_range(word(9), label, classes);
        uint size = counts ? classes : 0;
        source = word(2) + sample_number * word(3);
        summarise_row(size);

        COMPUTED log_total = m_ln(row_total);
        COMPUTED keep = COMPUTED(0);
        COMPUTED loss = COMPUTED(0);
        if (counts) {
            keep = number(13) * class_weight(label.x);
            loss = weighted(keep, log_total - (ROW_ELEMENT(label.x) - row_maximum));
        }
        COMPUTED spread = number(15);
        COMPUTED all = COMPUTED(0);
        if (SMOOTHED) {
            COMPUTED along;
            summarise_weights(size, all, along);
            loss += counts ? spread * (all * log_total - along) : COMPUTED(0);
        }
        if (member == 0 && exists) {
            if (RESULT != EACH) {
                total += loss;
            } else {
                values[sample_number] = STORE(loss);
            }
        }

        if (GRADIENT && exists) {
            COMPUTED factor = divide(SMOOTHED ? keep + spread * all : keep, row_total);
            write_gradient(sample_number * classes, size, label.x, factor, SMOOTHED ? spread : COMPUTED(0), keep, share);
        }
    }
    if (RESULT != EACH) {
        total = workgroup_sum(total);
        if (thread_number() == 0 && RESULT == SUMS) {
            sums[gl_WorkGroupID.x] = total;
        } else if (thread_number() == 0) {
            values[0] = STORE(divide(total, divisor));
        }
    }
}
