// Elementary functions that do not depend on how exactly a driver computes its own, for COMPUTED float or double.
// Named m_… to stand apart from the built-in ones.
#if defined(IS_SINGLE)
#include "include/math_single.glsl"
#elif defined(IS_DOUBLE)
#include "include/math_double.glsl"
#endif

#ifdef IS_FLOAT
COMPUTED m_silu(COMPUTED x) {
    // −∞ · 0 would be NaN; the limit is zero.
    return x < COMPUTED(-750) ? COMPUTED(0) : x * m_sigmoid(x);
}
#endif
