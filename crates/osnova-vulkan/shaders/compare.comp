//@ compare_f32 DTYPE_F32
//@ compare_f16 DTYPE_F16
//@ compare_bf16 DTYPE_BF16
//@ compare_f64 DTYPE_F64
//@ compare_i64 DTYPE_I64
//@ compare_i32 DTYPE_I32
//@ compare_u32 DTYPE_U32
//@ compare_u8 DTYPE_U8
#version 460
#extension GL_GOOGLE_include_directive : require
// Comparisons, as in IEEE. Words: count, start of the output, walk of both inputs.
#define INPUTS 2
#define WALK 2
#include "include/interface.glsl"
#include "include/dtype.glsl"
#include "include/numbers.glsl"
#include "include/grid.glsl"
#include "include/strided.glsl"

layout(constant_id = 11) const uint OPERATION = 0;

layout(std430, set = 0, binding = 0) writeonly buffer Output {
    uint8_t result[];
};
layout(std430, set = 0, binding = 1) readonly buffer Left {
    STORED left[];
};
layout(std430, set = 0, binding = 2) readonly buffer Right {
    STORED right[];
};

bool compared(ORDERED x, ORDERED y, bool ordered) {
    switch (OPERATION) {
    case 0: return ordered && x == y;
    case 1: return !ordered || x != y;
    case 2: return ordered && x < y;
    case 3: return ordered && x <= y;
    case 4: return ordered && x > y;
    case 5: return ordered && x >= y;
    default: return false;
    }
}

void element(uint index) {
    uint at[INPUTS];
    locate(index, at);
    COMPUTED x = LOAD(left[at[0]]);
    COMPUTED y = LOAD(right[at[1]]);
    bool ordered = !is_nan(x) && !is_nan(y);
    result[word(1) + index] = uint8_t(compared(order_key(x), order_key(y), ordered) ? 1 : 0);
}

void main() {
    FOR_EACH_ELEMENT(word(0), element)
}
