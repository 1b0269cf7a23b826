//@ cast_32
//@ cast_narrow HAS_NARROW
//@ cast_i64 HAS_I64
//@ cast_i64_narrow HAS_I64 HAS_NARROW
//@ cast_f64 HAS_F64
//@ cast_f64_narrow HAS_F64 HAS_NARROW
//@ cast_i64_f64 HAS_I64 HAS_F64
#version 460
#extension GL_GOOGLE_include_directive : require
// Values as another dtype. OPERATION is 16 · from + to, numbered as in `DType`: f32 f64 f16 bf16 i64 i32 u32 u8 bool.
// Words: count, start of the output, walk of the input. The buffers are seen through several types; one is used in a pipeline.
//
// Floats to integers truncate and saturate, NaN gives 0; integers wrap; anything to bool is != 0.
#define INPUTS 1
#define WALK 2
#include "include/interface.glsl"
#include "include/half.glsl"
#include "include/grid.glsl"
#include "include/strided.glsl"

layout(constant_id = 11) const uint OPERATION = 0;

layout(std430, set = 0, binding = 0) writeonly buffer OutputWords { uint out_32[]; };
layout(std430, set = 0, binding = 1) readonly buffer InputWords { uint in_32[]; };
#ifdef HAS_NARROW
layout(std430, set = 0, binding = 0) writeonly buffer OutputHalves { uint16_t out_16[]; };
layout(std430, set = 0, binding = 1) readonly buffer InputHalves { uint16_t in_16[]; };
layout(std430, set = 0, binding = 0) writeonly buffer OutputFloat16 { float16_t out_f16[]; };
layout(std430, set = 0, binding = 1) readonly buffer InputFloat16 { float16_t in_f16[]; };
layout(std430, set = 0, binding = 0) writeonly buffer OutputBytes { uint8_t out_8[]; };
layout(std430, set = 0, binding = 1) readonly buffer InputBytes { uint8_t in_8[]; };
#endif
#ifdef HAS_I64
layout(std430, set = 0, binding = 0) writeonly buffer OutputLong { int64_t out_i64[]; };
layout(std430, set = 0, binding = 1) readonly buffer InputLong { int64_t in_i64[]; };
#endif
#ifdef HAS_F64
layout(std430, set = 0, binding = 0) writeonly buffer OutputDouble { double out_f64[]; };
layout(std430, set = 0, binding = 1) readonly buffer InputDouble { double in_f64[]; };
#endif

const uint F32 = 0, F64 = 1, F16 = 2, BF16 = 3, I64 = 4, I32 = 5, U32 = 6, U8 = 7, BOOL = 8;

bool is_not_zero(uint bits) {
    return (bits & 0x7fffffffu) != 0;
}

// The last bit set where anything was lost, so that rounding once more rounds right (Boldo & Melquiond 2008).
#ifdef HAS_F64
bool is_nan(double x) {
    uvec2 bits = unpackDouble2x32(x);
    uint high = bits.y & 0x7fffffffu;
    return high > 0x7ff00000u || (high == 0x7ff00000u && bits.x != 0);
}
float rounded_to_odd(double x) {
    float nearest = float(x);
    uint bits = floatBitsToUint(nearest);
    double back = double(nearest);
    if (back == x || is_nan(x) || (bits & 0x7fffffffu) >= 0x7f800000u || (bits & 1u) == 1u) {
        return nearest;
    }
    // Away from zero is the next larger pattern of bits, whatever the sign.
    bool too_large = abs(back) > abs(x);
    return uintBitsToFloat(too_large ? bits - 1u : bits + 1u);
}
#endif
#ifdef HAS_I64
float long_to_odd(int64_t x) {
    // The upper 30 bits of the magnitude, and one for all below.
    uint64_t size = x < 0l ? uint64_t(0) - uint64_t(x) : uint64_t(x);
    uint high = uint(size >> 32);
    uint low = uint(size);
    int top = high != 0 ? 32 + findMSB(high) : findMSB(low);
    if (top < 24) {
        return float(int(x));
    }
    int shift = top - 23;
    uint64_t kept = size >> shift;
    if ((kept << shift) != size) {
        kept |= uint64_t(1);
    }
    float value = float(uint(kept)) * intBitsToFloat((shift + 127) << 23);
    return x < 0l ? -value : value;
}
// To nearest, ties to even, in integers: drivers may convert as they like.
float long_to_float(int64_t x) {
    uint64_t size = x < 0l ? uint64_t(0) - uint64_t(x) : uint64_t(x);
    uint high = uint(size >> 32);
    uint low = uint(size);
    int top = high != 0 ? 32 + findMSB(high) : findMSB(low);
    if (top < 24) {
        return float(int(x));
    }
    int shift = top - 23;
    uint64_t half_unit = uint64_t(1) << (shift - 1);
    uint64_t kept = (size + (half_unit - uint64_t(1)) + ((size >> shift) & uint64_t(1))) >> shift;
    float value = float(uint(kept)) * intBitsToFloat((shift + 127) << 23);
    return x < 0l ? -value : value;
}
int64_t float_to_long(float x) {
    if ((floatBitsToUint(x) & 0x7fffffffu) > 0x7f800000u) {
        return 0l;
    }
    if (x >= 9223372036854775808.0) {
        return 0x7fffffffffffffffl;
    }
    return x <= -9223372036854775808.0 ? -0x7fffffffffffffffl - 1l : int64_t(x);
}
#endif

float word_to_odd(uint size, bool negative) {
    int top = findMSB(size);
    uint kept = size;
    if (top > 23) {
        int shift = top - 23;
        kept = (size >> shift) << shift;
        kept |= kept != size ? 1u << shift : 0u;
    }
    float value = float(kept);
    return negative ? -value : value;
}
int float_to_int(float x) {
    if ((floatBitsToUint(x) & 0x7fffffffu) > 0x7f800000u) {
        return 0;
    }
    return x >= 2147483648.0 ? 0x7fffffff : x <= -2147483648.0 ? int(0x80000000u) : int(x);
}
uint float_to_uint(float x, float limit, uint largest) {
    if ((floatBitsToUint(x) & 0x7fffffffu) > 0x7f800000u || x <= 0.0) {
        return 0;
    }
    return x >= limit ? largest : uint(x);
}

#ifdef HAS_NARROW
void store_half(uint to, uint index, float x) {
    if (to == F16) {
        out_f16[index] = float16_t(ROUNDS_HALF ? x : rounded_to_half(x));
    } else {
        out_16[index] = uint16_t(bfloat_bits(x));
    }
}
#endif

// `x` for the float types, `odd` for the half ones: rounded to odd if x was rounded, else the same.
void store_float(uint to, uint index, float x, float odd) {
    switch (to) {
    case F32: out_32[index] = floatBitsToUint(x); break;
    case I32: out_32[index] = uint(float_to_int(x)); break;
    case U32: out_32[index] = float_to_uint(x, 4294967296.0, 0xffffffffu); break;
#ifdef HAS_NARROW
    case F16:
    case BF16: store_half(to, index, odd); break;
    case U8: out_8[index] = uint8_t(float_to_uint(x, 256.0, 255u)); break;
    case BOOL: out_8[index] = uint8_t(is_not_zero(floatBitsToUint(x)) ? 1 : 0); break;
#endif
#ifdef HAS_I64
    case I64: out_i64[index] = float_to_long(x); break;
#endif
#ifdef HAS_F64
    case F64: out_f64[index] = double(x); break;
#endif
    }
}

// A 32-bit integer, sign-extended if `negative`.
void store_word(uint to, uint index, uint x, bool negative) {
    uint size = negative ? 0u - x : x;
    switch (to) {
    case F32: {
        // To nearest, ties to even.
        int top = findMSB(size);
        uint kept = size;
        if (top > 23) {
            int shift = top - 23;
            uint half_unit = 1u << (shift - 1);
            uint low = size & ((1u << shift) - 1u);
            kept = size >> shift;
            kept += low > half_unit || (low == half_unit && (kept & 1u) == 1u) ? 1u : 0u;
            float value = float(kept) * intBitsToFloat((shift + 127) << 23);
            out_32[index] = floatBitsToUint(negative ? -value : value);
        } else {
            float value = float(kept);
            out_32[index] = floatBitsToUint(negative ? -value : value);
        }
        break;
    }
    case I32:
    case U32: out_32[index] = x; break;
#ifdef HAS_NARROW
    case F16:
    case BF16: store_half(to, index, word_to_odd(size, negative)); break;
    case U8: out_8[index] = uint8_t(x & 255u); break;
    case BOOL: out_8[index] = uint8_t(x != 0 ? 1 : 0); break;
#endif
#ifdef HAS_I64
    case I64: out_i64[index] = packInt2x32(ivec2(x, negative ? -1 : 0)); break;
#endif
#ifdef HAS_F64
    case F64: out_f64[index] = negative ? -double(size) : double(size); break;
#endif
    }
}

void element(uint index) {
    uint at[INPUTS];
    locate(index, at);
    uint from = OPERATION / 16;
    uint to = OPERATION % 16;
    uint target = word(1) + index;
    switch (from) {
    case F32: {
        float x = uintBitsToFloat(in_32[at[0]]);
        store_float(to, target, x, x);
        break;
    }
    case I32: {
        uint x = in_32[at[0]];
        store_word(to, target, x, int(x) < 0);
        break;
    }
    case U32: store_word(to, target, in_32[at[0]], false); break;
#ifdef HAS_NARROW
    case F16: {
        float x = float(in_f16[at[0]]);
        store_float(to, target, x, x);
        break;
    }
    case BF16: {
        float x = uintBitsToFloat(uint(in_16[at[0]]) << 16);
        store_float(to, target, x, x);
        break;
    }
    case U8:
    case BOOL: store_word(to, target, uint(in_8[at[0]]), false); break;
#endif
#ifdef HAS_I64
    case I64: {
        int64_t x = in_i64[at[0]];
        switch (to) {
        case F32: out_32[target] = floatBitsToUint(long_to_float(x)); break;
        case I32:
        case U32: out_32[target] = uint(x); break;
#ifdef HAS_NARROW
        case F16:
        case BF16: store_half(to, target, long_to_odd(x)); break;
        case U8: out_8[target] = uint8_t(uint(x) & 255u); break;
        case BOOL: out_8[target] = uint8_t(x != 0l ? 1 : 0); break;
#endif
#ifdef HAS_F64
        case F64: {
            // Two exact halves, one rounding.
            ivec2 halves = unpackInt2x32(x);
            out_f64[target] = double(halves.y) * 4294967296.0LF + double(uint(halves.x));
            break;
        }
#endif
        }
        break;
    }
#endif
#ifdef HAS_F64
    case F64: {
        double x = in_f64[at[0]];
        switch (to) {
#ifdef HAS_NARROW
        case F16:
        case BF16: store_half(to, target, rounded_to_odd(x)); break;
        case U8: out_8[target] = uint8_t(is_nan(x) || x <= 0.0LF ? 0u : x >= 256.0LF ? 255u : uint(x)); break;
        case BOOL: {
            uvec2 bits = unpackDouble2x32(x);
            out_8[target] = uint8_t((bits.x | (bits.y & 0x7fffffffu)) != 0 ? 1 : 0);
            break;
        }
#endif
        case F32: out_32[target] = floatBitsToUint(float(x)); break;
        case I32:
            out_32[target] = is_nan(x) ? 0u : x >= 2147483647.0LF ? 0x7fffffffu : x <= -2147483648.0LF ? 0x80000000u : uint(int(x));
            break;
        case U32: out_32[target] = is_nan(x) || x <= 0.0LF ? 0u : x >= 4294967295.0LF ? 0xffffffffu : uint(x); break;
#ifdef HAS_I64
        case I64:
            out_i64[target] = is_nan(x) ? 0l
                : x >= 9223372036854775808.0LF ? 0x7fffffffffffffffl
                : x <= -9223372036854775808.0LF ? -0x7fffffffffffffffl - 1l
                : int64_t(x);
            break;
#endif
        }
        break;
    }
#endif
    }
}

void main() {
    FOR_EACH_ELEMENT(word(0), element)
}
