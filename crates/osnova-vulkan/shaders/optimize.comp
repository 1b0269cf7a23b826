//@ optimize_f32 DTYPE_F32
//@ optimize_f16 DTYPE_F16
//@ optimize_bf16 DTYPE_BF16
//@ optimize_f64 DTYPE_F64
#version 460
#extension GL_GOOGLE_include_directive : require
// One parameter's update with its states, in place: each thread reads an element of all tensors before it writes it. Words: count, start
// of the parameter, of the three states and of the scalars, then the rule's numbers (two words each), then the walk of the gradient.
//
// What an operation has no use for is bound to some buffer and not touched.
#define INPUTS 1
#define NUMBERS 6
#define WALK 18
#include "include/interface.glsl"
#include "include/dtype.glsl"
#include "include/fours.glsl"
#include "include/numbers.glsl"
#include "include/metadata.glsl"
#include "include/strided.glsl"

layout(constant_id = 11) const uint RULE = 0;
#define DESCENT 0
#define MOMENTUM 1
#define NESTEROV 2
#define ADAM 3
#define AMSGRAD 4

// What weight decay does.
layout(constant_id = 12) const uint DECAY = 0;
#define ADDED_TO_GRADIENT 1
#define SHRINKS_PARAMETER 2

// Whether all tensors are row-major and begin and end at multiples of four elements.
layout(constant_id = 13) const bool BY_FOUR = false;

// Each buffer is seen by single elements and by fours; a pipeline uses one of the two.
#define SEEN(at, qualifier, name, single, fours) \
    layout(std430, set = 0, binding = at) qualifier buffer name##Single { single name[]; }; \
    layout(std430, set = 0, binding = at) qualifier buffer name##Fours { fours name##_4[]; };

// The states are kept as they are computed: those of a half type in float.
SEEN(0, , parameter, STORED, STORED_4)
SEEN(1, , first, COMPUTED, COMPUTED_4)
SEEN(2, , second, COMPUTED, COMPUTED_4)
SEEN(3, , third, COMPUTED, COMPUTED_4)
SEEN(4, readonly, gradient, STORED, STORED_4)
layout(std430, set = 0, binding = 5) readonly buffer Scalars {
    COMPUTED scalars[];
};

COMPUTED scalar(uint index) {
    return scalars[word(5) + index];
}

const bool HAS_FIRST = RULE != DESCENT;
const bool HAS_SECOND = RULE >= ADAM;
const bool HAS_THIRD = RULE == AMSGRAD;

COMPUTED root(COMPUTED x) {
    // A driver may compute it as 1/(1/√x).
    return x > COMPUTED(0) ? sqrt(x) : x;
}

// The new values of one element. All is `precise`, so that every path through this shader gives the same bits.
void update(inout COMPUTED p, COMPUTED g, inout COMPUTED s1, inout COMPUTED s2, inout COMPUTED s3) {
    precise COMPUTED value = p;
    precise COMPUTED slope = g;
    COMPUTED learning_rate = scalar(0);
    if (DECAY == ADDED_TO_GRADIENT) {
        slope = fma(number(NUMBERS), value, slope);
    } else if (DECAY == SHRINKS_PARAMETER) {
        value = fma(value, -(learning_rate * number(NUMBERS)), value);
    }
    if (RULE == DESCENT) {
        value = fma(-learning_rate, slope, value);
    } else if (RULE == MOMENTUM || RULE == NESTEROV) {
        COMPUTED momentum = number(NUMBERS + 2);
        precise COMPUTED velocity = fma(momentum, s1, scalar(1) * slope);
        precise COMPUTED direction = RULE == NESTEROV ? fma(momentum, velocity, slope) : velocity;
        s1 = velocity;
        value = fma(-learning_rate, direction, value);
    } else {
        // (β₁, 1 − β₁), (β₂, 1 − β₂), ε
        precise COMPUTED mean = fma(number(NUMBERS + 2), s1, number(NUMBERS + 4) * slope);
        precise COMPUTED square = fma(number(NUMBERS + 6), s2, number(NUMBERS + 8) * (slope * slope));
        s1 = mean;
        s2 = square;
        precise COMPUTED largest = square;
        if (RULE == AMSGRAD) {
            // NaN wins, as in `maximum`.
            largest = is_nan(s3) || s3 > square ? s3 : square;
            s3 = largest;
        }
        precise COMPUTED spread = root(largest / scalar(2)) + number(NUMBERS + 10);
        precise COMPUTED step = (mean / scalar(1)) / spread;
        value = fma(-learning_rate, step, value);
    }
    p = value;
}

COMPUTED_4 parameters;
COMPUTED_4 gradients;
COMPUTED_4 states[3];

void update_all() {
    [[unroll]] for (uint step = 0; step < 4; step++) {
        update(parameters[step], gradients[step], states[0][step], states[1][step], states[2][step]);
    }
}

// Elements 4·base to 4·base + 3.
void update_four(uint base) {
    uint at = word(1) / 4 + base;
    uint at_first = word(2) / 4 + base;
    uint at_second = word(3) / 4 + base;
    uint at_third = word(4) / 4 + base;
    parameters = LOAD_4(parameter_4[at]);
    gradients = LOAD_4(gradient_4[word(WALK) / 4 + base]);
    if (HAS_FIRST) {
        states[0] = first_4[at_first];
    }
    if (HAS_SECOND) {
        states[1] = second_4[at_second];
    }
    if (HAS_THIRD) {
        states[2] = third_4[at_third];
    }
    update_all();
    parameter_4[at] = STORE_4(parameters);
    if (HAS_FIRST) {
        first_4[at_first] = states[0];
    }
    if (HAS_SECOND) {
        second_4[at_second] = states[1];
    }
    if (HAS_THIRD) {
        third_4[at_third] = states[2];
    }
}

// Elements base, base + THREADS and so on, four of them, below count.
void update_apart(uint base, uint count) {
    [[unroll]] for (uint step = 0; step < 4; step++) {
        // The elements past the end repeat the first one of this thread, which nobody else writes.
        uint index = base + step * THREADS < count ? base + step * THREADS : base;
        uint at[INPUTS];
        locate(index, at);
        parameters[step] = LOAD(parameter[word(1) + index]);
        gradients[step] = LOAD(gradient[at[0]]);
        if (HAS_FIRST) {
            states[0][step] = first[word(2) + index];
        }
        if (HAS_SECOND) {
            states[1][step] = second[word(3) + index];
        }
        if (HAS_THIRD) {
            states[2][step] = third[word(4) + index];
        }
    }
    update_all();
    [[unroll]] for (uint step = 0; step < 4; step++) {
        uint index = base + step * THREADS;
        if (index < count) {
            parameter[word(1) + index] = STORE(parameters[step]);
            if (HAS_FIRST) {
                first[word(2) + index] = states[0][step];
            }
            if (HAS_SECOND) {
                second[word(3) + index] = states[1][step];
            }
            if (HAS_THIRD) {
                third[word(4) + index] = states[2][step];
            }
        }
    }
}

void main() {
    uint count = word(0);
    if (BY_FOUR) {
        for (uint base = gl_GlobalInvocationID.x; base < count / 4; base += gl_NumWorkGroups.x * THREADS) {
            update_four(base);
        }
        return;
    }
    for (uint base = gl_WorkGroupID.x * (THREADS * 4) + gl_LocalInvocationID.x; base < count;
         base += gl_NumWorkGroups.x * (THREADS * 4)) {
        update_apart(base, count);
    }
}
