// Reductions across the threads of a workgroup. Every thread gets the result, by a tree that depends on nothing but the
// workgroup and the device's subgroup size: the same bits in every run.
//
//   thread_number()                   this thread's number in the workgroup: use it in place of gl_LocalInvocationID.x
//   workgroup_sum(x)                  over all threads, of COMPUTED; also workgroup_product, workgroup_max, workgroup_min (NaN wins)
//   team_sum(x, low, high)            over the threads whose numbers differ only in the bits from `low` to below `high`, both powers of
//                                     two: (1, T) are teams of T neighbours, (C, THREADS) those with one remainder modulo C;
//                                     also team_product, team_max, team_min
//   shuffled(x, mask)                 the value of COMPUTED or uint in the thread whose number differs in the bits of `mask`, below
//                                     SUBGROUP_SIZE; only where SHUFFLES is true
//
// All threads of a workgroup must come to a call together, those without an element with the identity. Give `low` and `high` as
// constants where possible. Teams within a subgroup meet no barrier.
//
// Include after interface.glsl, dtype.glsl and numbers.glsl, and dispatch with `.whole_subgroups()`: it asks for full subgroups of
// a known size. Without it, and on devices that cannot promise those or lack shuffles, the values go through shared memory.
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

// Subgroups are full, of SUBGROUP_SIZE threads, and exchange values; see `pipeline.rs`.
layout(constant_id = 4) const bool SHUFFLES = false;

// Values that a thread combines in one step through shared memory: 8 subgroups of 32 take one step, 256 threads alone two.
#define SHARED_STEP 16

shared COMPUTED team_values[THREADS];

// Subgroups hold neighbours on all known devices, but nothing says so.
uint thread_number() {
    return SHUFFLES ? gl_SubgroupID * SUBGROUP_SIZE + gl_SubgroupInvocationID : gl_LocalInvocationIndex;
}

uint shuffled(uint x, uint mask) {
    return subgroupShuffleXor(x, mask);
}

// Wide numbers go as words, so that no device needs subgroup operations on them.
#if defined(IS_SINGLE)
float shuffled(float x, uint mask) {
    return subgroupShuffleXor(x, mask);
}
#elif defined(IS_DOUBLE)
double shuffled(double x, uint mask) {
    return packDouble2x32(subgroupShuffleXor(unpackDouble2x32(x), mask));
}
#elif defined(DTYPE_I64)
int64_t shuffled(int64_t x, uint mask) {
    return packInt2x32(subgroupShuffleXor(unpackInt2x32(x), mask));
}
#elif defined(DTYPE_I32)
int shuffled(int x, uint mask) {
    return subgroupShuffleXor(x, mask);
}
#endif

COMPUTED team_added(COMPUTED x, COMPUTED y) {
    return x + y;
}
COMPUTED team_multiplied(COMPUTED x, COMPUTED y) {
    return x * y;
}
COMPUTED team_larger(COMPUTED x, COMPUTED y) {
    return is_nan(x) || (!is_nan(y) && order_key(x) >= order_key(y)) ? x : y;
}
COMPUTED team_smaller(COMPUTED x, COMPUTED y) {
    return is_nan(x) || (!is_nan(y) && order_key(x) <= order_key(y)) ? x : y;
}

// A butterfly within the subgroup, in which both sides combine the same two values, then steps through shared memory.
#define REDUCE_ACROSS(TEAM, WORKGROUP, combined) \
    COMPUTED TEAM(COMPUTED x, uint low, uint high) { \
        uint bit = low; \
        if (SHUFFLES) { \
            [[unroll]] for (; bit < min(high, SUBGROUP_SIZE); bit <<= 1) { \
                x = combined(x, shuffled(x, bit)); \
            } \
        } \
        uint thread = thread_number(); \
        while (bit < high) { \
            uint next = min(bit * SHARED_STEP, high); \
            team_values[thread] = x; \
            barrier(); \
            uint first = thread & ~(next - bit); \
            x = team_values[first]; \
            for (uint at = first + bit; at < first + next; at += bit) { \
                x = combined(x, team_values[at]); \
            } \
            barrier(); \
            bit = next; \
        } \
        return x; \
    } \
    COMPUTED WORKGROUP(COMPUTED x) { \
        return TEAM(x, 1, THREADS); \
    }

REDUCE_ACROSS(team_sum, workgroup_sum, team_added)
REDUCE_ACROSS(team_product, workgroup_product, team_multiplied)
REDUCE_ACROSS(team_max, workgroup_max, team_larger)
REDUCE_ACROSS(team_min, workgroup_min, team_smaller)
