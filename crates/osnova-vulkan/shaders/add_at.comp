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
// output[… with the axis at index[…]] += source[…], in the order of the index along the axis, without atomics: whoever comes first to
// a place adds all that goes there, and half types are rounded once. Words: count, slot for faults, size of the output's axis,
// length of the index, strides of source, output and index along the axis, walk of the index, the source and the output, the
// latter two as if all indices were 0.
//
// DIRECT: the walk has one element a row, and a thread goes along the row. Else the index is sorted (`sort_index`), the walk's
// elements are those of the source, and the thread that finds the first of equal indices adds for all of them.
#define INPUTS 3
#define WALK 7
#define FAULT_BINDING 4
#include "include/interface.glsl"
#include "include/dtype.glsl"
#include "include/grid.glsl"
#include "include/strided.glsl"
#include "include/fault.glsl"

layout(constant_id = 11) const bool DIRECT = false;

layout(std430, set = 0, binding = 0) buffer Output {
    STORED result[];
};
layout(std430, set = 0, binding = 1) readonly buffer Source {
    STORED source[];
};
layout(std430, set = 0, binding = 2) readonly buffer Index {
    uvec2 indices[];
};
layout(std430, set = 0, binding = 2) readonly buffer SortedIndex {
    uint sorted_index[];
};
layout(std430, set = 0, binding = 3) readonly buffer Places {
    uint places[];
};

const uint OUT_OF_RANGE = 0xffffffffu;

void row_of_indices(uint at[INPUTS]) {
    uint length = word(3);
    for (uint place = 0; place < length; place++) {
        uvec2 chosen = indices[at[0] + place * word(6)];
        bool is_first = in_range(word(1), chosen, word(2));
        for (uint other = 0; other < place; other++) {
            is_first = is_first && indices[at[0] + other * word(6)] != chosen;
        }
        if (!is_first) {
            continue;
        }
        uint target = at[2] + chosen.x * word(5);
        COMPUTED sum = LOAD(result[target]);
        for (uint other = place; other < length; other++) {
            if (indices[at[0] + other * word(6)] == chosen) {
                sum += LOAD(source[at[1] + other * word(4)]);
            }
        }
        result[target] = STORE(sum);
    }
}

void run_of_equals(uint at[INPUTS]) {
    uint length = word(3);
    uint chosen = sorted_index[at[0]];
    uint place = at[0] % length;
    if (chosen == OUT_OF_RANGE || (place > 0 && sorted_index[at[0] - 1] == chosen)) {
        return;
    }
    uint end = at[0] - place + length;
    uint target = at[2] + chosen * word(5);
    COMPUTED sum = LOAD(result[target]);
    // Four loads under way at a time.
    for (uint base = at[0]; base < end; base += 4) {
        bool belongs[4];
        COMPUTED addend[4];
        [[unroll]] for (uint step = 0; step < 4; step++) {
            uint from = base + step;
            belongs[step] = from < end && sorted_index[min(from, end - 1)] == chosen;
            addend[step] = LOAD(source[at[1] + places[belongs[step] ? from : base] * word(4)]);
        }
        [[unroll]] for (uint step = 0; step < 4; step++) {
            if (belongs[step]) {
                sum += addend[step];
            }
        }
        if (!belongs[3]) {
            break;
        }
    }
    result[target] = STORE(sum);
}

void element(uint index) {
    uint at[INPUTS];
    locate(index, at);
    if (DIRECT) {
        row_of_indices(at);
    } else {
        run_of_equals(at);
    }
}

void main() {
    FOR_EACH_ELEMENT(word(0), element)
}
