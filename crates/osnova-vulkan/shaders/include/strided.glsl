// Walking INPUTS strided tensors through one box of elements. The walk's words begin at WALK; see `walk.rs`.
//
// Their first own constant says which.
// LINEAR: (start, stride) for each tensor. Else: rank, sizes, then (start, strides) for each, innermost axis first.

layout(constant_id = 10) const bool LINEAR = true;

// The position of element `index` (row-major) in each tensor.
void locate(uint index, out uint at[INPUTS]) {
    if (LINEAR) {
        [[unroll]] for (uint tensor = 0; tensor < INPUTS; tensor++) {
            at[tensor] = word(WALK + 2 * tensor) + index * word(WALK + 2 * tensor + 1);
        }
        return;
    }
    uint rank = word(WALK);
    uint starts = WALK + 1 + rank;
    [[unroll]] for (uint tensor = 0; tensor < INPUTS; tensor++) {
        at[tensor] = word(starts + tensor * (rank + 1));
    }
    for (uint axis = 0; axis < rank; axis++) {
        // The outermost axis takes what is left.
        uint size = word(WALK + 1 + axis);
        uint next = axis + 1 < rank ? index / size : 0;
        uint step = index - next * size;
        index = next;
        [[unroll]] for (uint tensor = 0; tensor < INPUTS; tensor++) {
            at[tensor] += step * word(starts + tensor * (rank + 1) + 1 + axis);
        }
    }
}
