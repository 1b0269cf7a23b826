//@ merge_8 WIDTH=8
//@ merge_16 WIDTH=16
//@ merge_32 WIDTH=32
//@ merge_64 WIDTH=64
#version 460
#extension GL_GOOGLE_include_directive : require
// Merges sorted runs of the rows in pairs. A workgroup makes CHUNK elements of the result: where they begin and end in both runs
// is found along the merge path (Green, McColl and Bader, ICS 2012), the rest happens in shared memory. Of equal keys those of the
// first run come first, which keeps it stable. Words: rows, their length, the axis's stride in the input and in the outputs,
// length of the runs, walk of the first elements of the rows of input and outputs.
#define INPUTS 2
#define WALK 5
#include "include/interface.glsl"
#include "include/sorting.glsl"
#include "include/strided.glsl"

layout(std430, set = 0, binding = 0) writeonly buffer Values {
    MOVED values[];
};
layout(std430, set = 0, binding = 0) writeonly buffer Keys {
    KEY merged_keys[];
};
layout(std430, set = 0, binding = 1) writeonly buffer Positions {
    uvec2 positions[];
};
layout(std430, set = 0, binding = 1) writeonly buffer Places {
    uint merged_places[];
};
layout(std430, set = 0, binding = 2) readonly buffer Input {
    MOVED source[];
};
layout(std430, set = 0, binding = 3) readonly buffer RunKeys {
    KEY run_keys[];
};
layout(std430, set = 0, binding = 4) readonly buffer RunPlaces {
    uint run_places[];
};

shared KEY keys[CHUNK];
shared uint splits[2];

// How many of the first `count` merged elements are of the first run.
uint split_at(uint count, uint first, uint left, uint right) {
    uint low = count > right ? count - right : 0;
    uint high = min(count, left);
    while (low < high) {
        uint middle = (low + high) >> 1;
        if (before(run_keys[first + left + count - 1 - middle], run_keys[first + middle])) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

// How many of the sorted keys from `start` to `end` in shared memory come before a key, equal ones too or not.
uint rank_of(KEY key, uint start, uint end, bool equal_too) {
    uint low = start;
    while (low < end) {
        uint middle = (low + end) >> 1;
        bool is_before = equal_too ? !before(key, keys[middle]) : before(keys[middle], key);
        if (is_before) {
            low = middle + 1;
        } else {
            end = middle;
        }
    }
    return low - start;
}

void main() {
    uint rows = word(0);
    uint length = word(1);
    uint run = word(4);
    uint chunks_per_row = (length + CHUNK - 1) / CHUNK;
    uint chunks = rows * chunks_per_row;
    for (uint chunk = gl_WorkGroupID.x; chunk < chunks; chunk += gl_NumWorkGroups.x) {
        uint row = chunk / chunks_per_row;
        uint start = (chunk - row * chunks_per_row) * CHUNK;
        // Runs are whole chunks, all but the last: a chunk of the result lies within a pair of them.
        uint pair = start - start % (2 * run);
        uint left = min(run, length - pair);
        uint right = min(run, length - pair - left);
        uint first = row * length + pair;
        uint begin = start - pair;
        uint end = min(begin + CHUNK, left + right);
        if (gl_LocalInvocationID.x < 2) {
            splits[gl_LocalInvocationID.x] = split_at(gl_LocalInvocationID.x == 0 ? begin : end, first, left, right);
        }
        barrier();
        uint count = end - begin;
        uint from_left = splits[1] - splits[0];
        // The position of element `item` of the chunk, taken from both runs one after the other, counted from `first`.
        uint left_start = first + splits[0];
        uint right_start = first + left + begin - splits[0] - from_left;
        for (uint item = gl_LocalInvocationID.x; item < count; item += THREADS) {
            keys[item] = run_keys[(item < from_left ? left_start : right_start) + item];
        }
        barrier();
        uint at[INPUTS];
        if (LAST_PASS) {
            locate(row, at);
        }
        for (uint item = gl_LocalInvocationID.x; item < count; item += THREADS) {
            KEY key = keys[item];
            bool is_left = item < from_left;
            uint others = is_left ? rank_of(key, from_left, count, false) : rank_of(key, 0, from_left, true);
            uint place = start + (is_left ? item : item - from_left) + others;
            uint from = run_places[(is_left ? left_start : right_start) + item];
            if (LAST_PASS) {
                uint target = at[1] + place * word(3);
                values[target] = source[at[0] + from * word(2)];
                positions[target] = uvec2(from, 0u);
            } else {
                merged_keys[row * length + place] = key;
                merged_places[row * length + place] = from;
            }
        }
        barrier();
    }
}
