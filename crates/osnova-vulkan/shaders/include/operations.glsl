// The elementwise functions of COMPUTED, by the numbers that `kernels/elementwise.rs` gives them: it sends no other. OPERATION is a specialisation
// constant, so one of them is left in a pipeline.

COMPUTED clamped(COMPUTED x, COMPUTED low, COMPUTED high) {
    return smaller(larger(x, low), high);
}

#ifdef IS_FLOAT
COMPUTED unary(uint operation, COMPUTED x, COMPUTED low, COMPUTED high) {
    switch (operation) {
    case 0: return negated(x);
    case 1: return magnitude(x);
    case 2: return is_nan(x) ? x : COMPUTED(order_key(x) > order_key(COMPUTED(0)) ? 1 : 0) - COMPUTED(order_key(x) < order_key(COMPUTED(0)) ? 1 : 0);
    case 3: return m_exp(x);
    case 4: return m_expm1(x);
    case 5: return m_ln(x);
    case 6: return m_ln1p(x);
    case 7: return m_sqrt(x);
    case 8: return divide(COMPUTED(1), m_sqrt(x));
    case 9: return divide(COMPUTED(1), x);
    case 10: return m_sin(x);
    case 11: return m_cos(x);
    case 12: return m_tanh(x);
    case 13: return m_sigmoid(x);
    case 14: return m_erf(x);
    case 15: return floor(x);
    case 16: return ceil(x);
    case 17: return roundEven(x);
    case 18: return is_nan(x) || order_key(x) > order_key(COMPUTED(0)) ? x : COMPUTED(0);
    case 100: return clamped(x, low, high);
    case 101: return m_gelu(x);
    case 102: return m_gelu_tanh(x);
    case 103: return m_silu(x);
    default: return NOT_A_NUMBER;
    }
}

COMPUTED binary(uint operation, COMPUTED x, COMPUTED y) {
    precise COMPUTED result;
    switch (operation) {
    case 0: result = x + y; return result;
    case 1: result = x - y; return result;
    case 2: result = x * y; return result;
    case 3: return divide(x, y);
    case 4: return m_pow(x, y);
    case 5: return smaller(x, y);
    case 6: return larger(x, y);
    case 100: return order_key(y) > order_key(COMPUTED(0)) ? x : COMPUTED(0);
    case 101: result = x * (y * (COMPUTED(1) - y)); return result;
    case 102: result = x * (COMPUTED(1) - y * y); return result;
    default: return NOT_A_NUMBER;
    }
}

#else
#ifdef IS_SIGNED
COMPUTED sign_of(COMPUTED x) {
    return x > COMPUTED(0) ? COMPUTED(1) : x < COMPUTED(0) ? COMPUTED(-1) : COMPUTED(0);
}
COMPUTED size_of(COMPUTED x) {
    return x < COMPUTED(0) ? COMPUTED(0) - x : x;
}
bool is_negative(COMPUTED x) {
    return x < COMPUTED(0);
}
// −1 has all bits set. Dividing the smallest number by it would overflow, which is undefined.
COMPUTED quotient(COMPUTED x, COMPUTED y) {
    return y == COMPUTED(0) ? COMPUTED(0) : y == COMPUTED(-1) ? COMPUTED(0) - x : x / y;
}
#else
COMPUTED sign_of(COMPUTED x) {
    return x > COMPUTED(0) ? COMPUTED(1) : COMPUTED(0);
}
COMPUTED size_of(COMPUTED x) {
    return x;
}
bool is_negative(COMPUTED x) {
    return false;
}
COMPUTED quotient(COMPUTED x, COMPUTED y) {
    return y == COMPUTED(0) ? COMPUTED(0) : x / y;
}
#endif

// Wraps; a negative exponent gives 1/xⁿ truncated: 0, or ±1 for ±1.
COMPUTED integer_power(COMPUTED base, COMPUTED exponent) {
    if (is_negative(exponent)) {
        bool odd = (exponent & COMPUTED(1)) != COMPUTED(0);
        return base == COMPUTED(1) ? base : size_of(base) == COMPUTED(1) ? (odd ? base : COMPUTED(1)) : COMPUTED(0);
    }
    COMPUTED result = COMPUTED(1);
    while (exponent > COMPUTED(0)) {
        if ((exponent & COMPUTED(1)) != COMPUTED(0)) {
            result *= base;
        }
        base *= base;
        exponent >>= 1;
    }
    return result;
}

COMPUTED unary(uint operation, COMPUTED x, COMPUTED low, COMPUTED high) {
    switch (operation) {
    case 0: return COMPUTED(0) - x;
    case 1: return size_of(x);
    case 2: return sign_of(x);
    case 18: return is_negative(x) ? COMPUTED(0) : x;
    case 19: return ~x;
    case 100: return clamped(x, low, high);
    case 104: return x ^ COMPUTED(1);
    default: return COMPUTED(0);
    }
}

COMPUTED binary(uint operation, COMPUTED x, COMPUTED y) {
    switch (operation) {
    case 0: return x + y;
    case 1: return x - y;
    case 2: return x * y;
    case 3: return quotient(x, y);
    case 4: return integer_power(x, y);
    case 5: return smaller(x, y);
    case 6: return larger(x, y);
    case 7: return x & y;
    case 8: return x | y;
    case 9: return x ^ y;
    default: return COMPUTED(0);
    }
}
#endif
