// Sorting by keys: unsigned integers that order as the elements do, made from their bits, so that no device lacks the arithmetic.
// WIDTH is the elements'; keys have 32 bits, or 64 for elements of 64.
#include "include/width.glsl"

// What the elements are: unsigned integers, signed ones, or floats, told by the bits of infinity (the upper 32, from the top).
const uint UNSIGNED = 0, SIGNED = 1;
layout(constant_id = 11) const uint ELEMENT = UNSIGNED;
layout(constant_id = 12) const bool DESCENDING = false;
// Whether elements and positions are written, or keys and places for the next pass.
layout(constant_id = 13) const bool LAST_PASS = true;

// Elements that a workgroup sorts or merges in shared memory: 24 KiB with keys of 64 bits. `kernels/sort.rs` knows it too.
#define CHUNK 2048

#if WIDTH == 64 && !defined(INDEX)
#define KEY uvec2
bool before(KEY x, KEY y) {
    return x.y < y.y || (x.y == y.y && x.x < y.x);
}
#define LARGEST uvec2(0xffffffffu)
#else
#define KEY uint
bool before(KEY x, KEY y) {
    return x < y;
}
#define LARGEST 0xffffffffu
#endif

#ifndef INDEX
// From the bits of an element, from the top. −0 is 0, NaN the largest.
KEY key_of(uint high, uint low) {
    if (ELEMENT == SIGNED) {
        high ^= 0x80000000u;
    } else if (ELEMENT != UNSIGNED) {
        uint size = high & 0x7fffffffu;
        if (size > ELEMENT || (size == ELEMENT && low != 0)) {
            high = low = 0xffffffffu;
        } else if (size == high) {
            high |= 0x80000000u;
        } else {
            high = 0x80000000u - size - (low != 0 ? 1 : 0);
            low = 0u - low;
        }
    }
#if WIDTH == 64
    KEY key = uvec2(low, high);
#else
    KEY key = high;
#endif
    return DESCENDING ? ~key : key;
}
#endif
