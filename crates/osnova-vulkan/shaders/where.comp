//@ where_8 WIDTH=8
//@ where_16 WIDTH=16
//@ where_32 WIDTH=32
//@ where_64 WIDTH=64
#version 460
#extension GL_GOOGLE_include_directive : require
// condition ? x : y. Words: count, start of the output, walk of condition, x and y.
#define INPUTS 3
#define WALK 2
#include "include/interface.glsl"
#include "include/width.glsl"
#include "include/grid.glsl"
#include "include/strided.glsl"

layout(std430, set = 0, binding = 0) writeonly buffer Output {
    MOVED result[];
};
layout(std430, set = 0, binding = 1) readonly buffer Condition {
    uint8_t condition[];
};
layout(std430, set = 0, binding = 2) readonly buffer Left {
    MOVED left[];
};
layout(std430, set = 0, binding = 3) readonly buffer Right {
    MOVED right[];
};

void element(uint index) {
    uint at[INPUTS];
    locate(index, at);
    if (uint(condition[at[0]]) != 0) {
        result[word(1) + index] = left[at[1]];
    } else {
        result[word(1) + index] = right[at[2]];
    }
}

void main() {
    FOR_EACH_ELEMENT(word(0), element)
}
