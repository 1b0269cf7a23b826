//@ gather_8 WIDTH=8
//@ gather_16 WIDTH=16
//@ gather_32 WIDTH=32
//@ gather_64 WIDTH=64
#version 460
#extension GL_GOOGLE_include_directive : require
// output[…] = input[… with the axis at index[…]]. Words: count, slot for faults, size and stride of the
// input's axis, walk of the input's first slice along the axis and of the index.
#define INPUTS 2
#define WALK 4
#define FAULT_BINDING 3
#define INDEX_BINDING 2
#define INDEX_ID 11
#include "include/interface.glsl"
#include "include/width.glsl"
#include "include/grid.glsl"
#include "include/strided.glsl"
#include "include/fault.glsl"
#include "include/index.glsl"

layout(std430, set = 0, binding = 0) writeonly buffer Output {
    MOVED result[];
};
layout(std430, set = 0, binding = 1) readonly buffer Input {
    MOVED values[];
};

void element(uint at_output) {
    uint at[INPUTS];
    locate(at_output, at);
    uvec2 chosen = index_at(at[1]);
    if (in_range(word(1), chosen, word(2))) {
        result[at_output] = values[at[0] + chosen.x * word(3)];
    }
}

void main() {
    FOR_EACH_ELEMENT(word(0), element)
}
