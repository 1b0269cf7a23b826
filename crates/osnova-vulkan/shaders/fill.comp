//@ fill
#version 460
#extension GL_GOOGLE_include_directive : require
// Words: count, and the two that alternate. A pattern of 8 bytes serves every dtype.
#include "include/interface.glsl"
#include "include/grid.glsl"

layout(std430, set = 0, binding = 0) writeonly buffer Output {
    uint values[];
};

void element(uint index) {
    values[index] = word(1 + (index & 1));
}

void main() {
    FOR_EACH_ELEMENT(word(0), element)
}
