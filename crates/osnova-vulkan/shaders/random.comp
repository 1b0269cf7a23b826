//@ random_f32 DTYPE_F32
//@ random_f16 DTYPE_F16
//@ random_bf16 DTYPE_BF16
//@ random_f64 DTYPE_F64
//@ random_u8 DTYPE_U8
#version 460
#extension GL_GOOGLE_include_directive : require
// Random numbers, as the table in `osnova_tensor::random` says. Words: count of fours, seed and counter of the stream (two words
// each), then for uniform numbers low and high − low, for normal ones mean and deviation (two words each), for truth values the
// probability in units of 2⁻²⁴, rounded up. Elements past the last one fill up its four.
#include "include/interface.glsl"
#include "include/dtype.glsl"
#include "include/numbers.glsl"
#include "include/math.glsl"
#include "include/grid.glsl"
#include "include/philox.glsl"

#if defined(IS_SINGLE)
#define COMPUTED_FOUR vec4
#elif defined(IS_DOUBLE)
#define COMPUTED_FOUR dvec4
#else
#define COMPUTED_FOUR uvec4
#endif

const uint UNIFORM = 0, NORMAL = 1, BERNOULLI = 2;
layout(constant_id = 10) const uint DISTRIBUTION = UNIFORM;

// Four elements, stored at once.
#if defined(DTYPE_F32)
#define FOUR vec4
#define STORE_FOUR(numbers) (numbers)
#elif defined(DTYPE_F16)
#define FOUR f16vec4
#define STORE_FOUR(numbers) f16vec4(each_rounded(numbers))
#elif defined(DTYPE_BF16)
#define FOUR u16vec4
#define STORE_FOUR(numbers) u16vec4(each_rounded(numbers))
#elif defined(DTYPE_F64)
#define FOUR dvec4
#define STORE_FOUR(numbers) (numbers)
#elif defined(DTYPE_U8)
#define FOUR u8vec4
#define STORE_FOUR(numbers) u8vec4(numbers)
#endif

// Vectors of 16 bits are made from vectors alone where arithmetic has none.
#if defined(DTYPE_F16)
vec4 each_rounded(vec4 x) {
    return ROUNDS_HALF ? x : vec4(rounded_to_half(x.x), rounded_to_half(x.y), rounded_to_half(x.z), rounded_to_half(x.w));
}
#elif defined(DTYPE_BF16)
uvec4 each_rounded(vec4 x) {
    return uvec4(bfloat_bits(x.x), bfloat_bits(x.y), bfloat_bits(x.z), bfloat_bits(x.w));
}
#endif

#ifdef IS_FLOAT
// Uniform numbers inside their interval, where rounding led out of it.
COMPUTED_FOUR kept(COMPUTED_FOUR x, COMPUTED_FOUR smallest, COMPUTED_FOUR largest) {
    COMPUTED_FOUR raised = mix(x, smallest, lessThan(x, smallest));
    return mix(raised, largest, greaterThan(raised, largest));
}
#endif

layout(std430, set = 0, binding = 0) writeonly buffer Output {
    FOUR values[];
};

uvec4 words_of(uint block) {
    return stream_block(uvec2(word(1), word(2)), uvec2(word(3), word(4)), block);
}

#if defined(IS_SINGLE)
// 24 bits as a number from 0 to 1: exact.
vec4 unit(uvec4 words) {
    return vec4(words >> 8) * 5.9604645e-8;
}

vec4 uniform_numbers(uint index) {
    float low = uintBitsToFloat(word(5));
    float width = uintBitsToFloat(word(7));
    float scale = uintBitsToFloat(word(9));
    precise vec4 product = width * unit(words_of(index));
    precise vec4 sum = low + product;
    precise vec4 result = scale * sum;
    return kept(result, vec4(uintBitsToFloat(word(11))), vec4(uintBitsToFloat(word(13))));
}

// Box and Muller: a radius and an angle make two.
vec2 normal_pair(uvec2 words) {
    float radius = m_sqrt(-2.0 * m_ln(float((words.x >> 8) + 1) * 5.9604645e-8));
    float angle = 6.2831855 * (float(words.y >> 8) * 5.9604645e-8);
    return radius * vec2(m_cos(angle), m_sin(angle));
}

vec4 normal_numbers(uint index) {
    float mean = uintBitsToFloat(word(5));
    float deviation = uintBitsToFloat(word(7));
    uvec4 words = words_of(index);
    return mean + deviation * vec4(normal_pair(words.xy), normal_pair(words.zw));
}
#elif defined(IS_DOUBLE)
// 53 bits as a number from 0 to 1: two exact parts, whose sum is exact.
dvec2 unit(uvec4 words) {
    dvec2 integers = dvec2(words.yw) * 2097152.0LF + dvec2(words.xz >> 11);
    return integers * 1.1102230246251565e-16LF;
}

dvec4 uniform_numbers(uint index) {
    double low = packDouble2x32(uvec2(word(5), word(6)));
    double width = packDouble2x32(uvec2(word(7), word(8)));
    double scale = packDouble2x32(uvec2(word(9), word(10)));
    double smallest = packDouble2x32(uvec2(word(11), word(12)));
    double largest = packDouble2x32(uvec2(word(13), word(14)));
    precise dvec4 product = width * dvec4(unit(words_of(2 * index)), unit(words_of(2 * index + 1)));
    precise dvec4 sum = low + product;
    precise dvec4 result = scale * sum;
    return kept(result, dvec4(smallest), dvec4(largest));
}

dvec2 normal_pair(uvec4 words) {
    dvec2 units = unit(words);
    double radius = m_sqrt(-2.0LF * m_ln(units.x + 1.1102230246251565e-16LF));
    double angle = 6.283185307179586LF * units.y;
    return radius * dvec2(m_cos(angle), m_sin(angle));
}

dvec4 normal_numbers(uint index) {
    double mean = packDouble2x32(uvec2(word(5), word(6)));
    double deviation = packDouble2x32(uvec2(word(7), word(8)));
    return mean + deviation * dvec4(normal_pair(words_of(2 * index)), normal_pair(words_of(2 * index + 1)));
}
#endif

void element(uint index) {
    if (DISTRIBUTION == BERNOULLI) {
        uvec4 truths = uvec4(lessThan(words_of(index) >> 8, uvec4(word(5))));
        COMPUTED_FOUR numbers = COMPUTED_FOUR(truths);
        values[index] = STORE_FOUR(numbers);
    }
#ifdef IS_FLOAT
    if (DISTRIBUTION != BERNOULLI) {
        COMPUTED_FOUR numbers = DISTRIBUTION == UNIFORM ? uniform_numbers(index) : normal_numbers(index);
        values[index] = STORE_FOUR(numbers);
    }
#endif
}

void main() {
    FOR_EACH_ELEMENT(word(0), element)
}
