//@ matmul_f32 DTYPE_F32
//@ matmul_f16 DTYPE_F16
//@ matmul_bf16 DTYPE_BF16
//@ matmul_f64 DTYPE_F64
//@ matmul_i64 DTYPE_I64
//@ matmul_i32 DTYPE_I32
//@ matmul_u32 DTYPE_U32
//@ matmul_u8 DTYPE_U8
#version 460
#extension GL_GOOGLE_include_directive : require
// Products of matrices, a tile of the result for each workgroup; `src/kernels/matmul/tiles.rs` chooses the constants.
//
// A workgroup goes along the inner axis in steps of DEPTH: both operands' tiles come to shared memory, and each thread adds
// to its THREAD_ROWS · THREAD_COLUMNS results. The next step's elements are already on their way to registers meanwhile, and
// go to the other of two stages, so that one barrier a step is enough.
//
// Every result is a chain of multiply-adds in the order of the inner axis, whatever the tile: all choices of constants give
// the same bits, but for SPLIT, where parts of the inner axis are summed apart and stored as COMPUTED, for `matmul_sum`.
//
// Words: rows, columns, inner, tiles down, tiles across, tiles in all, strides of the left operand (row, inner), of the right
// (column, inner), start and stride of the bias, length of a part of the inner axis, batches; then the walk of
// both operands through the batches.
#define INPUTS 2
#define WALK 14
#define BIAS_BINDING 3
#define THREADS_ID 11
layout(constant_id = 12) const uint TILE_ROWS = 32;
layout(constant_id = 13) const uint TILE_COLUMNS = 32;
layout(constant_id = 14) const uint DEPTH = 16;
layout(constant_id = 15) const uint THREAD_ROWS = 4;
layout(constant_id = 16) const uint THREAD_COLUMNS = 4;
// Of 32 neighbouring threads, this many lie across.
layout(constant_id = 17) const uint LANES = 8;
layout(constant_id = 18) const uint FLAGS = 0;
layout(constant_id = 19) const uint ACTIVATION = 0;
const uint THREADS = (TILE_ROWS / THREAD_ROWS) * (TILE_COLUMNS / THREAD_COLUMNS);
// Tiles and steps end where the matrices do.
const bool ALIGNED = (FLAGS & 1u) != 0;
const bool LEFT_ALONG_INNER = (FLAGS & 2u) != 0;
const bool RIGHT_ALONG_INNER = (FLAGS & 4u) != 0;
const bool LEFT_FOURS = (FLAGS & 8u) != 0;
const bool RIGHT_FOURS = (FLAGS & 16u) != 0;
const bool OUTPUT_FOURS = (FLAGS & 32u) != 0;
const bool BIAS = (FLAGS & 64u) != 0;
const bool SPLIT = (FLAGS & 128u) != 0;

#include "include/interface.glsl"
#include "include/dtype.glsl"
#include "include/vector.glsl"
#include "include/numbers.glsl"
#include "include/strided.glsl"
#include "include/finish.glsl"
#include "include/tiles.glsl"

#define OPERAND(name) left_##name
#define OPERAND_BINDING 1
#define OPERAND_BLOCK Left
#define OPERAND_BLOCK4 LeftFours
#define OPERAND_TILE TILE_ROWS
#define OPERAND_ALONG_INNER LEFT_ALONG_INNER
#define OPERAND_FOURS LEFT_FOURS
#include "include/operand.glsl"
#undef OPERAND
#undef OPERAND_BINDING
#undef OPERAND_BLOCK
#undef OPERAND_BLOCK4
#undef OPERAND_TILE
#undef OPERAND_ALONG_INNER
#undef OPERAND_FOURS
#define OPERAND(name) right_##name
#define OPERAND_BINDING 2
#define OPERAND_BLOCK Right
#define OPERAND_BLOCK4 RightFours
#define OPERAND_TILE TILE_COLUMNS
#define OPERAND_ALONG_INNER RIGHT_ALONG_INNER
#define OPERAND_FOURS RIGHT_FOURS
#include "include/operand.glsl"

layout(std430, set = 0, binding = 0) writeonly buffer Output {
    STORED result[];
};
#ifdef HAS_FOURS
layout(std430, set = 0, binding = 0) writeonly buffer OutputFours {
    STORED4 result_fours[];
};
#endif
layout(std430, set = 0, binding = 0) writeonly buffer Parts {
    COMPUTED parts[];
};

// Fours of a thread's results, down and across. They lie apart by the tile's size over their number, so that neighbouring
// threads read neighbouring fours of shared memory.
const uint DOWN = THREAD_ROWS / 4;
const uint ACROSS = THREAD_COLUMNS / 4;
void store(uint base, uint row, uint column, uint columns, COMPUTED4 sum) {
    uint at = base + row * columns + column;
    if (SPLIT) {
        [[unroll]] for (uint part = 0; part < 4; part++) {
            if (ALIGNED || column + part < columns) {
                parts[at + part] = sum[part];
            }
        }
        return;
    }
    // A real loop, in which the four turn round: the activation's code stands here once, not four times.
    [[dont_unroll]] for (uint part = 0; part < 4; part++) {
        // Past the edge there is no bias to read: the last one does.
        uint of_bias = ALIGNED ? column + part : min(column + part, columns - 1);
        sum = COMPUTED4(sum.yzw, finished(sum.x, BIAS, word(10) + of_bias * word(11), ACTIVATION));
    }
#ifdef HAS_FOURS
    if (OUTPUT_FOURS) {
        if (ALIGNED || column < columns) {
            result_fours[at / 4] = STORE4(sum);
        }
        return;
    }
#endif
    [[unroll]] for (uint part = 0; part < 4; part++) {
        if (ALIGNED || column + part < columns) {
            result[at + part] = STORE(sum[part]);
        }
    }
}

void main() {
    uint rows = word(0);
    uint columns = word(1);
    uint inner = word(2);
    uvec2 tiles = uvec2(word(3), word(4));
    uvec2 left_strides = uvec2(word(6), word(7));
    uvec2 right_strides = uvec2(word(8), word(9));
    uint part_length = word(12);
    uint batches = word(13);
    uint lane = gl_LocalInvocationID.x % 32;
    uint block = gl_LocalInvocationID.x / 32;
    const uint blocks_across = TILE_COLUMNS / THREAD_COLUMNS / LANES;
    uint thread_row = block / blocks_across * (32 / LANES) + lane / LANES;
    uint thread_column = block % blocks_across * LANES + lane % LANES;

    for (uint index = gl_WorkGroupID.x; index < word(5); index += gl_NumWorkGroups.x) {
        // Which part of the inner axis of which matrix of the batch.
        uint matrix = index / (tiles.x * tiles.y);
        uvec2 first = tile_of(index - matrix * (tiles.x * tiles.y), tiles) * uvec2(TILE_ROWS, TILE_COLUMNS);
        uint part = SPLIT ? matrix / batches : 0;
        uint origins[INPUTS];
        locate(SPLIT ? matrix - part * batches : matrix, origins);
        uint start = part * part_length;
        uint end = SPLIT ? min(start + part_length, inner) : inner;

        precise COMPUTED4 sums[THREAD_ROWS * ACROSS];
        [[unroll]] for (uint sum = 0; sum < THREAD_ROWS * ACROSS; sum++) {
            sums[sum] = COMPUTED4(0);
        }
        if (start < end) {
            left_fetch(origins[0], left_strides, first.x, rows, start, end);
            right_fetch(origins[1], right_strides, first.y, columns, start, end);
            // Slower threads may still read the tile before.
            barrier();
            left_put(0);
            right_put(0);
            barrier();
        }
        uint stage = 0;
        for (uint at = start; at < end; at += DEPTH) {
            bool more = at + DEPTH < end;
            if (more) {
                left_fetch(origins[0], left_strides, first.x, rows, at + DEPTH, end);
                right_fetch(origins[1], right_strides, first.y, columns, at + DEPTH, end);
            }
            uint left_base = stage * (DEPTH * left_PITCH) + thread_row;
            uint right_base = stage * (DEPTH * right_PITCH) + thread_column;
#define MULTIPLY(step) \
    COMPUTED4 x[DOWN]; \
    COMPUTED4 y[ACROSS]; \
    [[unroll]] for (uint down = 0; down < DOWN; down++) { \
        x[down] = left_tile[left_base + (step) * left_PITCH + down * (TILE_ROWS / 4 / DOWN)]; \
    } \
    [[unroll]] for (uint across = 0; across < ACROSS; across++) { \
        y[across] = right_tile[right_base + (step) * right_PITCH + across * (TILE_COLUMNS / 4 / ACROSS)]; \
    } \
    [[unroll]] for (uint row = 0; row < THREAD_ROWS; row++) { \
        [[unroll]] for (uint across = 0; across < ACROSS; across++) { \
            sums[row * ACROSS + across] = MULTIPLY_ADD(COMPUTED4(x[row / 4][row % 4]), y[across], sums[row * ACROSS + across]); \
        } \
    }
            if (ALIGNED || at + DEPTH <= end) {
                for (uint step = 0; step < DEPTH; step++) {
                    MULTIPLY(step)
                }
            } else {
                for (uint step = 0; step < end - at; step++) {
                    MULTIPLY(step)
                }
            }
            if (more) {
                stage ^= 1;
                left_put(stage);
                right_put(stage);
                barrier();
            }
        }
        uint base = matrix * (rows * columns);
        [[unroll]] for (uint row = 0; row < THREAD_ROWS; row++) {
            uint at_row = first.x + row / 4 * (TILE_ROWS / DOWN) + thread_row * 4 + row % 4;
            if (ALIGNED || at_row < rows) {
                [[unroll]] for (uint across = 0; across < ACROSS; across++) {
                    uint at_column = first.y + across * (TILE_COLUMNS / ACROSS) + thread_column * 4;
                    store(base, at_row, at_column, columns, sums[row * ACROSS + across]);
                }
            }
        }
    }
}
