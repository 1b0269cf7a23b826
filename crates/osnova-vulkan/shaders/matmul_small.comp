//@ matmul_small_f32 DTYPE_F32
//@ matmul_small_f16 DTYPE_F16
//@ matmul_small_bf16 DTYPE_BF16
//@ matmul_small_f64 DTYPE_F64
//@ matmul_small_i64 DTYPE_I64
//@ matmul_small_i32 DTYPE_I32
//@ matmul_small_u32 DTYPE_U32
//@ matmul_small_u8 DTYPE_U8
#version 460
#extension GL_GOOGLE_include_directive : require
// Products of small matrices: a thread for each result. Nothing about the shape is a constant, so that few pipelines serve all.
// Words: results in all, rows, columns, inner, strides of the left operand (row, inner), of the right (column, inner), whether
// there is a bias, its start and stride, activation; then the walk of both operands through the batches.
#define INPUTS 2
#define WALK 12
#define BIAS_BINDING 3
#include "include/interface.glsl"
#include "include/dtype.glsl"
#include "include/vector.glsl"
#include "include/numbers.glsl"
#include "include/strided.glsl"
#include "include/finish.glsl"

layout(std430, set = 0, binding = 0) writeonly buffer Output {
    STORED result[];
};
layout(std430, set = 0, binding = 1) readonly buffer Left {
    STORED left[];
};
layout(std430, set = 0, binding = 2) readonly buffer Right {
    STORED right[];
};

void main() {
    uint rows = word(1);
    uint columns = word(2);
    uint inner = word(3);
    for (uint index = gl_WorkGroupID.x * THREADS + gl_LocalInvocationID.x; index < word(0); index += gl_NumWorkGroups.x * THREADS) {
        uint row_in_all = index / columns;
        uint column = index - row_in_all * columns;
        uint batch = row_in_all / rows;
        uint row = row_in_all - batch * rows;
        uint origins[INPUTS];
        locate(batch, origins);
        uint at_left = origins[0] + row * word(4);
        uint at_right = origins[1] + column * word(6);
        precise COMPUTED sum = COMPUTED(0);
        for (uint at = 0; at < inner; at++) {
            sum = MULTIPLY_ADD(LOAD(left[at_left]), LOAD(right[at_right]), sum);
            at_left += word(5);
            at_right += word(7);
        }
        result[index] = STORE(finished(sum, word(8) != 0, word(9) + column * word(10), word(11)));
    }
}
