// What every kernel shares: extensions, the workgroup, the device's constants, the metadata.
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_8bit_storage : enable
#extension GL_EXT_shader_16bit_storage : enable
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : enable

// Decided by the device; see `pipeline.rs`.
layout(constant_id = 0) const bool SPILLED = false;
// Arithmetic takes subnormal numbers for 0.
layout(constant_id = 1) const bool FLUSHES_SUBNORMALS = false;
// Conversions to half precision round to nearest.
layout(constant_id = 2) const bool ROUNDS_HALF = false;
layout(constant_id = 3) const uint SUBGROUP_SIZE = 32;

// A kernel with another workgroup defines its size before it includes this; one that leaves it to a specialisation constant,
// the constant's id as THREADS_ID (and THREADS by itself).
#ifdef THREADS_ID
layout(local_size_x = 256, local_size_x_id = THREADS_ID) in;
#else
#ifndef THREADS
#define THREADS 256
#endif
layout(local_size_x = THREADS) in;
#endif

layout(push_constant) uniform Push {
    uint push_words[32];
};
layout(std430, set = 0, binding = 7) readonly buffer Spill {
    uint spill_words[];
};

// The metadata of the dispatch: 128 bytes are pushed, more stand in a buffer.
uint word(uint index) {
    return SPILLED ? spill_words[index] : push_words[index];
}
