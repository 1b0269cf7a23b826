// Telling the host of an index out of range; see `faults.rs`. FAULT_BINDING is where the slots are bound.
layout(std430, set = 0, binding = FAULT_BINDING) buffer Faults {
    uint faults[];
};

// Whether an i64 index (as two words) lies in 0..size; if not, the slot is told, the first time.
bool in_range(uint slot, uvec2 chosen, uint size) {
    if (chosen.y == 0 && chosen.x < size) {
        return true;
    }
    if (atomicCompSwap(faults[slot * 4], 0u, 1u) == 0u) {
        faults[slot * 4 + 1] = chosen.x;
        faults[slot * 4 + 2] = chosen.y;
    }
    return false;
}
