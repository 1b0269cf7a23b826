// The elements of an index: i64, i32 or u32. Define first INDEX_BINDING, where it is bound, and INDEX_ID, the id of the constant that
// says which they are; `index_kind` of the host numbers them.
const uint INDEX_I64 = 0, INDEX_I32 = 1, INDEX_U32 = 2;
layout(constant_id = INDEX_ID) const uint INDEX_KIND = INDEX_I64;

layout(std430, set = 0, binding = INDEX_BINDING) readonly buffer WideIndex {
    uvec2 wide_indices[];
};
layout(std430, set = 0, binding = INDEX_BINDING) readonly buffer NarrowIndex {
    uint narrow_indices[];
};

// An element as the two words of an i64, so that no device lacks the arithmetic.
uvec2 index_at(uint position) {
    if (INDEX_KIND == INDEX_I64) {
        return wide_indices[position];
    }
    uint low = narrow_indices[position];
    return uvec2(low, INDEX_KIND == INDEX_I32 && int(low) < 0 ? 0xffffffffu : 0u);
}
