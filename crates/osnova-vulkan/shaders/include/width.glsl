// MOVED: an element of WIDTH bits that is moved and not read. Eight bytes are a pair of words, so that no device lacks them.
#if WIDTH == 8
#define MOVED uint8_t
#elif WIDTH == 16
#define MOVED uint16_t
#elif WIDTH == 32
#define MOVED uint
#else
#define MOVED uvec2
#endif
