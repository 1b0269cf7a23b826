// Long chains of additions, whose rounding errors would add up: a million times 0.0005 is not 500 otherwise. Include after numbers.glsl.

// Adds `x` to a running sum and to `rest` what rounding takes from it (Knuth, TAOCP 2, 4.2.2, theorem B). The sum is `sum + rest`.
void add_to(inout COMPUTED sum, inout COMPUTED rest, COMPUTED x) {
#ifdef IS_FLOAT
    precise COMPUTED total = sum + x;
    precise COMPUTED added = total - sum;
    precise COMPUTED lost = (sum - (total - added)) + (x - added);
    sum = total;
    // Of an infinite sum nothing is lost, and ∞ − ∞ is not a number.
    rest += is_nan(lost) ? COMPUTED(0) : lost;
#else
    sum += x;
#endif
}
