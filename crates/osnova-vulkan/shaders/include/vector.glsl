// Four elements at once, for the dtypes of `dtype.glsl`:
//   COMPUTED4, STORED4   four of COMPUTED and of STORED
//   LOAD4(x)             COMPUTED4 from STORED4
//   STORE4(x)            STORED4 from COMPUTED4, rounded as by STORE
//   MULTIPLY_ADD(x, y, sum)   for COMPUTED and COMPUTED4
// HAS_FOURS: buffers are read and written so where elements lie for it. Not 8-byte ones: two of them fill a load already.

#if defined(IS_SINGLE)
#define COMPUTED4 vec4
#elif defined(DTYPE_F64)
#define COMPUTED4 dvec4
#elif defined(DTYPE_I64)
#define COMPUTED4 i64vec4
#elif defined(DTYPE_I32)
#define COMPUTED4 ivec4
#else
#define COMPUTED4 uvec4
#endif

#if defined(DTYPE_F32)
#define HAS_FOURS
#define STORED4 vec4
#define LOAD4(x) (x)
#define STORE4(x) (x)
#elif defined(DTYPE_F16)
#define HAS_FOURS
#define STORED4 f16vec4
#define LOAD4(x) vec4(x)
#define STORE4(x) f16vec4(ROUNDS_HALF ? (x) : vec4(rounded_to_half((x).x), rounded_to_half((x).y), rounded_to_half((x).z), rounded_to_half((x).w)))
#elif defined(DTYPE_BF16)
#define HAS_FOURS
#define STORED4 u16vec4
#define LOAD4(x) uintBitsToFloat(uvec4(x) << 16)
#define STORE4(x) u16vec4(uvec4(bfloat_bits((x).x), bfloat_bits((x).y), bfloat_bits((x).z), bfloat_bits((x).w)))
#elif defined(DTYPE_I32)
#define HAS_FOURS
#define STORED4 ivec4
#define LOAD4(x) (x)
#define STORE4(x) (x)
#elif defined(DTYPE_U32)
#define HAS_FOURS
#define STORED4 uvec4
#define LOAD4(x) (x)
#define STORE4(x) (x)
#elif defined(DTYPE_U8)
#define HAS_FOURS
#define STORED4 u8vec4
#define LOAD4(x) uvec4(x)
#define STORE4(x) u8vec4(x)
#endif

#ifdef IS_FLOAT
#define MULTIPLY_ADD(x, y, sum) fma(x, y, sum)
#else
#define MULTIPLY_ADD(x, y, sum) ((x) * (y) + (sum))
#endif
