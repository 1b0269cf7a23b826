// One operand of a tile product: from its buffer to registers, from there to shared memory. Included once for each, with
//   OPERAND(name)       the name with the operand's own prefix
//   OPERAND_BINDING, OPERAND_BLOCK, OPERAND_BLOCK4   where it is bound, and names for its buffer
//   OPERAND_TILE        rows of the left operand, columns of the right one, that a tile takes: "lines" here
//   OPERAND_ALONG_INNER whether neighbours in memory are neighbours along the inner axis (else along the lines)
//   OPERAND_FOURS       whether elements are read in fours, which then never cross an edge
//
// Shared memory holds a tile with the inner axis outermost, so that a thread reads the lines it needs in fours; a four is
// added to each row, so that writing along the inner axis meets few banks twice.

layout(std430, set = 0, binding = OPERAND_BINDING) readonly buffer OPERAND_BLOCK {
    STORED OPERAND(elements)[];
};
#ifdef HAS_FOURS
layout(std430, set = 0, binding = OPERAND_BINDING) readonly buffer OPERAND_BLOCK4 {
    STORED4 OPERAND(fours)[];
};
#endif

const uint OPERAND(PITCH) = OPERAND_TILE / 4 + 1;
// Fours of a tile, and those of one thread.
const uint OPERAND(TOTAL) = OPERAND_TILE * DEPTH / 4;
const uint OPERAND(OWN) = (OPERAND(TOTAL) + THREADS - 1) / THREADS;
const bool OPERAND(EVEN) = OPERAND(TOTAL) % THREADS == 0;

shared COMPUTED4 OPERAND(tile)[2 * DEPTH * OPERAND(PITCH)];
COMPUTED4 OPERAND(next)[OPERAND(OWN)];

// The line and the inner position, within the tile, of four `number` or element `number`.
uvec2 OPERAND(within)(uint number, bool fours) {
    const uint lines = OPERAND_TILE / (fours && !OPERAND_ALONG_INNER ? 4 : 1);
    const uint depth = DEPTH / (fours && OPERAND_ALONG_INNER ? 4 : 1);
    uvec2 at = OPERAND_ALONG_INNER ? uvec2(number / depth, number % depth) : uvec2(number % lines, number / lines);
    return fours ? (OPERAND_ALONG_INNER ? uvec2(at.x, at.y * 4) : uvec2(at.x * 4, at.y)) : at;
}

// Reads the tile at line `line` and inner position `inner` into registers. What lies past `lines` or `inner_end` repeats the
// last: it is multiplied into results that nobody stores, or not multiplied at all.
void OPERAND(fetch)(uint origin, uvec2 strides, uint line, uint lines, uint inner, uint inner_end) {
    [[unroll]] for (uint own = 0; own < OPERAND(OWN); own++) {
        [[unroll]] for (uint part = 0; part < (OPERAND_FOURS ? 1 : 4); part++) {
            uint number = gl_LocalInvocationID.x + (OPERAND_FOURS ? own : own * 4 + part) * THREADS;
            if (OPERAND(EVEN) || number < OPERAND(TOTAL) * (OPERAND_FOURS ? 1 : 4)) {
                uvec2 at = uvec2(line, inner) + OPERAND(within)(number, OPERAND_FOURS);
                if (!ALIGNED) {
                    uvec2 step = OPERAND_FOURS ? (OPERAND_ALONG_INNER ? uvec2(1, 4) : uvec2(4, 1)) : uvec2(1, 1);
                    at = min(at, uvec2(lines, inner_end) - step);
                }
                uint position = origin + at.x * strides.x + at.y * strides.y;
#ifdef HAS_FOURS
                if (OPERAND_FOURS) {
                    OPERAND(next)[own] = LOAD4(OPERAND(fours)[position / 4]);
                } else {
                    OPERAND(next)[own][part] = LOAD(OPERAND(elements)[position]);
                }
#else
                OPERAND(next)[own][part] = LOAD(OPERAND(elements)[position]);
#endif
            }
        }
    }
}

// Writes the registers to a stage of shared memory. Components are stored one by one: neighbours belong to other threads.
void OPERAND(put)(uint stage) {
    uint base = stage * (DEPTH * OPERAND(PITCH));
    [[unroll]] for (uint own = 0; own < OPERAND(OWN); own++) {
        if (OPERAND_FOURS) {
            uint number = gl_LocalInvocationID.x + own * THREADS;
            if (OPERAND(EVEN) || number < OPERAND(TOTAL)) {
                uvec2 at = OPERAND(within)(number, true);
                uint place = base + at.y * OPERAND(PITCH) + at.x / 4;
                if (OPERAND_ALONG_INNER) {
                    [[unroll]] for (uint part = 0; part < 4; part++) {
                        OPERAND(tile)[place + part * OPERAND(PITCH)][at.x % 4] = OPERAND(next)[own][part];
                    }
                } else {
                    OPERAND(tile)[place] = OPERAND(next)[own];
                }
            }
        } else {
            [[unroll]] for (uint part = 0; part < 4; part++) {
                uint number = gl_LocalInvocationID.x + (own * 4 + part) * THREADS;
                if (OPERAND(EVEN) || number < OPERAND(TOTAL) * 4) {
                    uvec2 at = OPERAND(within)(number, false);
                    OPERAND(tile)[base + at.y * OPERAND(PITCH) + at.x / 4][at.x % 4] = OPERAND(next)[own][part];
                }
            }
        }
    }
}
