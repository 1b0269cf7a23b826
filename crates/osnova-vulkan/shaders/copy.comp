//@ copy_8 WIDTH=8
//@ copy_16 WIDTH=16
//@ copy_32 WIDTH=32
//@ copy_64 WIDTH=64
#version 460
#extension GL_GOOGLE_include_directive : require
// Elements from one layout to another. Words: count, walk of input and output.
#define INPUTS 2
#define WALK 1
#include "include/interface.glsl"
#include "include/width.glsl"
#include "include/grid.glsl"
#include "include/strided.glsl"

layout(std430, set = 0, binding = 0) writeonly buffer Output {
    MOVED target[];
};
layout(std430, set = 0, binding = 1) readonly buffer Input {
    MOVED source[];
};

void element(uint index) {
    uint at[INPUTS];
    locate(index, at);
    target[at[1]] = source[at[0]];
}

void main() {
    FOR_EACH_ELEMENT(word(0), element)
}
