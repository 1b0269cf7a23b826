// How the elements of each output are shared among threads, as `Plan` in `kernels/reduce.rs` has decided: LANES threads of a
// workgroup take turns at the elements of one part of an output. Words 0 to 3: outputs, elements of each, parts, elements of a part.
// COLUMNS (neighbouring threads work on neighbouring outputs, else on neighbouring elements) and LANES are the kernel's constants.

struct Share {
    // The output. Threads past the last one repeat it, so that all meet at barriers, but are not inside.
    uint source;
    bool inside;
    // This thread among those of the output.
    uint lane;
    // The elements of the part: from `first` to below `last`, the same for the whole workgroup.
    uint first;
    uint last;
    // Whether this thread is the one to write a result.
    bool writes;
    // Where the part's result stands among all: as the elements lay, parts side by side or outputs.
    uint partial_place;
};

// The bits of the thread's number that tell the threads of an output apart.
#define TEAM_LOW (COLUMNS ? THREADS / LANES : 1)
#define TEAM_HIGH (COLUMNS ? THREADS : LANES)

uint shares() {
    return ((word(0) - 1) / (THREADS / LANES) + 1) * word(2);
}

Share share_of(uint item) {
    uint outputs = word(0);
    uint parts = word(2);
    const uint width = THREADS / LANES;
    uint blocks = (outputs - 1) / width + 1;
    // Neighbouring workgroups read neighbouring memory: parts of a row, or columns side by side.
    uint block = COLUMNS ? item % blocks : item / parts;
    uint part = COLUMNS ? item / blocks : item % parts;
    uint thread = thread_number();
    uint target = block * width + (COLUMNS ? thread % width : thread / LANES);
    Share share;
    share.source = min(target, outputs - 1);
    share.inside = target < outputs;
    share.lane = COLUMNS ? thread / width : thread % LANES;
    share.first = part * word(3);
    share.last = min(share.first + word(3), word(1));
    share.writes = share.inside && share.lane == 0;
    share.partial_place = COLUMNS ? part * outputs + target : target * parts + part;
    return share;
}

#define FOR_EACH_SHARE(item) for (uint item = gl_WorkGroupID.x; item < shares(); item += gl_NumWorkGroups.x)
