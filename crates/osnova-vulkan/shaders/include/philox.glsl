// Philox 4x32-10 (Salmon et al., SC 2011), to the bit as `osnova_tensor::random`.

uvec4 philox(uvec4 counter, uvec2 key) {
    [[unroll]] for (uint round = 0; round < 10; round++) {
        uint first_high, first_low, second_high, second_low;
        umulExtended(0xD2511F53u, counter.x, first_high, first_low);
        umulExtended(0xCD9E8D57u, counter.z, second_high, second_low);
        counter = uvec4(second_high ^ counter.y ^ key.x, second_low, first_high ^ counter.w ^ key.y, first_low);
        key += uvec2(0x9E3779B9u, 0xBB67AE85u);
    }
    return counter;
}

// Block `index` of the stream that begins at a counter of 64 bits.
uvec4 stream_block(uvec2 seed, uvec2 start, uint index) {
    uint carry;
    uint low = uaddCarry(start.x, index, carry);
    return philox(uvec4(low, start.y + carry, 0u, 0u), seed);
}
