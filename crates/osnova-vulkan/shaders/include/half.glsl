// Rounding of floats to the half types in integer arithmetic, which is the same everywhere.

// The upper half of a float's bits, to nearest, ties to even; NaN stays NaN.
uint bfloat_bits(float x) {
    uint bits = floatBitsToUint(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return (bits >> 16) | 0x40u;
    }
    return (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}

// The nearest float that half precision holds, ties to even, so that converting it loses nothing.
float rounded_to_half(float x) {
    uint bits = floatBitsToUint(x);
    uint sign = bits & 0x80000000u;
    uint size = bits & 0x7fffffffu;
    if (size >= 0x7f800000u) {
        return x;
    }
    if (size >= 0x477ff000u) { // 65520 and above
        return uintBitsToFloat(sign | 0x7f800000u);
    }
    if (size >= 0x38800000u) { // 2⁻¹⁴ and above: 13 bits go
        size = (size + 0xfffu + ((size >> 13) & 1u)) & 0xffffe000u;
        return uintBitsToFloat(sign | size);
    }
    // Multiples of 2⁻²⁴: adding 1.5 · 2⁻¹ rounds there.
    float rounded = (uintBitsToFloat(size) + 0.75) - 0.75;
    return uintBitsToFloat(sign | floatBitsToUint(rounded));
}
