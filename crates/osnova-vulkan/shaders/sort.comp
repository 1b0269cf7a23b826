//@ sort_8 WIDTH=8
//@ sort_16 WIDTH=16
//@ sort_32 WIDTH=32
//@ sort_64 WIDTH=64
//@ sort_index WIDTH=64 INDEX
#version 460
#extension GL_GOOGLE_include_directive : require
// Sorts chunks of the rows along an axis, each by a bitonic network in shared memory; a workgroup takes as many chunks as fit.
// Equal keys are ordered by their places, which makes it stable. Words: rows, their length, the axis's stride in the input and in
// the outputs, slot for faults, what indices must be below, walk of the first elements of the rows of input and outputs.
//
// With INDEX the input is an index and the key the index itself; those out of range are reported and come last.
#define INPUTS 2
#define WALK 6
#define FAULT_BINDING 3
#define INDEX_BINDING 2
#define INDEX_ID 16
#include "include/interface.glsl"
#include "include/sorting.glsl"
#include "include/strided.glsl"
#ifdef INDEX
#include "include/fault.glsl"
#include "include/index.glsl"
#endif

// A chunk holds 2^LOG_WIDTH elements.
layout(constant_id = 14) const uint LOG_WIDTH = 0;
// Whether elements next to each other in memory belong to rows next to each other: then threads next to each other take those.
layout(constant_id = 15) const bool ACROSS = false;

layout(std430, set = 0, binding = 0) writeonly buffer Values {
    MOVED values[];
};
layout(std430, set = 0, binding = 0) writeonly buffer Keys {
    KEY sorted_keys[];
};
layout(std430, set = 0, binding = 1) writeonly buffer Positions {
    uvec2 positions[];
};
layout(std430, set = 0, binding = 1) writeonly buffer Places {
    uint sorted_places[];
};
layout(std430, set = 0, binding = 2) readonly buffer Input {
    MOVED source[];
};

shared KEY keys[CHUNK];
shared uint places[CHUNK];

const uint NOWHERE = 0xffffffffu;

// The element of shared memory that a thread loads and stores in turn `item`.
uint slot_of(uint item) {
    uint chunks = CHUNK >> LOG_WIDTH;
    return ACROSS ? ((item & (chunks - 1)) << LOG_WIDTH) | (item / chunks) : item;
}

#ifdef INDEX
KEY key_at(uint at) {
    uvec2 chosen = index_at(at);
    return in_range(word(4), chosen, word(5)) ? chosen.x : LARGEST;
}
#elif WIDTH == 64
KEY key_at(uint at) {
    return key_of(source[at].y, source[at].x);
}
#else
KEY key_at(uint at) {
    return key_of(uint(source[at]) << (32 - WIDTH), 0u);
}
#endif

void exchange(uint low, uint high) {
    KEY x = keys[low];
    KEY y = keys[high];
    uint x_place = places[low];
    uint y_place = places[high];
    if (before(y, x) || (y == x && y_place < x_place)) {
        keys[low] = y;
        keys[high] = x;
        places[low] = y_place;
        places[high] = x_place;
    }
}

void sort_chunks() {
    for (uint block = 2; block <= 1u << LOG_WIDTH; block <<= 1) {
        // Two sorted halves, the second from its end, then ever smaller steps: all exchanges point upwards.
        for (uint distance = block >> 1; distance > 0; distance >>= 1) {
            barrier();
            for (uint pair = gl_LocalInvocationID.x; pair < CHUNK / 2; pair += THREADS) {
                uint within = pair & (distance - 1);
                uint low = ((pair - within) << 1) | within;
                exchange(low, distance == block >> 1 ? low ^ (block - 1) : low | distance);
            }
        }
    }
    barrier();
}

void main() {
    uint rows = word(0);
    uint length = word(1);
    uint width = 1u << LOG_WIDTH;
    uint chunks_per_row = (length + width - 1) / width;
    uint chunks = rows * chunks_per_row;
    uint chunks_per_group = CHUNK >> LOG_WIDTH;
    for (uint first = gl_WorkGroupID.x * chunks_per_group; first < chunks; first += gl_NumWorkGroups.x * chunks_per_group) {
        for (uint item = gl_LocalInvocationID.x; item < CHUNK; item += THREADS) {
            uint slot = slot_of(item);
            uint chunk = first + (slot >> LOG_WIDTH);
            uint row = chunk / chunks_per_row;
            uint place = (chunk - row * chunks_per_row) * width + (slot & (width - 1));
            keys[slot] = LARGEST;
            places[slot] = NOWHERE;
            if (chunk < chunks && place < length) {
                uint at[INPUTS];
                locate(row, at);
                keys[slot] = key_at(at[0] + place * word(2));
                places[slot] = place;
            }
        }
        sort_chunks();
        for (uint item = gl_LocalInvocationID.x; item < CHUNK; item += THREADS) {
            uint slot = slot_of(item);
            uint chunk = first + (slot >> LOG_WIDTH);
            uint row = chunk / chunks_per_row;
            uint place = (chunk - row * chunks_per_row) * width + (slot & (width - 1));
            if (chunk < chunks && place < length) {
                if (LAST_PASS) {
                    uint at[INPUTS];
                    locate(row, at);
                    uint target = at[1] + place * word(3);
                    values[target] = source[at[0] + places[slot] * word(2)];
                    positions[target] = uvec2(places[slot], 0u);
                } else {
                    sorted_keys[row * length + place] = keys[slot];
                    sorted_places[row * length + place] = places[slot];
                }
            }
        }
        barrier();
    }
}
