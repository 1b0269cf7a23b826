// Elementary functions of float: to 3 units in the last place, as the tolerances of the conformance kit ask.
// The polynomials are those of `osnova-cpu`.

const float INFINITY = uintBitsToFloat(0x7f800000u);
const float NOT_A_NUMBER = uintBitsToFloat(0x7fc00000u);
// The leading 9 bits of ln 2, so that a product with an exponent is exact, and the rest.
const float LN_2_HIGH = 0.693359375;
const float LN_2_LOW = -2.12194440e-4;

float negated(float x) {
    return uintBitsToFloat(floatBitsToUint(x) ^ 0x80000000u);
}

float magnitude(float x) {
    return uintBitsToFloat(floatBitsToUint(x) & 0x7fffffffu);
}

float with_sign_of(float size, float signed_number) {
    return uintBitsToFloat((floatBitsToUint(size) & 0x7fffffffu) | (floatBitsToUint(signed_number) & 0x80000000u));
}

bool is_infinite(float x) {
    return (floatBitsToUint(x) & 0x7fffffffu) == 0x7f800000u;
}

bool is_finite(float x) {
    return (floatBitsToUint(x) & 0x7fffffffu) < 0x7f800000u;
}

// 2^exponent, for exponents of normal numbers.
float power_of_two(int exponent) {
    return intBitsToFloat((exponent + 127) << 23);
}

// The rounding error of a product, by Dekker's splitting; for factors far from the ends of the range.
float product_error(float x, float y, float product) {
    precise float x_scaled = 4097.0 * x;
    precise float y_scaled = 4097.0 * y;
    precise float x_high = x_scaled - (x_scaled - x);
    precise float y_high = y_scaled - (y_scaled - y);
    precise float x_low = x - x_high;
    precise float y_low = y - y_high;
    precise float error = ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low;
    return error;
}

// Drivers may divide to 2.5 units in the last place: one step of refinement brings that below 1.
float divide(float x, float y) {
    precise float quotient = x / y;
    uint exponent = (floatBitsToUint(y) >> 23) & 255u;
    // Where the residual would overflow or vanish, the quotient stays as it is.
    if (!is_finite(quotient) || magnitude(quotient) < 1e-30 || magnitude(quotient) > 1e30 || exponent < 60 || exponent > 190) {
        return quotient;
    }
    precise float product = quotient * y;
    precise float residual = (x - product) - product_error(quotient, y, product);
    precise float refined = quotient + residual / y;
    return refined;
}

// Correctly rounded, or as good as the driver's where that is more than one unit off.
float m_sqrt(float x) {
    precise float root = sqrt(x);
    // √x of normal numbers from 2⁻⁶⁴ to 2⁶⁴ can be checked by its square.
    if (!(x > 5.4210109e-20 && x < 1.8446744e19)) {
        return root;
    }
    precise float square = root * root;
    precise float residual = (x - square) - product_error(root, root, square);
    precise float refined = root + residual * 0.5 / root;
    return refined;
}

// Splits x = n·ln 2 + r with |r| at most about half of ln 2.
int split_exponent(float x, out float remainder) {
    float count = roundEven(x * 1.44269504);
    remainder = fma(count, -LN_2_LOW, fma(count, -LN_2_HIGH, x));
    return int(count);
}

// e^r − 1 for the remainder of the split.
float expm1_of_remainder(float r) {
    float tail = fma(fma(fma(fma(fma(1.994508e-4, r, 1.3932664e-3), r, 8.333207e-3), r, 4.1666490e-2), r, 0.16666667), r, 0.5);
    return fma(tail, r * r, r);
}

float m_exp(float x) {
    if (is_nan(x)) {
        return x;
    }
    x = clamp(x, -104.5, 89.0);
    float remainder;
    int exponent = split_exponent(x, remainder);
    float fraction = expm1_of_remainder(remainder) + 1.0;
    // In two steps: one factor alone would overflow below the largest results and lose the subnormal ones.
    int half_way = exponent >> 1;
    return fraction * power_of_two(half_way) * power_of_two(exponent - half_way);
}

float m_expm1(float x) {
    if (is_nan(x) || magnitude(x) < 1e-8) {
        return x;
    }
    float remainder;
    int exponent = split_exponent(clamp(x, -20.0, 89.0), remainder);
    float fraction = expm1_of_remainder(remainder);
    // e^x − 1 = 2^n (e^r − 1) + (2^n − 1); halved, so that 2^128 does not overflow.
    float half_power = power_of_two(exponent - 1);
    float value = fma(half_power, fraction, half_power - 0.5);
    return value + value;
}

// ln(2^exponent · (1 + f)) for f between √½ − 1 and √2 − 1.
float ln_of_parts(int exponent, float f) {
    float tail = fma(0.069156125, f, -0.1178937);
    tail = fma(tail, f, 0.118726194);
    tail = fma(tail, f, -0.12384402);
    tail = fma(tail, f, 0.14218716);
    tail = fma(tail, f, -0.1666925);
    tail = fma(tail, f, 0.20002224);
    tail = fma(tail, f, -0.24999987);
    tail = fma(tail, f, 0.3333331);
    float square = f * f;
    float count = float(exponent);
    float small = fma(count, LN_2_LOW, tail * (square * f));
    small = fma(square, -0.5, small);
    return fma(count, LN_2_HIGH, f + small);
}

// Splits a positive number into 2^exponent · mantissa, the mantissa between √½ and √2. Subnormal numbers are split by their
// bits, so that a device that takes them for 0 does so nowhere here.
int split_mantissa(float x, out float mantissa) {
    uint bits = floatBitsToUint(x);
    int below = 0;
    if (bits < 0x00800000u) {
        // An integer times 2⁻¹⁴⁹, and so a normal number times 2⁻¹⁴⁹.
        bits = floatBitsToUint(float(bits));
        below = 149;
    }
    bits += 0x3f800000u - 0x3f3504f3u;
    mantissa = uintBitsToFloat((bits & 0x007fffffu) + 0x3f3504f3u);
    return int(bits >> 23) - 127 - below;
}

float m_ln(float x) {
    uint bits = floatBitsToUint(x);
    if ((bits & 0x7fffffffu) == 0) {
        return -INFINITY;
    }
    if (bits > 0x7f800000u) {
        return NOT_A_NUMBER;
    }
    if (bits == 0x7f800000u) {
        return x;
    }
    float mantissa;
    int exponent = split_mantissa(x, mantissa);
    return ln_of_parts(exponent, mantissa - 1.0);
}

float m_ln1p(float x) {
    if (is_nan(x) || x == INFINITY || magnitude(x) < 1e-8) {
        return x;
    }
    if (x <= -1.0) {
        return x == -1.0 ? -INFINITY : NOT_A_NUMBER;
    }
    precise float sum = 1.0 + x;
    // What rounding the sum dropped, exactly: of the larger addend nothing is lost in the difference.
    precise float lost_small = x - (sum - 1.0);
    precise float lost_large = 1.0 - (sum - x);
    float lost = x < 1.0 ? lost_small : lost_large;
    float mantissa;
    int exponent = split_mantissa(sum, mantissa);
    // Nothing of it shows in a large result, for which the scale would leave the range of exponents.
    float f = mantissa - 1.0;
    if (x < 1e9) {
        f += lost * power_of_two(-exponent);
    }
    return ln_of_parts(exponent, f);
}

// e^−x for x of 0 to 60.
float exp_of_negative(float x) {
    float remainder;
    int exponent = split_exponent(-x, remainder);
    return (expm1_of_remainder(remainder) + 1.0) * power_of_two(exponent);
}

float m_tanh(float x) {
    if (is_nan(x)) {
        return x;
    }
    float size = magnitude(x);
    if (size < 0.55) {
        if (size < 1e-8) {
            return x;
        }
        float square = x * x;
        float tail = fma(fma(fma(fma(-0.006142635, square, 0.02098362), square, -0.0538325), square, 0.13332418), square, -0.33333313);
        return fma(tail * square, x, x);
    }
    // tanh(x) = 1 − 2e/(1 + e), e = exp(−2x); beyond 10 it is 1 to the last place.
    float capped = min(size, 10.0);
    float e = exp_of_negative(capped + capped);
    return with_sign_of(1.0 - (e + e) / (1.0 + e), x);
}

float m_sigmoid(float x) {
    if (is_nan(x)) {
        return x;
    }
    float e = m_exp(-magnitude(x));
    return divide(x < 0.0 ? e : 1.0, 1.0 + e);
}

float m_erf(float x) {
    if (is_nan(x)) {
        return x;
    }
    float size = magnitude(x);
    if (size < 0.92) {
        float square = x * x;
        float near = fma(7.9696634e-5, square, -8.0438395e-4);
        near = fma(near, square, 0.005191948);
        near = fma(near, square, -0.026855588);
        near = fma(near, square, 0.11283624);
        near = fma(near, square, -0.3761263);
        near = fma(near, square, 0.12837917);
        return fma(near, x, x);
    }
    // 1 − exp(ln(erfc(x))), the logarithm as a polynomial; beyond 4 the result is 1 to the last place.
    float capped = min(size, 4.0);
    float exponent = fma(-2.0908283e-5, capped, 4.3228763e-4);
    exponent = fma(exponent, capped, -0.0041604596);
    exponent = fma(exponent, capped, 0.025091354);
    exponent = fma(exponent, capped, -0.10823646);
    exponent = fma(exponent, capped, -0.63338673);
    exponent = fma(exponent, capped, -1.1294951);
    exponent = fma(exponent, capped, 1.7055369e-4);
    return with_sign_of(1.0 - exp_of_negative(-exponent), x);
}

// The bits of 2/π, after 32 zeros.
const uint TWO_OVER_PI[9] = uint[](
    0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu, 0xdebbc561u);

// Splits x = n·π/2 + r with |r| at most π/4; n modulo 4. Exact for arguments of any size (Payne & Hanek 1983): x is
// m·2^e with m of 24 bits, and the bits of 2/π whose product with it is a multiple of 4 are left out.
int split_turn(float x, out float r) {
    uint bits = floatBitsToUint(x) & 0x7fffffffu;
    if (bits < 0x3f490fdbu) { // π/4
        r = x;
        return 0;
    }
    uint m = (bits & 0x007fffffu) | 0x00800000u;
    uint skip = (bits >> 23) - 120u;
    uint first = skip >> 5;
    uint shift = skip & 31u;
    uint window[3];
    [[unroll]] for (uint at = 0; at < 3; at++) {
        uint high = TWO_OVER_PI[first + at];
        window[at] = shift == 0 ? high : (high << shift) | (TWO_OVER_PI[first + at + 1] >> (32 - shift));
    }
    // The product modulo 2⁹⁶: two bits of n, then its fraction.
    uint high1, low1, high2, low2, carry;
    umulExtended(m, window[2], high2, low2);
    umulExtended(m, window[1], high1, low1);
    uint middle = uaddCarry(low1, high2, carry);
    uint top = m * window[0] + high1 + carry;
    int quarter = int(top >> 30);
    uint fraction_high = (top << 2) | (middle >> 30);
    uint fraction_low = (middle << 2) | (low2 >> 30);
    bool negative = (fraction_high >> 31) == 1;
    if (negative) {
        quarter += 1;
        fraction_low = 0u - fraction_low;
        fraction_high = ~fraction_high + (fraction_low == 0 ? 1u : 0u);
    }
    float fraction = float(fraction_high) * 2.3283064e-10 + float(fraction_low) * 5.4210109e-20;
    r = fraction * 1.57079633;
    if (floatBitsToInt(x) < 0) {
        quarter = -quarter;
        negative = !negative;
    }
    r = negative ? -r : r;
    return quarter & 3;
}

float sin_cos_of(int quarter, float r) {
    float square = r * r;
    float sine = fma(fma(fma(2.837513e-6, square, -1.9853511e-4), square, 8.33338e-3), square, -0.16666667);
    sine = fma(sine * square, r, r);
    float cosine = fma(fma(2.4430667e-5, square, -1.3887301e-3), square, 4.1666646e-2);
    cosine = 1.0 + fma(square, -0.5, cosine * (square * square));
    float value = (quarter & 1) == 0 ? sine : cosine;
    return (quarter & 2) == 0 ? value : negated(value);
}

float m_sin(float x) {
    if (!is_finite(x)) {
        return NOT_A_NUMBER;
    }
    float r;
    int quarter = split_turn(x, r);
    // Keeps the sign of zero and what is subnormal.
    return magnitude(x) < 1e-5 ? x : sin_cos_of(quarter, r);
}

float m_cos(float x) {
    if (!is_finite(x)) {
        return NOT_A_NUMBER;
    }
    float r;
    int quarter = split_turn(x, r);
    return sin_cos_of((quarter + 1) & 3, r);
}

// 1 for odd integers, 2 for even ones, 0 for all else.
int parity(float x) {
    float size = magnitude(x);
    if (size >= 16777216.0) {
        return 2;
    }
    if (floor(size) != size) {
        return 0;
    }
    return (int(size) & 1) == 1 ? 1 : 2;
}

float m_pow(float x, float y) {
    uint size_bits = floatBitsToUint(x) & 0x7fffffffu;
    if ((floatBitsToUint(y) & 0x7fffffffu) == 0 || floatBitsToUint(x) == 0x3f800000u) {
        return 1.0;
    }
    if (is_nan(x) || is_nan(y)) {
        return NOT_A_NUMBER;
    }
    bool rising = floatBitsToInt(y) > 0;
    if (is_infinite(y)) {
        return size_bits == 0x3f800000u ? 1.0 : (size_bits > 0x3f800000u) == rising ? INFINITY : 0.0;
    }
    bool negative_base = floatBitsToInt(x) < 0;
    int kind = parity(y);
    float sign = negative_base && kind == 1 ? -1.0 : 1.0;
    if (size_bits == 0 || size_bits == 0x7f800000u) {
        return (size_bits == 0) == rising ? sign * 0.0 : sign * INFINITY;
    }
    if (negative_base && kind == 0) {
        return NOT_A_NUMBER;
    }
    if (size_bits == 0x3f800000u) {
        return sign;
    }
    float mantissa;
    int exponent = split_mantissa(uintBitsToFloat(size_bits), mantissa);
    // ln(m) = 2s + s³·P(s²), s = f/(2 + f), in two parts: what the second leaves out is 2⁻³⁰ of the whole.
    precise float f = mantissa - 1.0;
    precise float below = 2.0 + f;
    precise float below_error = f - (below - 2.0);
    precise float s = f / below;
    precise float s_product = s * below;
    precise float s_error = ((f - s_product) - product_error(s, below, s_product) - s * below_error) / below;
    float z = s * s;
    float series = fma(fma(fma(fma(0.18181818, z, 0.22222222), z, 0.28571429), z, 0.4), z, 0.66666667);
    precise float count = float(exponent);
    precise float high = count * LN_2_HIGH;
    precise float twice = 2.0 * s;
    precise float sum = high + twice;
    // The larger addend is the logarithm of the power of two, unless that is 0.
    precise float sum_error = exponent == 0 ? 0.0 : (high - sum) + twice;
    precise float rest = sum_error + (count * LN_2_LOW + (2.0 * s_error + z * s * series));
    precise float log_high = sum + rest;
    precise float log_low = (sum - log_high) + rest;
    // Far beyond the range of exponents nothing else counts, and the splitting would overflow.
    if (magnitude(y) > 1e15) {
        bool grows = (log_high > 0.0) == rising;
        return grows ? sign * INFINITY : sign * 0.0;
    }
    precise float power = log_high * y;
    if (power > 89.0) {
        return sign * INFINITY;
    }
    if (power < -104.5) {
        return sign * 0.0;
    }
    precise float power_error = magnitude(power) < 1e-15 ? 0.0 : product_error(log_high, y, power) + log_low * y;
    float remainder;
    int scale = split_exponent(power, remainder);
    float fraction = expm1_of_remainder(remainder + power_error) + 1.0;
    int half_way = scale >> 1;
    return sign * (fraction * power_of_two(half_way) * power_of_two(scale - half_way));
}

float m_gelu(float x) {
    // −∞ · 0 would be NaN; the limit is zero.
    float half_x = 0.5 * x;
    return x < -14.0 ? 0.0 : fma(half_x, m_erf(x * 0.70710678), half_x);
}

float m_gelu_tanh(float x) {
    // (1 + tanh(u)) / 2 = sigmoid(2u); 2·√(2/π) and the same times 0.044715.
    float doubled = x * fma(x * x, 0.071354816, 1.5957692);
    return x < -14.0 ? 0.0 : x * m_sigmoid(doubled);
}
