// NaN and order, told from the bits: arithmetic that a driver may simplify or flush decides nothing here.
//   is_nan(x)
//   ORDERED, order_key(x)   an integer that orders as the numbers do (−0 as 0), for all but NaN
//   larger, smaller         of two COMPUTED; NaN wins
//   scalar(low, high)       a COMPUTED from two words of metadata

#if defined(IS_SINGLE)
#define ORDERED int
bool is_nan(float x) {
    return (floatBitsToUint(x) & 0x7fffffffu) > 0x7f800000u;
}
int order_key(float x) {
    int bits = floatBitsToInt(x);
    return bits < 0 ? -(bits & 0x7fffffff) : bits;
}

#elif defined(IS_DOUBLE)
// Words instead of a 64-bit integer, which the device may lack: compared as a pair in one double would not do for subnormals.
bool is_nan(double x) {
    uvec2 bits = unpackDouble2x32(x);
    uint high = bits.y & 0x7fffffffu;
    return high > 0x7ff00000u || (high == 0x7ff00000u && bits.x != 0);
}
#ifdef DTYPE_F64
#define ORDERED double
double order_key(double x) {
    return x;
}
#endif

#else
#define ORDERED COMPUTED
bool is_nan(COMPUTED x) {
    return false;
}
COMPUTED order_key(COMPUTED x) {
    return x;
}
#endif

#ifdef COMPUTED
COMPUTED larger(COMPUTED x, COMPUTED y) {
    return is_nan(x) || (!is_nan(y) && order_key(x) >= order_key(y)) ? x : y;
}

COMPUTED smaller(COMPUTED x, COMPUTED y) {
    return is_nan(x) || (!is_nan(y) && order_key(x) <= order_key(y)) ? x : y;
}

COMPUTED scalar(uint low, uint high) {
#if defined(IS_SINGLE)
    return uintBitsToFloat(low);
#elif defined(IS_DOUBLE)
    return packDouble2x32(uvec2(low, high));
#elif defined(DTYPE_I64)
    return packInt2x32(ivec2(low, high));
#else
    return COMPUTED(low);
#endif
}
#endif
