// Four neighbours of a dtype of floats at once: STORED_4, COMPUTED_4, LOAD_4, STORE_4, as in `dtype.glsl`.
#if defined(DTYPE_F32)
#define STORED_4 vec4
#define COMPUTED_4 vec4
#define LOAD_4(x) (x)
#define STORE_4(x) (x)

#elif defined(DTYPE_F16)
#define STORED_4 f16vec4
#define COMPUTED_4 vec4
#define LOAD_4(x) vec4(x)
#define STORE_4(x) f16vec4(rounded_to_half_4(x))
vec4 rounded_to_half_4(vec4 x) {
    if (ROUNDS_HALF) {
        return x;
    }
    return vec4(rounded_to_half(x.x), rounded_to_half(x.y), rounded_to_half(x.z), rounded_to_half(x.w));
}

#elif defined(DTYPE_BF16)
#define STORED_4 u16vec4
#define COMPUTED_4 vec4
#define LOAD_4(x) uintBitsToFloat(uvec4(x) << 16)
#define STORE_4(x) u16vec4(bfloat_bits_4(x))
uvec4 bfloat_bits_4(vec4 x) {
    return uvec4(bfloat_bits(x.x), bfloat_bits(x.y), bfloat_bits(x.z), bfloat_bits(x.w));
}

#elif defined(DTYPE_F64)
#define STORED_4 dvec4
#define COMPUTED_4 dvec4
#define LOAD_4(x) (x)
#define STORE_4(x) (x)
#endif
