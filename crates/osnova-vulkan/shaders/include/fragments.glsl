// One operand of a product of cooperative matrices: from its buffer to registers, from there to shared memory, from there to
// fragments. Included once for each, with
//   OPERAND(name)        the name with the operand's own prefix
//   OPERAND_BINDING, OPERAND_BLOCK   where it is bound, and a name for its buffer
//   OPERAND_LINES        rows of the left operand, columns of the right one, that a tile takes
//   OPERAND_ALONG_INNER  whether neighbours in memory are neighbours along the inner axis (else along the lines)
//   OPERAND_FRAGMENT, OPERAND_LAYOUT   type of a fragment, and its layout where memory runs along the inner axis or not
//
// Shared memory keeps the order of the buffer, in fours. Each row of it is 16 bytes longer, which spreads rows over the banks
// and leaves every row aligned to 16 bytes, as loads of fragments ask.

layout(std430, set = 0, binding = OPERAND_BINDING) readonly buffer OPERAND_BLOCK {
    f16vec4 OPERAND(fours)[];
};

const uint OPERAND(RUN) = OPERAND_ALONG_INNER ? DEPTH / 4 : OPERAND_LINES / 4;
const uint OPERAND(RUNS) = OPERAND_ALONG_INNER ? OPERAND_LINES : DEPTH;
const uint OPERAND(PITCH) = OPERAND(RUN) + 2;
const uint OPERAND(TOTAL) = OPERAND(RUN) * OPERAND(RUNS);
const uint OPERAND(OWN) = (OPERAND(TOTAL) + THREADS - 1) / THREADS;

shared f16vec4 OPERAND(tile)[OPERAND(PITCH) * OPERAND(RUNS)];
f16vec4 OPERAND(next)[OPERAND(OWN)];

// Past the end of the inner axis there are zeros, which add nothing; past the last line that line again, of which nothing is
// stored. Sizes along memory are multiples of four, so that no four crosses an edge.
void OPERAND(fetch)(uint origin, uvec2 strides, uint line, uint lines, uint inner, uint inner_end) {
    [[unroll]] for (uint own = 0; own < OPERAND(OWN); own++) {
        uint number = gl_LocalInvocationID.x + own * THREADS;
        uint run = number / OPERAND(RUN);
        uint four = number % OPERAND(RUN) * 4;
        uvec2 at = uvec2(line, inner) + (OPERAND_ALONG_INNER ? uvec2(run, four) : uvec2(four, run));
        at.x = min(at.x, lines - (OPERAND_ALONG_INNER ? 1 : 4));
        OPERAND(next)[own] = f16vec4(0);
        if (at.y < inner_end) {
            OPERAND(next)[own] = OPERAND(fours)[(origin + at.x * strides.x + at.y * strides.y) / 4];
        }
    }
}

void OPERAND(put)() {
    [[unroll]] for (uint own = 0; own < OPERAND(OWN); own++) {
        uint number = gl_LocalInvocationID.x + own * THREADS;
        if (number < OPERAND(TOTAL)) {
            OPERAND(tile)[number / OPERAND(RUN) * OPERAND(PITCH) + number % OPERAND(RUN)] = OPERAND(next)[own];
        }
    }
}

OPERAND_FRAGMENT OPERAND(fragment)(uint line, uint inner) {
    OPERAND_FRAGMENT fragment;
    if (OPERAND_ALONG_INNER) {
        coopMatLoad(fragment, OPERAND(tile), line * OPERAND(PITCH) + inner / 4, OPERAND(PITCH), OPERAND_LAYOUT(true));
    } else {
        coopMatLoad(fragment, OPERAND(tile), inner * OPERAND(PITCH) + line / 4, OPERAND(PITCH), OPERAND_LAYOUT(false));
    }
    return fragment;
}
