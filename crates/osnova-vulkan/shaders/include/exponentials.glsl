// The maximum of a row and Σ e^(x − maximum), with the row read once.
//
// Include after rows.glsl and math.glsl, and define first
//   ROW_ELEMENT(index)   an element of this team's row, as COMPUTED
//   KEEPS_EXPONENTIALS   whether `kept` holds e^(x − maximum); else it holds x − maximum
// A row that holds NaN or ∞, or nothing but −∞, has a sum of NaN: as ∞ − ∞ makes it where the parts are computed one by one.

// What this thread keeps of the row, where KEPT > 0.
COMPUTED kept[MOST_KEPT];
COMPUTED row_maximum;
COMPUTED row_total;

// NaN counts as infinite: then neither the maximum nor the total is a number.
COMPUTED at_least(COMPUTED x, COMPUTED y) {
    return max(x, is_nan(y) ? COMPUTED(INFINITY) : y);
}

// `size` is 0 for a team without a row.
void summarise_row(uint size) {
    uint member = team_member();
    COMPUTED largest = -INFINITY;
    COMPUTED sum = COMPUTED(0);
    if (KEPT > 0) {
        FOR_EACH_KEPT {
            uint index = member + step * TEAM;
            kept[step] = index < size ? ROW_ELEMENT(index) : -INFINITY;
        }
        FOR_EACH_KEPT {
            largest = at_least(largest, kept[step]);
        }
        largest = row_max(largest);
        FOR_EACH_KEPT {
            COMPUTED exponential = m_exp(kept[step] - largest);
            sum += exponential;
            kept[step] = KEEPS_EXPONENTIALS ? exponential : kept[step] - largest;
        }
        sum = row_sum(sum);
    } else {
        // Milakov & Gimelshein 2018: what was summed is scaled when a larger element comes.
        for (uint base = member; base < size; base += TEAM * CHUNK) {
            COMPUTED x[CHUNK];
            COMPUTED top = largest;
            [[unroll]] for (uint step = 0; step < CHUNK; step++) {
                uint index = base + step * TEAM;
                x[step] = index < size ? ROW_ELEMENT(index) : -INFINITY;
            }
            [[unroll]] for (uint step = 0; step < CHUNK; step++) {
                top = at_least(top, x[step]);
            }
            // Nothing but −∞ so far: a total of 0.
            COMPUTED shift = top == -INFINITY ? COMPUTED(0) : top;
            sum *= m_exp(largest - shift);
            [[unroll]] for (uint step = 0; step < CHUNK; step++) {
                sum += m_exp(x[step] - shift);
            }
            largest = top;
        }
        COMPUTED top = row_max(largest);
        sum = row_sum(largest == -INFINITY ? COMPUTED(0) : sum * m_exp(largest - top));
        largest = top;
    }
    row_maximum = largest;
    row_total = is_finite(largest) ? sum : NOT_A_NUMBER;
}
