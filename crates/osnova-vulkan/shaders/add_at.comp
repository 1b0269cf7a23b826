//@ add_at_f32 DTYPE_F32
//@ add_at_f16 DTYPE_F16
//@ add_at_bf16 DTYPE_BF16
//@ add_at_f64 DTYPE_F64
//@ add_at_i64 DTYPE_I64
//@ add_at_i32 DTYPE_I32
//@ add_at_u32 DTYPE_U32
//@ add_at_u8 DTYPE_U8
#version 460
#extension GL_GOOGLE_include_directive : require
// output[… with the axis at index[…]] += source[…], without atomics and in an order that depends on the index alone. Half types are
// rounded once. Words: count, slot for faults, size of the output's axis, length of the index, strides along the axis of source,
// output, index and partial sums, walk of index, source, output and partial sums; the last three as if all indices were 0.
//
// ROWS: the walk has one element a row, and a thread adds for the whole row, in the order of its indices.
// PIECES: the index is sorted (`sort_index`); the walk's elements are those of the source. Equal indices within a block of BLOCK are a
//     piece, and the thread that finds the first of them adds for the piece. If there are no more it writes the output, else a
//     partial sum: two a block, that of the piece at the block's front and that of a later one that goes on in the next block.
// JOINS: the walk has one element a block, at its front. Where a run of equal indices begins in the block and goes on in the
//     next, its partial sums are added.
#define INPUTS 4
#define WALK 8
#define FAULT_BINDING 4
#define INDEX_BINDING 2
#define INDEX_ID 12
#include "include/interface.glsl"
#include "include/dtype.glsl"
#include "include/numbers.glsl"
#include "include/running.glsl"
#include "include/grid.glsl"
#include "include/strided.glsl"
#include "include/fault.glsl"
#include "include/index.glsl"

const uint ROWS = 0, PIECES = 1, JOINS = 2;
layout(constant_id = 11) const uint WAY = ROWS;

// `kernels/index.rs` knows it too.
const uint BLOCK = 64;

layout(std430, set = 0, binding = 0) buffer Output {
    STORED result[];
};
layout(std430, set = 0, binding = 1) readonly buffer Source {
    STORED source[];
};
layout(std430, set = 0, binding = 2) readonly buffer SortedIndex {
    uint sorted_index[];
};
layout(std430, set = 0, binding = 3) readonly buffer Places {
    uint places[];
};
layout(std430, set = 0, binding = 5) buffer Partial {
    COMPUTED partial_sums[];
};

const uint OUT_OF_RANGE = 0xffffffffu;

void add_row(uint at[INPUTS]) {
    uint length = word(3);
    for (uint place = 0; place < length; place++) {
        uvec2 chosen = index_at(at[0] + place * word(6));
        bool is_first = in_range(word(1), chosen, word(2));
        for (uint other = 0; other < place; other++) {
            is_first = is_first && index_at(at[0] + other * word(6)) != chosen;
        }
        if (!is_first) {
            continue;
        }
        uint target = at[2] + chosen.x * word(5);
        COMPUTED sum = LOAD(result[target]);
        for (uint other = place; other < length; other++) {
            if (index_at(at[0] + other * word(6)) == chosen) {
                sum += LOAD(source[at[1] + other * word(4)]);
            }
        }
        result[target] = STORE(sum);
    }
}

void add_piece(uint at[INPUTS]) {
    uint here = at[0];
    uint place = here % word(3);
    uint row_end = here - place + word(3);
    uint chosen = sorted_index[here];
    bool starts_run = place == 0 || sorted_index[here - 1] != chosen;
    bool in_front = place % BLOCK == 0;
    if (chosen == OUT_OF_RANGE || !(starts_run || in_front)) {
        return;
    }
    uint target = at[2] + chosen * word(5);
    COMPUTED sum = starts_run ? LOAD(result[target]) : COMPUTED(0);
    uint block_end = min(here - place % BLOCK + BLOCK, row_end);
    bool goes_on = true;
    // Four loads under way at a time.
    for (uint base = here; goes_on && base < block_end; base += 4) {
        bool belongs[4];
        COMPUTED addend[4];
        [[unroll]] for (uint step = 0; step < 4; step++) {
            uint from = min(base + step, block_end - 1);
            belongs[step] = base + step < block_end && sorted_index[from] == chosen;
            addend[step] = LOAD(source[at[1] + places[belongs[step] ? from : base] * word(4)]);
        }
        [[unroll]] for (uint step = 0; step < 4; step++) {
            if (belongs[step]) {
                sum += addend[step];
            } else if (base + step < block_end) {
                goes_on = false;
            }
        }
    }
    goes_on = goes_on && block_end < row_end && sorted_index[block_end] == chosen;
    if (starts_run && !goes_on) {
        result[target] = STORE(sum);
    } else {
        partial_sums[at[3] + (place / BLOCK * 2 + (in_front ? 0 : 1)) * word(7)] = sum;
    }
}

void join_pieces(uint at[INPUTS]) {
    uint here = at[0];
    uint place = here % word(3);
    uint row_end = here - place + word(3);
    uint next = here + BLOCK;
    if (next >= row_end) {
        return;
    }
    uint chosen = sorted_index[next];
    bool from_front = sorted_index[here] == chosen;
    bool began_before = from_front && place > 0 && sorted_index[here - 1] == chosen;
    if (chosen == OUT_OF_RANGE || sorted_index[next - 1] != chosen || began_before) {
        return;
    }
    COMPUTED sum = partial_sums[at[3] + (from_front ? 0 : word(7))];
    COMPUTED rest = COMPUTED(0);
    bool goes_on = true;
    for (uint base = next; goes_on; base += 4 * BLOCK) {
        COMPUTED addend[4];
        [[unroll]] for (uint step = 0; step < 4; step++) {
            uint front = base + step * BLOCK;
            goes_on = goes_on && front < row_end && sorted_index[min(front, row_end - 1)] == chosen;
            addend[step] = COMPUTED(0);
            if (goes_on) {
                addend[step] = partial_sums[at[3] + (front - here) / BLOCK * 2 * word(7)];
            }
        }
        [[unroll]] for (uint step = 0; step < 4; step++) {
            add_to(sum, rest, addend[step]);
        }
    }
    result[at[2] + chosen * word(5)] = STORE(sum + rest);
}

void element(uint index) {
    uint at[INPUTS];
    locate(index, at);
    if (WAY == ROWS) {
        add_row(at);
    } else if (WAY == PIECES) {
        add_piece(at);
    } else {
        join_pieces(at);
    }
}

void main() {
    FOR_EACH_ELEMENT(word(0), element)
}
