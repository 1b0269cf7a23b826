// A number among the metadata as COMPUTED: two words, of which float uses the first. See `scalar_words`.
COMPUTED number(uint index) {
#ifdef IS_DOUBLE
    return packDouble2x32(uvec2(word(index), word(index + 1)));
#else
    return uintBitsToFloat(word(index));
#endif
}
