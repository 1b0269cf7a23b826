// Rows that teams of threads work on: as many rows at a time in a workgroup as it has teams. See `kernels/rows.rs`.
//
//   TEAM              threads of a team, a power of two
//   KEPT              elements that each of them keeps in registers, MOST_KEPT at most; 0 where rows are too long for that
//   COLUMNS           neighbouring threads work on neighbouring rows; else on neighbouring elements
//   row_sum, row_max  over the threads of a team; all threads of the workgroup come to them together
//   FOR_EACH_ROW      the loop over rows: every team takes part in each round, also those that are left without a row
//   FOR_EACH_KEPT     the loop over what a thread keeps: `kept[step]` is element `team_member() + step * TEAM`
//   FOR_EACH_AT_A_TIME the same over the AT_A_TIME elements that a thread has under way, whether rows are kept or not
//
// Include after workgroup.glsl.
layout(constant_id = 11) const uint TEAM = THREADS;
layout(constant_id = 12) const uint KEPT = 0;
layout(constant_id = 13) const bool COLUMNS = false;
const uint TEAMS = THREADS / TEAM;

#define MOST_KEPT 32
// Elements that a thread has under way at a time in rows too long to keep: there may be few such rows, and so few workgroups.
#define CHUNK 16
const uint AT_A_TIME = KEPT > 0 ? KEPT : CHUNK;

COMPUTED row_sum(COMPUTED x) {
    return COLUMNS ? team_sum(x, TEAMS, THREADS) : team_sum(x, 1, TEAM);
}

COMPUTED row_max(COMPUTED x) {
    return COLUMNS ? team_max(x, TEAMS, THREADS) : team_max(x, 1, TEAM);
}

// This thread's number in its team.
uint team_member() {
    uint thread = thread_number();
    return COLUMNS ? thread / TEAMS : thread % TEAM;
}

// The team's number in the workgroup.
uint team_number() {
    uint thread = thread_number();
    return COLUMNS ? thread % TEAMS : thread / TEAM;
}

#define FOR_EACH_ROW(count) \
    for (uint first_row = gl_WorkGroupID.x * TEAMS; first_row < (count); first_row += gl_NumWorkGroups.x * TEAMS)

#define FOR_EACH_KEPT \
    [[unroll]] for (uint step = 0; step < MOST_KEPT; step++) \
        if (step < KEPT)

#define FOR_EACH_AT_A_TIME \
    [[unroll]] for (uint step = 0; step < MOST_KEPT; step++) \
        if (step < AT_A_TIME)
