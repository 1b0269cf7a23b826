//@ gather_8 WIDTH=8
//@ gather_16 WIDTH=16
//@ gather_32 WIDTH=32
//@ gather_64 WIDTH=64
#version 460
#extension GL_GOOGLE_include_directive : require
// output[…] = input[… with the axis at index[…]]. The index is i64. Words: count, slot for faults, size and stride of the
// input's axis, walk of the input's first slice along the axis and of the index.
#define INPUTS 2
#define WALK 4
#define FAULT_BINDING 3
#include "include/interface.glsl"
#include "include/width.glsl"
#include "include/grid.glsl"
#include "include/strided.glsl"
#include "include/fault.glsl"

layout(std430, set = 0, binding = 0) writeonly buffer Output {
    MOVED result[];
};
layout(std430, set = 0, binding = 1) readonly buffer Input {
    MOVED values[];
};
layout(std430, set = 0, binding = 2) readonly buffer Index {
    uvec2 indices[];
};

void element(uint at_output) {
    uint at[INPUTS];
    locate(at_output, at);
    uvec2 chosen = indices[at[1]];
    if (in_range(word(1), chosen, word(2))) {
        result[at_output] = values[at[0] + chosen.x * word(3)];
    }
}

void main() {
    FOR_EACH_ELEMENT(word(0), element)
}
