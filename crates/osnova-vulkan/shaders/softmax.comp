//@ softmax_f32 DTYPE_F32
//@ softmax_f16 DTYPE_F16
//@ softmax_bf16 DTYPE_BF16
//@ softmax_f64 DTYPE_F64
#version 460
#extension GL_GOOGLE_include_directive : require
// Softmax and its logarithm along an axis. A row is what shares its other indices. Words: number of rows, their size, stride of the
// input along them, start of the output, its stride along rows (the size of all axes after this one), walk of the rows' first elements
// in the input. The output is row-major; it may be the input, since each thread writes the elements that it alone has read.
#define INPUTS 1
#define WALK 5
#include "include/interface.glsl"
#include "include/dtype.glsl"
#include "include/numbers.glsl"
#include "include/math.glsl"
#include "include/strided.glsl"
#include "include/workgroup.glsl"
#include "include/rows.glsl"

layout(constant_id = 14) const bool LOGARITHM = false;

layout(std430, set = 0, binding = 0) buffer Output {
    STORED result[];
};
layout(std430, set = 0, binding = 1) readonly buffer Input {
    STORED values[];
};

uint source;

#define ROW_ELEMENT(index) LOAD(values[source + (index) * word(2)])
#define KEEPS_EXPONENTIALS (!LOGARITHM)
#include "include/exponentials.glsl"

void main() {
    uint rows = word(0);
    uint inner = word(4);
    uint member = team_member();
    FOR_EACH_ROW(rows) {
        uint row = first_row + team_number();
        uint size = row < rows ? word(1) : 0;
        uint at[INPUTS];
        locate(row, at);
        source = at[0];
        uint target = word(3) + row / inner * (word(1) * inner) + row % inner;
        summarise_row(size);
        COMPUTED scale = LOGARITHM ? m_ln(row_total) : divide(COMPUTED(1), row_total);
        for (uint base = member; base < size; base += TEAM * AT_A_TIME) {
            COMPUTED x[MOST_KEPT];
            FOR_EACH_AT_A_TIME {
                uint index = base + step * TEAM;
                x[step] = KEPT > 0 ? kept[step] : index < size ? ROW_ELEMENT(index) - row_maximum : COMPUTED(0);
            }
            FOR_EACH_AT_A_TIME {
                uint index = base + step * TEAM;
                COMPUTED value = LOGARITHM ? x[step] - scale : (KEPT > 0 ? x[step] : m_exp(x[step])) * scale;
                if (index < size) {
                    result[target + index * inner] = STORE(value);
                }
            }
        }
    }
}
