//@ matvec_f32 DTYPE_F32
//@ matvec_f16 DTYPE_F16
//@ matvec_bf16 DTYPE_BF16
//@ matvec_f64 DTYPE_F64
//@ matvec_i64 DTYPE_I64
//@ matvec_i32 DTYPE_I32
//@ matvec_u32 DTYPE_U32
//@ matvec_u8 DTYPE_U8
#version 460
#extension GL_GOOGLE_include_directive : require
// A matrix times a vector: WAYS threads for each result, which then sum up in a tree. A matrix whose rows lie along the inner
// axis is read by neighbouring threads along a row, another across the rows, so that neighbours always read neighbours.
//
// Words: rows of the matrix, inner, groups of rows, groups in all, strides of the matrix (row, inner), of the vector, whether
// there is a bias, its start and stride, activation; then the walk of matrix and vector through the batches.
#define INPUTS 2
#define WALK 11
#define BIAS_BINDING 3
#include "include/interface.glsl"
#include "include/dtype.glsl"
#include "include/vector.glsl"
#include "include/numbers.glsl"
#include "include/strided.glsl"
#include "include/finish.glsl"

layout(constant_id = 11) const uint WAYS = 32;
layout(constant_id = 12) const uint FLAGS = 0;
const bool ALONG_INNER = (FLAGS & 1u) != 0;
// Both are read in fours along the inner axis, whose size is a multiple of it.
const bool FOURS = (FLAGS & 2u) != 0;
const uint ROWS = THREADS / WAYS;
// Loads that are under way at once.
const uint UNROLLED = 4;

layout(std430, set = 0, binding = 0) writeonly buffer Output {
    STORED result[];
};
layout(std430, set = 0, binding = 1) readonly buffer Matrix {
    STORED matrix[];
};
layout(std430, set = 0, binding = 2) readonly buffer Vector {
    STORED vector[];
};
#ifdef HAS_FOURS
layout(std430, set = 0, binding = 1) readonly buffer MatrixFours {
    STORED4 matrix_fours[];
};
layout(std430, set = 0, binding = 2) readonly buffer VectorFours {
    STORED4 vector_fours[];
};
#endif

shared COMPUTED sums[THREADS];

// The part of a row's sum that belongs to one thread.
COMPUTED sum_of_way(uint at_matrix, uint at_vector, uint way, uint inner) {
    uint matrix_stride = word(5);
    uint vector_stride = word(6);
#ifdef HAS_FOURS
    if (FOURS) {
        precise COMPUTED4 sum = COMPUTED4(0);
        for (uint base = way * 4; base < inner; base += WAYS * 4 * UNROLLED) {
            COMPUTED4 x[UNROLLED];
            COMPUTED4 y[UNROLLED];
            [[unroll]] for (uint step = 0; step < UNROLLED; step++) {
                // Past the end the first four is read again, and not added.
                uint at = base + step * WAYS * 4;
                at = at < inner ? at : base;
                x[step] = LOAD4(matrix_fours[(at_matrix + at) / 4]);
                y[step] = LOAD4(vector_fours[(at_vector + at) / 4]);
            }
            [[unroll]] for (uint step = 0; step < UNROLLED; step++) {
                if (base + step * WAYS * 4 < inner) {
                    sum = MULTIPLY_ADD(x[step], y[step], sum);
                }
            }
        }
        precise COMPUTED total = (sum.x + sum.y) + (sum.z + sum.w);
        return total;
    }
#endif
    precise COMPUTED sum = COMPUTED(0);
    for (uint base = way; base < inner; base += WAYS * UNROLLED) {
        COMPUTED x[UNROLLED];
        COMPUTED y[UNROLLED];
        [[unroll]] for (uint step = 0; step < UNROLLED; step++) {
            uint at = base + step * WAYS;
            at = at < inner ? at : base;
            x[step] = LOAD(matrix[at_matrix + at * matrix_stride]);
            y[step] = LOAD(vector[at_vector + at * vector_stride]);
        }
        [[unroll]] for (uint step = 0; step < UNROLLED; step++) {
            if (base + step * WAYS < inner) {
                sum = MULTIPLY_ADD(x[step], y[step], sum);
            }
        }
    }
    return sum;
}

void main() {
    uint rows = word(0);
    uint inner = word(1);
    uint groups = word(2);
    uint local = gl_LocalInvocationID.x;
    uint way = ALONG_INNER ? local % WAYS : local / ROWS;
    uint row_in_group = ALONG_INNER ? local / WAYS : local % ROWS;
    uint slot = row_in_group * WAYS + way;
    for (uint index = gl_WorkGroupID.x; index < word(3); index += gl_NumWorkGroups.x) {
        uint batch = index / groups;
        uint row = (index - batch * groups) * ROWS + row_in_group;
        uint origins[INPUTS];
        locate(batch, origins);
        // Past the edge the last row is read once more, and not stored.
        uint at_matrix = origins[0] + min(row, rows - 1) * word(4);
        sums[slot] = sum_of_way(at_matrix, origins[1], way, inner);
        for (uint other = WAYS / 2; other > 0; other /= 2) {
            barrier();
            if (way < other) {
                precise COMPUTED sum = sums[slot] + sums[slot + other];
                sums[slot] = sum;
            }
        }
        if (way == 0 && row < rows) {
            COMPUTED sum = finished(sums[slot], word(7) != 0, word(8) + row * word(9), word(10));
            result[batch * rows + row] = STORE(sum);
        }
        // The sums are written again for the next group.
        barrier();
    }
}
