/* The position of columns in the host's arrays. */
#include "wrf/wrf_patch.h"

#include <math.h>

#define ARGUMENT(symbol, name, units, argument) ARG_##argument
const int sciml_input_profile_arguments[] = {SCIML_INPUT_PROFILE_FIELDS(ARGUMENT)};
const int sciml_input_surface_arguments[] = {SCIML_INPUT_SURFACE_FIELDS(ARGUMENT)};
const int sciml_output_profile_arguments[] = {SCIML_OUTPUT_PROFILE_FIELDS(ARGUMENT)};
const int sciml_output_surface_arguments[] = {SCIML_OUTPUT_SURFACE_FIELDS(ARGUMENT)};
const int sciml_rate_arguments[] = {SCIML_RATE_FIELDS(ARGUMENT)};

int sciml_tile_wants_rates(const sciml_tile *t) {
    int wanted = argument_integer(t->a, ARG_kf_edrates) == 1 && t->a[ARG_timec];
    for (int n = 0; n < SCIML_RATES; n++)
        wanted = wanted && t->a[sciml_rate_arguments[n]];
    return wanted;
}

sciml_tile sciml_tile_of(void *const a[]) {
    const ptrdiff_t wide = argument_integer(a, ARG_ime) - argument_integer(a, ARG_ims) + 1;
    const ptrdiff_t deep = argument_integer(a, ARG_kme) - argument_integer(a, ARG_kms) + 1;
    const int its = argument_integer(a, ARG_its), jts = argument_integer(a, ARG_jts);
    const ptrdiff_t i = its - argument_integer(a, ARG_ims), j = jts - argument_integer(a, ARG_jms);
    const ptrdiff_t k = argument_integer(a, ARG_kts) - argument_integer(a, ARG_kms);
    return (sciml_tile){
        .a = a,
        .ni = argument_integer(a, ARG_ite) - its + 1,
        .nj = argument_integer(a, ARG_jte) - jts + 1,
        .nk = argument_integer(a, ARG_kte) - argument_integer(a, ARG_kts) + 1,
        .i0 = its - argument_integer(a, ARG_ids),
        .j0 = jts - argument_integer(a, ARG_jds),
        .s3 = {1, wide, wide * deep},
        .s2 = {1, wide},
        .at3 = i + wide * (k + deep * j),
        .at2 = i + wide * j,
        .step = argument_integer(a, ARG_ktau),
        .dx = argument_real(a, ARG_dx),
        .dt = argument_real(a, ARG_dt),
        .cudt = argument_real(a, ARG_cudt),
    };
}

/* As in sciml/columns/classes.py: CUTOP lies above the lowest level where something triggered, shallow
 * columns are held for CUDT and have no rain. */
int sciml_tile_kind(const sciml_tile *t, int32_t i, int32_t j) {
    const float top = *tile_surface(t, ARG_cutop, i, j), rain = *tile_surface(t, ARG_pratec, i, j);
    const float left = *tile_surface(t, ARG_nca, i, j);
    if (!isgreater(top, (float)argument_integer(t->a, ARG_kts))) return 0;
    return isgreater(rain, 0.0f) || !islessequal(fabsf(left - 60.0f * t->cudt), 0.5f) ? 2 : 1;
}
