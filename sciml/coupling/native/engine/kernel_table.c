/* The kernels of this build, and the choice among them. */
#include "engine/kernel_table.h"

#include <string.h>

/* The build defines SCIML_X86 when it has compiled the kernel for the instruction sets of x86-64. */
extern const sciml_kernel sciml_f32_baseline, sciml_f64_baseline;
#ifdef SCIML_X86
extern const sciml_kernel sciml_f32_avx2, sciml_f64_avx2;
extern const sciml_kernel sciml_f32_avx512, sciml_f64_avx512;
#endif

enum isa { BASELINE, AVX2, AVX512 };

/* A new weight format is a row for each precision and instruction set that has a kernel for it. Of the rows
 * that fit, the first is taken: the best instruction set stands first. */
static const struct {
    int bits;
    enum isa isa;
    enum sciml_weight_format format;
    const sciml_kernel *kernel;
} table[] = {
#ifdef SCIML_X86
    {32, AVX512, SCIML_WEIGHTS_FLOAT, &sciml_f32_avx512},
    {64, AVX512, SCIML_WEIGHTS_FLOAT, &sciml_f64_avx512},
    {32, AVX2, SCIML_WEIGHTS_FLOAT, &sciml_f32_avx2},
    {64, AVX2, SCIML_WEIGHTS_FLOAT, &sciml_f64_avx2},
#endif
    {32, BASELINE, SCIML_WEIGHTS_FLOAT, &sciml_f32_baseline},
    {64, BASELINE, SCIML_WEIGHTS_FLOAT, &sciml_f64_baseline},
};

/* The best instruction set of this processor. */
static enum isa processor_isa(void) {
#ifdef SCIML_X86
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return BASELINE;
    return __builtin_cpu_supports("avx512f") ? AVX512 : AVX2;
#else
    return BASELINE;
#endif
}

static enum isa isa_limit(const char *name) {
    if (name && strcmp(name, "baseline") == 0) return BASELINE;
    return name && strcmp(name, "avx2") == 0 ? AVX2 : AVX512;
}

const sciml_kernel *sciml_kernel_for(int bits, const char *isa, enum sciml_weight_format format) {
    const enum isa limit = isa_limit(isa), processor = processor_isa();
    for (size_t n = 0; n < sizeof table / sizeof *table; n++)
        if (table[n].bits == bits && table[n].format == format && table[n].isa <= limit &&
            table[n].isa <= processor)
            return table[n].kernel;
    return NULL;
}
