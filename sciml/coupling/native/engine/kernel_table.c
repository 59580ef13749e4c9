/* The kernels of this build, and the choice among them. */
#define _GNU_SOURCE
#include "engine/kernel_table.h"

#include <string.h>
#if defined(SCIML_AMX) && defined(__linux__)
#    include <cpuid.h>
#    include <sys/syscall.h>
#    include <unistd.h>
#endif

/* The build defines SCIML_AVX2, SCIML_AVX512, SCIML_VNNI and SCIML_AMX when the compiler knows the
 * instruction sets, each of which contains the ones before it. */
extern const sciml_kernel sciml_f32_baseline, sciml_f64_baseline, sciml_r32_baseline, sciml_r64_baseline;
#ifdef SCIML_AVX2
extern const sciml_kernel sciml_f32_avx2, sciml_f64_avx2, sciml_r32_avx2, sciml_r64_avx2;
#endif
#ifdef SCIML_AVX512
extern const sciml_kernel sciml_f32_avx512, sciml_f64_avx512;
#endif
#ifdef SCIML_VNNI
extern const sciml_kernel sciml_r32_avx512, sciml_r64_avx512;
#endif
#ifdef SCIML_AMX
extern const sciml_kernel sciml_r32_amx, sciml_r64_amx;
#endif

/* VNNI: AVX-512 with its instructions of bytes, of 16-bit numbers and of shorter vectors too. */
enum isa { BASELINE, AVX2, AVX512, VNNI, AMX };

/* A new weight format is a row for each precision and instruction set that has a kernel for it. Of the rows
 * that fit, the first is taken: the best instruction set stands first. */
static const struct {
    int bits;
    enum isa isa;
    enum sciml_weight_format format;
    const sciml_kernel *kernel;
} table[] = {
#ifdef SCIML_AMX
    {32, AMX, SCIML_WEIGHTS_REDUCED, &sciml_r32_amx},
    {64, AMX, SCIML_WEIGHTS_REDUCED, &sciml_r64_amx},
#endif
#ifdef SCIML_VNNI
    {32, VNNI, SCIML_WEIGHTS_REDUCED, &sciml_r32_avx512},
    {64, VNNI, SCIML_WEIGHTS_REDUCED, &sciml_r64_avx512},
#endif
#ifdef SCIML_AVX512
    {32, AVX512, SCIML_WEIGHTS_FLOAT, &sciml_f32_avx512},
    {64, AVX512, SCIML_WEIGHTS_FLOAT, &sciml_f64_avx512},
#endif
#ifdef SCIML_AVX2
    {32, AVX2, SCIML_WEIGHTS_FLOAT, &sciml_f32_avx2},
    {64, AVX2, SCIML_WEIGHTS_FLOAT, &sciml_f64_avx2},
    {32, AVX2, SCIML_WEIGHTS_REDUCED, &sciml_r32_avx2},
    {64, AVX2, SCIML_WEIGHTS_REDUCED, &sciml_r64_avx2},
#endif
    {32, BASELINE, SCIML_WEIGHTS_FLOAT, &sciml_f32_baseline},
    {64, BASELINE, SCIML_WEIGHTS_FLOAT, &sciml_f64_baseline},
    {32, BASELINE, SCIML_WEIGHTS_REDUCED, &sciml_r32_baseline},
    {64, BASELINE, SCIML_WEIGHTS_REDUCED, &sciml_r64_baseline},
};

/* Whether the processor has tiles of integers and bfloat16, and the system lets this process use them. */
static int has_tiles(void) {
#if defined(SCIML_AMX) && defined(__linux__)
    enum {
        REQUEST_PERMISSION = 0x1023,
        TILE_DATA = 18,
        TILES = 1 << 24,
        BYTES = 1 << 25,
        BFLOAT16 = 1 << 22
    };
    const unsigned wanted = TILES | BYTES | BFLOAT16;
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & wanted) != wanted) return 0;
    if (!__builtin_cpu_supports("avx512bf16")) return 0;
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return 0;
#endif
}

/* The best instruction set of this processor. */
static enum isa processor_isa(void) {
#ifdef SCIML_AVX2
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return BASELINE;
    if (!__builtin_cpu_supports("avx512f")) return AVX2;
    if (!__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512vnni"))
        return AVX512;
    return has_tiles() ? AMX : VNNI;
#else
    return BASELINE;
#endif
}

static enum isa isa_limit(const char *name) {
    static const char *const names[] = {"baseline", "avx2", "avx512"};
    static const enum isa limits[] = {BASELINE, AVX2, VNNI};
    for (int n = 0; n < 3; n++)
        if (name && strcmp(name, names[n]) == 0) return limits[n];
    return AMX;
}

const sciml_kernel *sciml_kernel_for(int bits, const char *isa, enum sciml_weight_format format) {
    const enum isa limit = isa_limit(isa), processor = processor_isa();
    for (size_t n = 0; n < sizeof table / sizeof *table; n++)
        if (table[n].bits == bits && table[n].format == format && table[n].isa <= limit &&
            table[n].isa <= processor)
            return table[n].kernel;
    return NULL;
}
