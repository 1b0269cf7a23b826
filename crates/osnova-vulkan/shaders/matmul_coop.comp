//@ matmul_coop_f16 DTYPE_F16
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
// Products of half precision by cooperative matrices, summed in float; `src/kernels/matmul/cooperative.rs` says when.
//
// A workgroup of SUBGROUPS_DOWN · SUBGROUPS_ACROSS whole subgroups computes a tile, each subgroup BLOCK_ROWS · BLOCK_COLUMNS of it in
// fragments. Tiles of both operands come to shared memory in steps of DEPTH, the next step's elements to registers while
// fragments are multiplied. Results leave through shared memory, where it is known which thread holds which.
//
// Words: rows, columns, inner, tiles down, tiles across, tiles in all, strides of the left operand (row, inner), of the right
// (column, inner), start and stride of the bias; then the walk of both operands through the batches.
#define INPUTS 2
#define WALK 12
#define BIAS_BINDING 3
#define THREADS_ID 11
// The size of fragments, as the device offers it.
layout(constant_id = 12) const uint FRAGMENT_ROWS = 16;
layout(constant_id = 13) const uint FRAGMENT_COLUMNS = 16;
layout(constant_id = 14) const uint FRAGMENT_INNER = 16;
layout(constant_id = 15) const uint SUBGROUPS_DOWN = 4;
layout(constant_id = 16) const uint SUBGROUPS_ACROSS = 2;
layout(constant_id = 17) const uint FLAGS = 0;
layout(constant_id = 18) const uint ACTIVATION = 0;
const bool LEFT_ALONG_INNER = (FLAGS & 1u) != 0;
const bool RIGHT_ALONG_INNER = (FLAGS & 2u) != 0;
const bool BIAS = (FLAGS & 4u) != 0;
// Fragments of a subgroup hold 64 floats for each of 32 threads: enough work for what is read, and registers to spare.
const uint BLOCK_ROWS = 32;
const uint BLOCK_COLUMNS = 64;
const uint DEPTH = 32;

#include "include/interface.glsl"
#define THREADS (SUBGROUPS_DOWN * SUBGROUPS_ACROSS * SUBGROUP_SIZE)
#include "include/dtype.glsl"
#include "include/numbers.glsl"
#include "include/strided.glsl"
#include "include/finish.glsl"
#include "include/tiles.glsl"

const uint TILE_ROWS = SUBGROUPS_DOWN * BLOCK_ROWS;
const uint TILE_COLUMNS = SUBGROUPS_ACROSS * BLOCK_COLUMNS;
const uint DOWN = BLOCK_ROWS / FRAGMENT_ROWS;
const uint ACROSS = BLOCK_COLUMNS / FRAGMENT_COLUMNS;
const uint FRAGMENT = FRAGMENT_ROWS * FRAGMENT_COLUMNS;

#define OPERAND(name) left_##name
#define OPERAND_BINDING 1
#define OPERAND_BLOCK Left
#define OPERAND_LINES TILE_ROWS
#define OPERAND_ALONG_INNER LEFT_ALONG_INNER
#define OPERAND_FRAGMENT coopmat<float16_t, gl_ScopeSubgroup, FRAGMENT_ROWS, FRAGMENT_INNER, gl_MatrixUseA>
#define OPERAND_LAYOUT(along_inner) (along_inner ? gl_CooperativeMatrixLayoutRowMajor : gl_CooperativeMatrixLayoutColumnMajor)
#include "include/fragments.glsl"
#undef OPERAND
#undef OPERAND_BINDING
#undef OPERAND_BLOCK
#undef OPERAND_LINES
#undef OPERAND_ALONG_INNER
#undef OPERAND_FRAGMENT
#undef OPERAND_LAYOUT
#define OPERAND(name) right_##name
#define OPERAND_BINDING 2
#define OPERAND_BLOCK Right
#define OPERAND_LINES TILE_COLUMNS
#define OPERAND_ALONG_INNER RIGHT_ALONG_INNER
#define OPERAND_FRAGMENT coopmat<float16_t, gl_ScopeSubgroup, FRAGMENT_INNER, FRAGMENT_COLUMNS, gl_MatrixUseB>
#define OPERAND_LAYOUT(along_inner) (along_inner ? gl_CooperativeMatrixLayoutColumnMajor : gl_CooperativeMatrixLayoutRowMajor)
#include "include/fragments.glsl"

layout(std430, set = 0, binding = 0) writeonly buffer Output {
    STORED result[];
};

shared float leaving[SUBGROUPS_DOWN * SUBGROUPS_ACROSS * FRAGMENT];

void main() {
    uint rows = word(0);
    uint columns = word(1);
    uint inner = word(2);
    uvec2 tiles = uvec2(word(3), word(4));
    uvec2 left_strides = uvec2(word(6), word(7));
    uvec2 right_strides = uvec2(word(8), word(9));
    uvec2 block = uvec2(gl_SubgroupID / SUBGROUPS_ACROSS * BLOCK_ROWS, gl_SubgroupID % SUBGROUPS_ACROSS * BLOCK_COLUMNS);

    for (uint index = gl_WorkGroupID.x; index < word(5); index += gl_NumWorkGroups.x) {
        uint matrix = index / (tiles.x * tiles.y);
        uvec2 first = tile_of(index - matrix * (tiles.x * tiles.y), tiles) * uvec2(TILE_ROWS, TILE_COLUMNS);
        uint origins[INPUTS];
        locate(matrix, origins);

        coopmat<float, gl_ScopeSubgroup, FRAGMENT_ROWS, FRAGMENT_COLUMNS, gl_MatrixUseAccumulator> sums[DOWN * ACROSS];
        [[unroll]] for (uint sum = 0; sum < DOWN * ACROSS; sum++) {
            sums[sum] = coopmat<float, gl_ScopeSubgroup, FRAGMENT_ROWS, FRAGMENT_COLUMNS, gl_MatrixUseAccumulator>(0.0);
        }
        left_fetch(origins[0], left_strides, first.x, rows, 0, inner);
        right_fetch(origins[1], right_strides, first.y, columns, 0, inner);
        for (uint at = 0; at < inner; at += DEPTH) {
            // All have multiplied what lies there.
            barrier();
            left_put();
            right_put();
            barrier();
            if (at + DEPTH < inner) {
                left_fetch(origins[0], left_strides, first.x, rows, at + DEPTH, inner);
                right_fetch(origins[1], right_strides, first.y, columns, at + DEPTH, inner);
            }
            [[unroll]] for (uint step = 0; step < DEPTH; step += FRAGMENT_INNER) {
                coopmat<float16_t, gl_ScopeSubgroup, FRAGMENT_ROWS, FRAGMENT_INNER, gl_MatrixUseA> x[DOWN];
                [[unroll]] for (uint down = 0; down < DOWN; down++) {
                    x[down] = left_fragment(block.x + down * FRAGMENT_ROWS, step);
                }
                [[unroll]] for (uint across = 0; across < ACROSS; across++) {
                    coopmat<float16_t, gl_ScopeSubgroup, FRAGMENT_INNER, FRAGMENT_COLUMNS, gl_MatrixUseB> y =
                        right_fragment(block.y + across * FRAGMENT_COLUMNS, step);
                    [[unroll]] for (uint down = 0; down < DOWN; down++) {
                        sums[down * ACROSS + across] = coopMatMulAdd(x[down], y, sums[down * ACROSS + across]);
                    }
                }
            }
        }
        uint base = matrix * (rows * columns);
        uint own = gl_SubgroupID * FRAGMENT;
        [[unroll]] for (uint sum = 0; sum < DOWN * ACROSS; sum++) {
            coopMatStore(sums[sum], leaving, own, FRAGMENT_COLUMNS, gl_CooperativeMatrixLayoutRowMajor);
            barrier();
            uvec2 corner = first + block + uvec2(sum / ACROSS * FRAGMENT_ROWS, sum % ACROSS * FRAGMENT_COLUMNS);
            for (uint within = gl_SubgroupInvocationID; within < FRAGMENT; within += SUBGROUP_SIZE) {
                uvec2 at = corner + uvec2(within / FRAGMENT_COLUMNS, within % FRAGMENT_COLUMNS);
                if (at.x < rows && at.y < columns) {
                    float value = finished(leaving[own + within], BIAS, word(10) + at.y * word(11), ACTIVATION);
                    result[base + at.x * columns + at.y] = STORE(value);
                }
            }
            barrier();
        }
    }
}
