// What is done to a sum of products before it is stored: a bias and an activation, which may be constants. The bias is bound at
// BIAS_BINDING; something must be bound there in any case.
#ifdef IS_FLOAT
#include "include/math.glsl"

layout(std430, set = 0, binding = BIAS_BINDING) readonly buffer Bias {
    STORED bias[];
};

// By the numbers that the same functions have in `operations.glsl`; 99 is no activation, and the host sends no other.
COMPUTED activated(COMPUTED x, uint activation) {
    switch (activation) {
    case 12: return m_tanh(x);
    case 13: return m_sigmoid(x);
    case 18: return is_nan(x) || order_key(x) > order_key(COMPUTED(0)) ? x : COMPUTED(0);
    case 101: return m_gelu(x);
    case 102: return m_gelu_tanh(x);
    case 99: return x;
    case 103: return m_silu(x);
    default: return NOT_A_NUMBER;
    }
}

COMPUTED finished(COMPUTED sum, bool has_bias, uint bias_at, uint activation) {
    return activated(has_bias ? sum + LOAD(bias[bias_at]) : sum, activation);
}
#else
COMPUTED finished(COMPUTED sum, bool has_bias, uint bias_at, uint activation) {
    return sum;
}
#endif
