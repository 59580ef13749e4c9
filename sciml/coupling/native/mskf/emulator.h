/* The emulator's part of a weights file, and the interface of the physics around the network. */
#ifndef SCIML_EMULATOR_H
#define SCIML_EMULATOR_H

#include "engine/lstm_kernel.h"
#include "mskf/column_arrays.h"
#include "mskf/tables.h"

/* The features of sciml/convection/features.py: by level, and of the column. */
#define SCIML_CHANNELS 14
#define SCIML_FEATURE_SCALARS 14
#define SCIML_MOST_HIDDEN 256 /* of the emulator's network, a direction */
#define SCIML_LEAST_LEVELS 20 /* of the columns */
#define SCIML_MOST_LAYERS 128 /* of the plume's coordinate */

typedef struct sciml_emulator {
    sciml_tables tables;
    int32_t below, cloud; /* layers of the plume's coordinate below the cloud's base, and in the cloud */
    int32_t pooled;       /* units between the mean state and the column's two numbers */
    double enthalpy[2];   /* bounds of the enthalpy imbalance over the absolute heating */
    /* Constants of the network (sciml/convection/network.py and feature_scaling.py). */
    double push_bound; /* m/s over one layer */
    double clip;       /* of a standardised feature */
    double log_error;  /* logarithm of the expected error at which a column is novel */
    double distance;   /* distance from the training range, in half its width, at which a column is novel */
    double trained[3][2]; /* least and greatest DX (m), DT (s), CUDT (min) of the training; NaN: not in the
                             file */
    /* standardised = (feature - mean) * per_scale; novelty = |standardised - middle| * per_reach;
     * (below + cloud, SCIML_CHANNELS) and (SCIML_FEATURE_SCALARS) */
    double *mean, *per_scale, *middle, *reach, *per_reach;
    double *scalar_mean, *scalar_per_scale, *scalar_middle, *scalar_reach, *scalar_per_reach;
    double *pool, *pool_bias; /* (pooled, 2 hidden + scalars), (pooled) */
    double *column,
        *column_bias; /* (2, pooled), (2): logit of the trigger, logarithm of the expected error */
} sciml_emulator;

/* The strides of the outputs, as in sciml_mskf_domain. */
typedef struct sciml_places {
    ptrdiff_t s3[3], s2[2];
} sciml_places;

/* One call, as every thread sees it. */
typedef struct sciml_call {
    const sciml_emulator *emulator;
    const sciml_network *network;
    const sciml_kernel *kernel;
    const sciml_columns *columns;
    sciml_places out;
} sciml_call;

/* The physics compiled for one instruction set. */
typedef struct sciml_physics {
    const char *isa;
    /* Bytes of scratch for one thread. */
    size_t (*scratch)(const sciml_call *call);
    /* Columns [first, first + count), count <= SCIML_CHUNK, counted i fastest; the number of columns
     * that were not sound. */
    int64_t (*run)(const sciml_call *call, int64_t first, int64_t count, void *scratch);
    /* See probe.h; all columns of the call. */
    void (*probe)(const sciml_call *call, const double *strength, const double *push, double *profiles,
                  double *scalars, void *scratch);
} sciml_physics;
#define SCIML_CHUNK 1024

struct sciml_cdf;
/* Read the emulator's part of a weights file whose network is loaded; NULL in *emulator on failure. */
int sciml_emulator_load(const struct sciml_cdf *file, const sciml_network *net, sciml_emulator **emulator,
                        char *message, size_t length);
void sciml_emulator_free(sciml_emulator *emulator);

#endif
