/* A tile of the host's arrays, as one call of the scheme gives it. */
#ifndef SCIML_WRF_PATCH_H
#define SCIML_WRF_PATCH_H

#include "mskf/fields.h"
#include "sciml_mskf.h"
#include "wrf/sciml_mskf_arguments.h"

#include <stddef.h>
#include <stdint.h>

typedef struct sciml_tile {
    void *const *a;
    int32_t ni, nj, nk; /* columns along i and j, levels */
    int32_t i0, j0;     /* indices of the first column in the domain, from 0 */
    ptrdiff_t s3[3], s2[2];
    ptrdiff_t at3, at2; /* of (its,kts,jts) and (its,jts) in the arrays */
    int32_t step;
    float dx, dt, cudt;
} sciml_tile;

sciml_tile sciml_tile_of(void *const a[]);

/* The address of the column (i, j) of the tile in argument n: its lowest level, or its only value. */
static inline float *tile_profile(const sciml_tile *t, int n, int32_t i, int32_t j) {
    return (float *)t->a[n] + t->at3 + i * t->s3[0] + j * t->s3[2];
}
static inline float *tile_surface(const sciml_tile *t, int n, int32_t i, int32_t j) {
    return (float *)t->a[n] + t->at2 + i * t->s2[0] + j * t->s2[1];
}

/* The arguments in the order of the enumerations in sciml_mskf.h; NOVELTY is none. */
extern const int sciml_input_profile_arguments[SCIML_INPUT_PROFILES];
extern const int sciml_input_surface_arguments[SCIML_INPUT_SURFACES];
extern const int sciml_output_profile_arguments[SCIML_OUTPUT_PROFILES];
extern const int sciml_output_surface_arguments[SCIML_SCHEME_SURFACES];

/* By enum sciml_rate; and whether the host asks for them (kf_edrates) and has arrays for all. */
extern const int sciml_rate_arguments[SCIML_RATES];
int sciml_tile_wants_rates(const sciml_tile *tile);

/* The class of a column that the host's scheme has just evaluated: 0 none, 1 shallow, 2 deep. */
int sciml_tile_kind(const sciml_tile *tile, int32_t i, int32_t j);

#endif
