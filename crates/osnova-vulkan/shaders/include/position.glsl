// Walks through one tensor whose words stand anywhere in the metadata; see `walk.rs`.

// The position of element `index` of the walk at word `at`: start, stride.
uint walked_evenly(uint at, uint index) {
    return word(at) + index * word(at + 1);
}

// The same of any walk, by its long words: rank, sizes, start, strides, innermost axis first.
uint walked(uint at, uint index) {
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
