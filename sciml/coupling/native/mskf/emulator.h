/* The emulator's part of a weights file, and the interface of the physics around the network. */
#ifndef SCIML_EMULATOR_H
#define SCIML_EMULATOR_H

#include "engine/lstm_kernel.h"
#include "mskf/column_arrays.h"
#include "mskf/tables.h"

/* The features of sciml/convection/features.py: by level, and of the column. */
#define SCIML_CHANNELS 14
#define SCIML_FEATURE_SCALARS 14
#define SCIML_MOST_HIDDEN 256  /* of the emulator's network, a direction */
#define SCIML_LEAST_LEVELS 20  /* of the columns */
#define SCIML_MOST_OUTPUTS 256 /* of the network at a layer */
#define SCIML_MOST_LAYERS 128  /* of the network's coordinate */

/* The inputs of sciml/convection/prepared_profiles.py, and the heads of layer_outputs.py. */
#define SCIML_PROFILE_CHANNELS 20
#define SCIML_PROFILE_SCALARS 35
#define SCIML_LAYER_HEADS 15  /* of each class */
#define SCIML_COLUMN_HEADS 10 /* of both classes, with three logits and the expected error */
#define SCIML_SCALES 6        /* of the tendencies and the rain */

/* The inputs and outputs of sciml/convection/published_bilstm.py. */
#define SCIML_RAW_CHANNELS 27
#define SCIML_RAW_OUTPUTS 8

/* The attribute `emulator` of the weights file. */
enum sciml_emulator_kind { SCIML_PLUME_CLOSURE, SCIML_BILSTM, SCIML_PUBLISHED, SCIML_EMULATOR_KINDS };

typedef struct sciml_emulator {
    sciml_tables tables;
    enum sciml_emulator_kind kind;
    int32_t channels, scalars, layers; /* of the network's inputs; layers 0: those of the host */
    int32_t least_levels;              /* of the columns */
    int32_t below, cloud; /* layers of the plume's coordinate below the cloud's base, and in the cloud */
    int32_t pooled;       /* units between the pooled state and the numbers of the column */
    double enthalpy[2];   /* bounds of the enthalpy imbalance over the absolute heating */
    /* Constants of the network (sciml/convection/network.py and feature_scaling.py). */
    double push_bound; /* m/s over one layer */
    double clip;       /* of a standardised feature */
    double log_error;  /* logarithm of the expected error at which a column is novel */
    double distance;   /* distance from the training range, in half its width, at which a column is novel */
    double trained[3][2]; /* least and greatest DX (m), DT (s), CUDT (min) of the training; NaN: not in the
                             file */
    /* standardised = (feature - mean) * per_scale; novelty = |standardised - middle| * per_reach;
     * (layers, channels) and (scalars) */
    double *mean, *per_scale, *middle, *reach, *per_reach;
    double *scalar_mean, *scalar_per_scale, *scalar_middle, *scalar_reach, *scalar_per_reach;
    double *pool, *pool_bias; /* (pooled, 2 hidden + scalars), (pooled); 4 hidden of the pure network */
    /* (2, pooled), (2): logit of the trigger, logarithm of the expected error; of the pure network
     * (SCIML_COLUMN_HEADS, pooled) */
    double *column, *column_bias;
    /* of the pure network: pressure depths in units of the surface pressure (layers + 1); from the column's
     * units and from those of a layer to its heads, (outputs, pooled), (2 SCIML_LAYER_HEADS, outputs) and its
     * biases; scales of the tendencies and the rain of each class, (2, SCIML_SCALES) */
    double *edges, *shared, *level, *level_bias, *scale;
    /* of the published network: reciprocals of the sizes of its inputs, and sizes of its outputs */
    double *per_size, *output_size;
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
