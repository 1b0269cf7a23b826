//@ layer_norm_f32 DTYPE_F32
//@ layer_norm_f16 DTYPE_F16
//@ layer_norm_bf16 DTYPE_BF16
//@ layer_norm_f64 DTYPE_F64
#version 460
#extension GL_GOOGLE_include_directive : require
// (x − mean) / √(variance + ε) over each row, then times a weight and plus a bias. Words: number of rows, their size, stride of the input
// along them, starts of output, weight and bias, ε (two words), walk of the rows' first elements in the input. The output is row-major;
// it may be the input, since each thread writes the elements that it alone has read.
#define INPUTS 1
#define WALK 8
#include "include/interface.glsl"
#include "include/dtype.glsl"
#include "include/numbers.glsl"
#include "include/math.glsl"
#include "include/metadata.glsl"
#include "include/strided.glsl"
#include "include/workgroup.glsl"
#include "include/rows.glsl"

layout(constant_id = 14) const bool AFFINE = false;

layout(std430, set = 0, binding = 0) buffer Output {
    STORED result[];
};
layout(std430, set = 0, binding = 1) readonly buffer Input {
    STORED values[];
};
layout(std430, set = 0, binding = 2) readonly buffer Weight {
    STORED weight[];
};
layout(std430, set = 0, binding = 3) readonly buffer Bias {
    STORED bias[];
};

uint source;
COMPUTED kept[MOST_KEPT];

// bf16 has the range of f32, where its squares may overflow: they are summed a second time with their roots times 2⁻⁸⁰.
#ifdef DTYPE_BF16
#define SCALED_SUMS 1
#define SHRUNK(x) ((x) * 8.271806125530277e-25)
#else
#define SCALED_SUMS 0
#define SHRUNK(x) (x)
#endif
COMPUTED scaled_variance = COMPUTED(0);

COMPUTED element(uint index) {
    return LOAD(values[source + index * word(2)]);
}

// Mean and mean square distance of a row that is kept, in two passes over the registers.
void moments_of_kept(uint size, out COMPUTED mean, out COMPUTED variance) {
    uint member = team_member();
    COMPUTED sum = COMPUTED(0);
    FOR_EACH_KEPT {
        uint index = member + step * TEAM;
        kept[step] = index < size ? element(index) : COMPUTED(0);
    }
    FOR_EACH_KEPT {
        sum += kept[step];
    }
    mean = divide(row_sum(sum), COMPUTED(size));
    COMPUTED squares = COMPUTED(0);
    COMPUTED scaled = COMPUTED(0);
    FOR_EACH_KEPT {
        bool inside = member + step * TEAM < size;
        COMPUTED centred = kept[step] - mean;
        squares += inside ? centred * centred : COMPUTED(0);
        if (SCALED_SUMS > 0) {
            scaled += inside ? SHRUNK(centred) * SHRUNK(centred) : COMPUTED(0);
        }
    }
    variance = divide(row_sum(squares), COMPUTED(size));
    if (SCALED_SUMS > 0) {
        scaled_variance = divide(row_sum(scaled), COMPUTED(size));
    }
}

// The same of a longer row, read once: moments of parts are joined by the formula of Chan, Golub & LeVeque 1979.
void moments_of_long(uint size, out COMPUTED mean, out COMPUTED variance) {
    COMPUTED count = COMPUTED(0);
    COMPUTED own_mean = COMPUTED(0);
    COMPUTED squares = COMPUTED(0);
    COMPUTED scaled = COMPUTED(0);
    for (uint base = team_member(); base < size; base += TEAM * CHUNK) {
        COMPUTED x[CHUNK];
        COMPUTED sum = COMPUTED(0);
        COMPUTED more = COMPUTED(0);
        [[unroll]] for (uint step = 0; step < CHUNK; step++) {
            bool inside = base + step * TEAM < size;
            x[step] = inside ? element(base + step * TEAM) : COMPUTED(0);
            more += inside ? COMPUTED(1) : COMPUTED(0);
        }
        [[unroll]] for (uint step = 0; step < CHUNK; step++) {
            sum += x[step];
        }
        COMPUTED chunk_mean = divide(sum, more);
        [[unroll]] for (uint step = 0; step < CHUNK; step++) {
            COMPUTED centred = x[step] - chunk_mean;
            bool inside = base + step * TEAM < size;
            squares += inside ? centred * centred : COMPUTED(0);
            if (SCALED_SUMS > 0) {
                scaled += inside ? SHRUNK(centred) * SHRUNK(centred) : COMPUTED(0);
            }
        }
        COMPUTED apart = chunk_mean - own_mean;
        COMPUTED share = divide(more, count + more);
        own_mean += apart * share;
        squares += apart * apart * (count * share);
        if (SCALED_SUMS > 0) {
            scaled += SHRUNK(apart) * SHRUNK(apart) * (count * share);
        }
        count += more;
    }
    mean = divide(row_sum(own_mean * count), COMPUTED(size));
    COMPUTED apart = own_mean - mean;
    variance = divide(row_sum(squares + apart * apart * count), COMPUTED(size));
    if (SCALED_SUMS > 0) {
        scaled_variance = divide(row_sum(scaled + SHRUNK(apart) * SHRUNK(apart) * count), COMPUTED(size));
    }
}

void main() {
    uint rows = word(0);
    uint member = team_member();
    FOR_EACH_ROW(rows) {
        uint row = first_row + team_number();
        uint size = row < rows ? word(1) : 0;
        uint at[INPUTS];
        locate(row, at);
        source = at[0];
        COMPUTED mean;
        COMPUTED variance;
        if (KEPT > 0) {
            moments_of_kept(size, mean, variance);
        } else {
            moments_of_long(size, mean, variance);
        }
        // Beside squares that overflow ε is nothing.
        bool overflows = SCALED_SUMS > 0 && !is_finite(variance);
        COMPUTED factor = divide(COMPUTED(1), m_sqrt(overflows ? scaled_variance : variance + number(6)));
        uint target = word(3) + row * word(1);
        for (uint base = member; base < size; base += TEAM * AT_A_TIME) {
            COMPUTED x[MOST_KEPT];
            FOR_EACH_AT_A_TIME {
                uint index = base + step * TEAM;
                x[step] = KEPT > 0 ? kept[step] : index < size ? element(index) : COMPUTED(0);
                x[step] = (overflows ? SHRUNK(x[step] - mean) : x[step] - mean) * factor;
                if (AFFINE && index < size) {
                    x[step] = x[step] * LOAD(weight[word(4) + index]) + LOAD(bias[word(5) + index]);
                }
            }
            FOR_EACH_AT_A_TIME {
                uint index = base + step * TEAM;
                if (index < size) {
                    result[target + index] = STORE(x[step]);
                }
            }
        }
    }
}
