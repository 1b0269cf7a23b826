// How the elements of the dtype that a module is compiled for (DTYPE_…) are stored and computed with:
//   STORED          the type in buffers
//   COMPUTED        the type of arithmetic
//   LOAD(x)         COMPUTED from STORED
//   STORE(x)        STORED from COMPUTED; half types round to nearest, ties to even
//   IS_FLOAT, IS_SINGLE (computed in float), IS_DOUBLE, IS_INTEGER, IS_SIGNED

#if defined(DTYPE_F32)
#define IS_FLOAT
#define IS_SINGLE
#define STORED float
#define COMPUTED float
#define LOAD(x) (x)
#define STORE(x) (x)

#elif defined(DTYPE_F16)
#define IS_FLOAT
#define IS_SINGLE
#define STORED float16_t
#define COMPUTED float
#define LOAD(x) float(x)
#define STORE(x) float16_t(ROUNDS_HALF ? (x) : rounded_to_half(x))

#elif defined(DTYPE_BF16)
#define IS_FLOAT
#define IS_SINGLE
#define STORED uint16_t
#define COMPUTED float
#define LOAD(x) uintBitsToFloat(uint(x) << 16)
#define STORE(x) uint16_t(bfloat_bits(x))

#elif defined(DTYPE_F64)
#define IS_FLOAT
#define IS_DOUBLE
#define STORED double
#define COMPUTED double
#define LOAD(x) (x)
#define STORE(x) (x)

#elif defined(DTYPE_I64)
#define IS_INTEGER
#define IS_SIGNED
#define STORED int64_t
#define COMPUTED int64_t
#define LOAD(x) (x)
#define STORE(x) (x)

#elif defined(DTYPE_I32)
#define IS_INTEGER
#define IS_SIGNED
#define STORED int
#define COMPUTED int
#define LOAD(x) (x)
#define STORE(x) (x)

#elif defined(DTYPE_U32)
#define IS_INTEGER
#define STORED uint
#define COMPUTED uint
#define LOAD(x) (x)
#define STORE(x) (x)

#elif defined(DTYPE_U8)
#define IS_INTEGER
#define STORED uint8_t
#define COMPUTED uint
#define LOAD(x) uint(x)
#define STORE(x) uint8_t(x)
#endif

#include "include/half.glsl"
