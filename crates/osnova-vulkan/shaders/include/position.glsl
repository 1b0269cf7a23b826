// Walks through one tensor whose words stand anywhere in the metadata; see `walk.rs`.

// The position of element `index` of the walk that begins at word `at`. Linear: start, stride. Else: rank, sizes, start, strides,
// innermost axis first.
uint walked(uint at, bool linear, uint index) {
    if (linear) {
        return word(at) + index * word(at + 1);
    }
    uint rank = word(at);
    uint position = word(at + 1 + rank);
    for (uint axis = 0; axis < rank; axis++) {
        // The outermost axis takes what is left.
        uint size = word(at + 1 + axis);
        uint next = axis + 1 < rank ? index / size : 0;
        position += (index - next * size) * word(at + 2 + rank + axis);
        index = next;
    }
    return position;
}
