//@ arange_8 WIDTH=8
//@ arange_32 WIDTH=32
//@ arange_64 WIDTH=64
//@ arange_f32 DTYPE_F32
//@ arange_f16 DTYPE_F16
//@ arange_bf16 DTYPE_BF16
//@ arange_f64 DTYPE_F64
#version 460
#extension GL_GOOGLE_include_directive : require
// start + i·step, wrapping. Words: count, start and step (two words each); for floats start and step are integers, and the
// exponent of the power of two that multiplies them follows. The host sees to it that nothing is rounded before the dtype.
#include "include/interface.glsl"
#include "include/grid.glsl"

#ifdef WIDTH
#include "include/width.glsl"
#define STORED MOVED
#else
#include "include/dtype.glsl"
#endif

layout(std430, set = 0, binding = 0) writeonly buffer Output {
    STORED values[];
};

#ifdef WIDTH
void element(uint index) {
    uint high, low, carry;
    umulExtended(index, word(3), high, low);
    high += index * word(4);
    low = uaddCarry(low, word(1), carry);
    high += word(2) + carry;
#if WIDTH == 64
    values[index] = uvec2(low, high);
#elif WIDTH == 8
    values[index] = uint8_t(low & 255u);
#else
    values[index] = low;
#endif
}
#else
void element(uint index) {
    COMPUTED integer = COMPUTED(int(word(1)) + int(index) * int(word(3)));
#ifdef IS_DOUBLE
    COMPUTED scale = packDouble2x32(uvec2(0u, uint(int(word(5)) + 1023) << 20));
#else
    COMPUTED scale = uintBitsToFloat(uint(int(word(5)) + 127) << 23);
#endif
    values[index] = STORE(integer * scale);
}
#endif

void main() {
    FOR_EACH_ELEMENT(word(0), element)
}
