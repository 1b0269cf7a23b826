// The loop of a kernel that handles its elements one by one: `element(index)` for each index below `count`, four at a time
// from each thread, neighbours by neighbours, whatever the number of workgroups.

#define ELEMENTS 4

#define FOR_EACH_ELEMENT(count, element) \
    for (uint base = gl_WorkGroupID.x * (THREADS * ELEMENTS) + gl_LocalInvocationID.x; base < (count); \
         base += gl_NumWorkGroups.x * (THREADS * ELEMENTS)) { \
        [[unroll]] for (uint step = 0; step < ELEMENTS; step++) { \
            uint index = base + step * THREADS; \
            if (index < (count)) { \
                element(index); \
            } \
        } \
    }
