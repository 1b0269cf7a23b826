// Elementary functions of double, of which GLSL has none: to a few units in the last place.

// Not constants: glslang does not fold the packing.
#define INFINITY packDouble2x32(uvec2(0u, 0x7ff00000u))
#define NOT_A_NUMBER packDouble2x32(uvec2(0u, 0x7ff80000u))
// The leading 32 bits of ln 2, so that a product with an exponent is exact, and the rest.
const double LN_2_HIGH = 0.69314718036912382LF;
const double LN_2_LOW = 1.9082149292705877e-10LF;

double negated(double x) {
    uvec2 bits = unpackDouble2x32(x);
    return packDouble2x32(uvec2(bits.x, bits.y ^ 0x80000000u));
}

double magnitude(double x) {
    uvec2 bits = unpackDouble2x32(x);
    return packDouble2x32(uvec2(bits.x, bits.y & 0x7fffffffu));
}

bool has_sign(double x) {
    return (unpackDouble2x32(x).y >> 31) == 1;
}

double with_sign_of(double size, double signed_number) {
    return has_sign(size) == has_sign(signed_number) ? size : negated(size);
}

bool is_finite(double x) {
    return (unpackDouble2x32(x).y & 0x7fffffffu) < 0x7ff00000u;
}

bool is_zero(double x) {
    uvec2 bits = unpackDouble2x32(x);
    return ((bits.y & 0x7fffffffu) | bits.x) == 0;
}

// The rounding error of a product, by Dekker's splitting; for factors far from the ends of the range. (A driver's fma may
// round twice.)
double product_error(double x, double y, double product) {
    precise double x_scaled = 134217729.0LF * x;
    precise double y_scaled = 134217729.0LF * y;
    precise double x_high = x_scaled - (x_scaled - x);
    precise double y_high = y_scaled - (y_scaled - y);
    precise double x_low = x - x_high;
    precise double y_low = y - y_high;
    precise double error = ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low;
    return error;
}

double divide(double x, double y) {
    return x / y;
}

double m_sqrt(double x) {
    return sqrt(x);
}

// 2^exponent, for exponents of normal numbers.
double power_of_two(int exponent) {
    return packDouble2x32(uvec2(0u, uint(exponent + 1023) << 20));
}

double scaled(double x, int exponent) {
    int half_way = exponent >> 1;
    return x * power_of_two(half_way) * power_of_two(exponent - half_way);
}

// Splits x = n·ln 2 + r with |r| at most about half of ln 2.
int split_exponent(double x, out double remainder) {
    double count = roundEven(x * 1.4426950408889634LF);
    remainder = fma(count, -LN_2_LOW, fma(count, -LN_2_HIGH, x));
    return int(count);
}

// e^r − 1 for |r| up to 0.35: the series to r¹⁴/14!.
double expm1_of_remainder(double r) {
    double tail = 1.0LF / 87178291200.0LF;
    tail = fma(tail, r, 1.0LF / 6227020800.0LF);
    tail = fma(tail, r, 1.0LF / 479001600.0LF);
    tail = fma(tail, r, 1.0LF / 39916800.0LF);
    tail = fma(tail, r, 1.0LF / 3628800.0LF);
    tail = fma(tail, r, 1.0LF / 362880.0LF);
    tail = fma(tail, r, 1.0LF / 40320.0LF);
    tail = fma(tail, r, 1.0LF / 5040.0LF);
    tail = fma(tail, r, 1.0LF / 720.0LF);
    tail = fma(tail, r, 1.0LF / 120.0LF);
    tail = fma(tail, r, 1.0LF / 24.0LF);
    tail = fma(tail, r, 1.0LF / 6.0LF);
    tail = fma(tail, r, 0.5LF);
    return fma(tail, r * r, r);
}

double m_exp(double x) {
    if (is_nan(x)) {
        return x;
    }
    x = clamp(x, -750.0LF, 710.0LF);
    double remainder;
    int exponent = split_exponent(x, remainder);
    return scaled(expm1_of_remainder(remainder) + 1.0LF, exponent);
}

double m_expm1(double x) {
    if (is_nan(x) || magnitude(x) < 1e-17LF) {
        return x;
    }
    double remainder;
    int exponent = split_exponent(clamp(x, -50.0LF, 710.0LF), remainder);
    double fraction = expm1_of_remainder(remainder);
    double half_power = power_of_two(exponent - 1);
    double value = fma(half_power, fraction, half_power - 0.5LF);
    return value + value;
}

// ln(2^exponent · (1 + f)) for f between √½ − 1 and √2 − 1: with s = f/(2 + f), 2·artanh(s) = 2s + s³·P(s²), and
// 2s = f − s·f.
double ln_of_parts(int exponent, double f) {
    double s = f / (2.0LF + f);
    double z = s * s;
    double series = 2.0LF / 23.0LF;
    series = fma(series, z, 2.0LF / 21.0LF);
    series = fma(series, z, 2.0LF / 19.0LF);
    series = fma(series, z, 2.0LF / 17.0LF);
    series = fma(series, z, 2.0LF / 15.0LF);
    series = fma(series, z, 2.0LF / 13.0LF);
    series = fma(series, z, 2.0LF / 11.0LF);
    series = fma(series, z, 2.0LF / 9.0LF);
    series = fma(series, z, 2.0LF / 7.0LF);
    series = fma(series, z, 2.0LF / 5.0LF);
    series = fma(series, z, 2.0LF / 3.0LF);
    double count = double(exponent);
    // f − f²/2 + s·(f²/2 + z·series): the largest part is exact, and what is rounded is small.
    double half_square = 0.5LF * f * f;
    double small = s * (half_square + z * series) + count * LN_2_LOW;
    return count * LN_2_HIGH + (f - (half_square - small));
}

// Splits a positive number into 2^exponent · mantissa, the mantissa between √½ and √2. Subnormal numbers are split by their
// bits, so that a device that takes them for 0 does so nowhere here.
int split_mantissa(double x, out double mantissa) {
    uvec2 bits = unpackDouble2x32(x);
    int below = 0;
    if (bits.y < 0x00100000u) {
        // An integer times 2⁻¹⁰⁷⁴.
        bits = unpackDouble2x32(double(bits.y) * 4294967296.0LF + double(bits.x));
        below = 1074;
    }
    int exponent = int(bits.y >> 20) - 1023 - below;
    uint high = (bits.y & 0x000fffffu) | 0x3ff00000u;
    // √2 has the upper bits 0x3ff6a09e.
    if (high >= 0x3ff6a09eu) {
        high -= 0x00100000u;
        exponent += 1;
    }
    mantissa = packDouble2x32(uvec2(bits.x, high));
    return exponent;
}

double m_ln(double x) {
    if (is_zero(x)) {
        return -INFINITY;
    }
    if (is_nan(x) || has_sign(x)) {
        return NOT_A_NUMBER;
    }
    if (!is_finite(x)) {
        return x;
    }
    double mantissa;
    int exponent = split_mantissa(x, mantissa);
    return ln_of_parts(exponent, mantissa - 1.0LF);
}

double m_ln1p(double x) {
    if (is_nan(x) || magnitude(x) < 1e-17LF || x == INFINITY) {
        return x;
    }
    if (x <= -1.0LF) {
        return x == -1.0LF ? -INFINITY : NOT_A_NUMBER;
    }
    precise double sum = 1.0LF + x;
    precise double lost_small = x - (sum - 1.0LF);
    precise double lost_large = 1.0LF - (sum - x);
    double lost = x < 1.0LF ? lost_small : lost_large;
    double mantissa;
    int exponent = split_mantissa(sum, mantissa);
    double f = mantissa - 1.0LF;
    if (x < 1e18LF) {
        f += lost * power_of_two(-exponent);
    }
    return ln_of_parts(exponent, f);
}

double m_tanh(double x) {
    if (is_nan(x) || magnitude(x) < 1e-9LF) {
        return x;
    }
    // tanh(x) = t/(t + 2), t = e^{2x} − 1; beyond 20 it is 1 to the last place.
    double size = min(magnitude(x), 20.0LF);
    double t = m_expm1(2.0LF * size);
    return with_sign_of(size < 0.5LF ? t / (t + 2.0LF) : 1.0LF - 2.0LF / (t + 2.0LF), x);
}

double m_sigmoid(double x) {
    if (is_nan(x)) {
        return x;
    }
    double e = m_exp(-magnitude(x));
    return (x < 0.0LF ? e : 1.0LF) / (1.0LF + e);
}

// e^(−x²), the square in two parts.
double gaussian(double x) {
    precise double square = x * x;
    double lost = product_error(x, x, square);
    return m_exp(-square) * (1.0LF - lost);
}

// 2/√π·e^(−x²)·Σ 2ⁿx^(2n+1)/(1·3·…·(2n+1)), for x up to 1.5: all terms are positive. What each addition drops is kept.
double erf_series(double x) {
    double square = 2.0LF * x * x;
    double term = x;
    precise double sum = x;
    precise double lost = 0.0LF;
    for (int n = 1; n < 60; n++) {
        term *= square / double(2 * n + 1);
        precise double next = sum + term;
        lost += term - (next - sum);
        sum = next;
        if (term < sum * 1e-18LF) {
            break;
        }
    }
    return 1.1283791670955126LF * gaussian(x) * (sum + lost);
}

// erfc for x of 1.5 and above, by the continued fraction e^(−x²)/√π / (x + (1/2)/(x + 1/(x + (3/2)/(x + …)))).
double erfc_fraction(double x) {
    double value = x;
    for (int k = 100; k > 0; k--) {
        value = x + 0.5LF * double(k) / value;
    }
    return 0.5641895835477563LF * gaussian(x) / value;
}

double m_erf(double x) {
    if (is_nan(x)) {
        return x;
    }
    double size = magnitude(x);
    if (size < 1e-9LF) {
        // The next term is of the order of x³.
        return x + 0.12837916709551256LF * x;
    }
    double value = size < 1.5LF ? erf_series(size) : size < 6.0LF ? 1.0LF - erfc_fraction(size) : 1.0LF;
    return with_sign_of(value, x);
}

// Splits x = n·π/2 + r with |r| at most about π/4; n modulo 4. From 10¹⁵ on a double tells little about where in its period
// it lies, and the tolerance grows with it.
int split_turn(double x, out double r) {
    r = 0.0LF;
    int quarter = 0;
    if (magnitude(x) < 1e15LF) {
        r = x;
        [[unroll]] for (int round = 0; round < 2; round++) {
            double count = roundEven(r * 0.63661977236758134LF);
            precise double turned = count * 1.5707963267948966LF;
            precise double rest = (r - turned) - product_error(count, 1.5707963267948966LF, turned);
            r = rest - count * 6.123233995736766e-17LF;
            // The count modulo 4, which may be larger than an int.
            quarter += int(count - 4.0LF * floor(count * 0.25LF));
        }
    }
    return quarter & 3;
}

double sin_cos_of(int quarter, double r) {
    double z = r * r;
    double sine = 1.0LF / 355687428096000.0LF;
    sine = fma(sine, z, -1.0LF / 1307674368000.0LF);
    sine = fma(sine, z, 1.0LF / 6227020800.0LF);
    sine = fma(sine, z, -1.0LF / 39916800.0LF);
    sine = fma(sine, z, 1.0LF / 362880.0LF);
    sine = fma(sine, z, -1.0LF / 5040.0LF);
    sine = fma(sine, z, 1.0LF / 120.0LF);
    sine = fma(sine, z, -1.0LF / 6.0LF);
    sine = fma(sine * z, r, r);
    double cosine = -1.0LF / 6402373705728000.0LF;
    cosine = fma(cosine, z, 1.0LF / 20922789888000.0LF);
    cosine = fma(cosine, z, -1.0LF / 87178291200.0LF);
    cosine = fma(cosine, z, 1.0LF / 479001600.0LF);
    cosine = fma(cosine, z, -1.0LF / 3628800.0LF);
    cosine = fma(cosine, z, 1.0LF / 40320.0LF);
    cosine = fma(cosine, z, -1.0LF / 720.0LF);
    cosine = fma(cosine, z, 1.0LF / 24.0LF);
    cosine = 1.0LF + fma(z, -0.5LF, cosine * (z * z));
    double value = (quarter & 1) == 0 ? sine : cosine;
    return (quarter & 2) == 0 ? value : negated(value);
}

double m_sin(double x) {
    if (!is_finite(x)) {
        return NOT_A_NUMBER;
    }
    double r;
    int quarter = split_turn(x, r);
    return magnitude(x) < 1e-9LF ? x : sin_cos_of(quarter, r);
}

double m_cos(double x) {
    if (!is_finite(x)) {
        return NOT_A_NUMBER;
    }
    double r;
    int quarter = split_turn(x, r);
    return sin_cos_of((quarter + 1) & 3, r);
}

// 1 for odd integers, 2 for even ones, 0 for all else.
int parity(double x) {
    double size = magnitude(x);
    if (size >= 9007199254740992.0LF) {
        return 2;
    }
    if (floor(size) != size) {
        return 0;
    }
    return size - 2.0LF * floor(size * 0.5LF) == 1.0LF ? 1 : 2;
}

double m_pow(double x, double y) {
    if (is_zero(y) || x == 1.0LF) {
        return 1.0LF;
    }
    if (is_nan(x) || is_nan(y)) {
        return NOT_A_NUMBER;
    }
    double size = magnitude(x);
    bool rising = !has_sign(y);
    if (!is_finite(y)) {
        return size == 1.0LF ? 1.0LF : (size > 1.0LF) == rising ? INFINITY : 0.0LF;
    }
    int kind = parity(y);
    double sign = has_sign(x) && kind == 1 ? -1.0LF : 1.0LF;
    if (is_zero(x) || !is_finite(x)) {
        return is_zero(x) == rising ? sign * 0.0LF : sign * INFINITY;
    }
    if (has_sign(x) && kind == 0) {
        return NOT_A_NUMBER;
    }
    if (size == 1.0LF) {
        return sign;
    }
    double mantissa;
    int exponent = split_mantissa(size, mantissa);
    // As in the function of float: the logarithm in two parts.
    precise double f = mantissa - 1.0LF;
    precise double below = 2.0LF + f;
    precise double below_error = f - (below - 2.0LF);
    precise double s = f / below;
    precise double s_product = s * below;
    precise double s_error = ((f - s_product) - product_error(s, below, s_product) - s * below_error) / below;
    double z = s * s;
    double series = 2.0LF / 23.0LF;
    series = fma(series, z, 2.0LF / 21.0LF);
    series = fma(series, z, 2.0LF / 19.0LF);
    series = fma(series, z, 2.0LF / 17.0LF);
    series = fma(series, z, 2.0LF / 15.0LF);
    series = fma(series, z, 2.0LF / 13.0LF);
    series = fma(series, z, 2.0LF / 11.0LF);
    series = fma(series, z, 2.0LF / 9.0LF);
    series = fma(series, z, 2.0LF / 7.0LF);
    series = fma(series, z, 2.0LF / 5.0LF);
    series = fma(series, z, 2.0LF / 3.0LF);
    precise double count = double(exponent);
    precise double high = count * LN_2_HIGH;
    precise double twice = 2.0LF * s;
    precise double sum = high + twice;
    precise double sum_error = exponent == 0 ? 0.0LF : (high - sum) + twice;
    precise double rest = sum_error + (count * LN_2_LOW + (2.0LF * s_error + z * s * series));
    precise double log_high = sum + rest;
    precise double log_low = (sum - log_high) + rest;
    if (magnitude(y) > 1e25LF) {
        bool grows = (log_high > 0.0LF) == rising;
        return grows ? sign * INFINITY : sign * 0.0LF;
    }
    precise double power = log_high * y;
    if (power > 710.0LF) {
        return sign * INFINITY;
    }
    if (power < -750.0LF) {
        return sign * 0.0LF;
    }
    precise double power_error = magnitude(power) < 1e-100LF ? 0.0LF : product_error(log_high, y, power) + log_low * y;
    double remainder;
    int scale = split_exponent(power, remainder);
    return sign * scaled(expm1_of_remainder(remainder + power_error) + 1.0LF, scale);
}

double m_gelu(double x) {
    if (x < -40.0LF) {
        return 0.0LF;
    }
    // erfc instead of 1 + erf where that would cancel.
    double inner = x * 0.70710678118654752LF;
    double twice_share = inner < -1.5LF ? erfc_fraction(-inner) : 1.0LF + m_erf(inner);
    return 0.5LF * x * twice_share;
}

double m_gelu_tanh(double x) {
    double inner = 0.79788456080286536LF * (x + 0.044715LF * x * x * x);
    return x < -40.0LF ? 0.0LF : x * m_sigmoid(inner + inner);
}
