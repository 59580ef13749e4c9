/* Read the emulator's part of a weights file. */
#include "mskf/emulator.h"
#include "engine/arena.h"
#include "engine/message.h"
#include "engine/netcdf_reader.h"

#include <math.h>
#include <string.h>

/* An array of the weights file, and its destination. */
typedef struct wanted {
    const char *name;
    uint32_t rank, shape[2];
    double **to;
    int inverted; /* 1: stored as its reciprocal */
} wanted;

static int take(const sciml_cdf *file, const wanted *want, char *message, size_t length) {
    const cdf_variable *v = sciml_cdf_variable(file, want->name);
    if (!v || (v->type != CDF_FLOAT && v->type != CDF_DOUBLE))
        return sciml_say(SCIML_SCHEMA, message, length,
                         "the weights file has no array of numbers `%s`: export it again", want->name);
    int fits = v->rank == want->rank;
    for (uint32_t r = 0; fits && r < want->rank; r++)
        fits = v->shape[r] == want->shape[r];
    if (!fits)
        return sciml_say(SCIML_SHAPE, message, length,
                         "`%s` in the weights file does not have the shape that its emulator needs: export "
                         "it again with the same version of sciml as the library",
                         want->name);
    double *d = sciml_take(sizeof *d * (size_t)v->count);
    if (!d) return sciml_say(SCIML_MEMORY, message, length, "no memory for `%s`", want->name);
    *want->to = d;
    for (uint64_t i = 0; i < v->count; i++) {
        const double x = v->type == CDF_FLOAT ? (double)sciml_cdf_float(v->values + 4 * i)
                                              : sciml_cdf_double(v->values + 8 * i);
        d[i] = want->inverted ? 1.0 / x : x;
        if (!isfinite(d[i]))
            return sciml_say(SCIML_SHAPE, message, length,
                             "`%s` in the weights file has a value that is not finite or, as a scale, zero: "
                             "train again",
                             want->name);
    }
    return SCIML_OK;
}

static int whole_number(const sciml_cdf *file, const char *name, int32_t low, int32_t high, int32_t *value,
                        char *message, size_t length) {
    const int status = sciml_cdf_integer(file, name, value, message, length);
    if (!status && (*value < low || *value > high))
        return sciml_say(SCIML_SHAPE, message, length,
                         "`%s` is %d in the weights file; this library takes %d to %d", name, *value, low,
                         high);
    return status;
}

/* A scalar attribute; NaN where it is missing. */
static double real_attribute(const sciml_cdf *file, const char *name) {
    const cdf_attribute *a = sciml_cdf_attribute(file, name);
    if (!a || a->count != 1) return NAN;
    return a->type == CDF_DOUBLE  ? sciml_cdf_double(a->values)
           : a->type == CDF_FLOAT ? (double)sciml_cdf_float(a->values)
           : a->type == CDF_INT   ? (double)sciml_cdf_int(a->values)
                                  : NAN;
}

/* The constants that the network of the file was trained with. */
static int read_constants(const sciml_cdf *file, sciml_emulator *e, char *message, size_t length) {
    const struct {
        const char *name;
        double *to;
    } constants[] = {
        {"push_bound", &e->push_bound},
        {"clip", &e->clip},
        {"distance", &e->distance},
    };
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
        const double x = real_attribute(file, constants[i].name);
        if (isnan(x))
            return sciml_say(
                SCIML_SCHEMA, message, length,
                "the weights file has no number `%s`: write it again with `sciml coupling export`",
                constants[i].name);
        if (!isfinite(x) || !isgreater(x, 0))
            return sciml_say(
                SCIML_SHAPE, message, length,
                "`%s` is %g in the weights file, which is not a positive finite number: write it "
                "again with `sciml coupling export`",
                constants[i].name, x);
        *constants[i].to = x;
    }
    return SCIML_OK;
}

int sciml_emulator_load(const sciml_cdf *file, const sciml_network *net, sciml_emulator **emulator,
                        char *message, size_t length) {
    *emulator = NULL;
    if (net->channels != SCIML_CHANNELS + SCIML_FEATURE_SCALARS || net->outputs != 1 || net->pooled != 0 ||
        net->hidden > SCIML_MOST_HIDDEN)
        return sciml_say(SCIML_SHAPE, message, length,
                         "the emulator's network has %d inputs, %d outputs and %d hidden units; this library "
                         "computes %d features for 1 output and at most %d hidden units: export it again",
                         net->channels, net->outputs, net->hidden, SCIML_CHANNELS + SCIML_FEATURE_SCALARS,
                         SCIML_MOST_HIDDEN);
    sciml_emulator *e = sciml_aligned(sizeof *e);
    if (!e) return sciml_say(SCIML_MEMORY, message, length, "no memory for the emulator");
    memset(e, 0, sizeof *e);
    int status = whole_number(file, "layers_below", 1, SCIML_MOST_LAYERS / 2, &e->below, message, length);
    if (!status)
        status = whole_number(file, "layers_cloud", 1, SCIML_MOST_LAYERS / 2, &e->cloud, message, length);
    if (!status) status = whole_number(file, "pooled_units", 1, SCIML_MAX_WIDTH, &e->pooled, message, length);
    const uint32_t k = (uint32_t)(e->below + e->cloud), c = SCIML_CHANNELS, s = SCIML_FEATURE_SCALARS;
    const uint32_t units = (uint32_t)e->pooled, width = 2 * (uint32_t)net->hidden + s;
    double *enthalpy = NULL;
    const wanted arrays[] = {
        {"normalisation.mean", 2, {k, c}, &e->mean, 0},
        {"normalisation.scale", 2, {k, c}, &e->per_scale, 1},
        {"normalisation.middle", 2, {k, c}, &e->middle, 0},
        {"normalisation.reach", 2, {k, c}, &e->per_reach, 1},
        {"normalisation.reach", 2, {k, c}, &e->reach, 0},
        {"normalisation.scalar_mean", 1, {s}, &e->scalar_mean, 0},
        {"normalisation.scalar_scale", 1, {s}, &e->scalar_per_scale, 1},
        {"normalisation.scalar_middle", 1, {s}, &e->scalar_middle, 0},
        {"normalisation.scalar_reach", 1, {s}, &e->scalar_per_reach, 1},
        {"normalisation.scalar_reach", 1, {s}, &e->scalar_reach, 0},
        {"summary.weight", 2, {units, width}, &e->pool, 0},
        {"summary.bias", 1, {units}, &e->pool_bias, 0},
        {"column.weight", 2, {2, units}, &e->column, 0},
        {"column.bias", 1, {2}, &e->column_bias, 0},
        {"enthalpy", 1, {2}, &enthalpy, 0},
    };
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays && !status; i++)
        status = take(file, &arrays[i], message, length);
    if (!status) status = read_constants(file, e, message, length);
    e->log_error = real_attribute(file, "log_error");
    if (!status && !isfinite(e->log_error))
        status = sciml_say(SCIML_SCHEMA, message, length,
                           "the weights file has no finite number `log_error`: write it again with `sciml "
                           "coupling export`");
    const char *const trained[3][2] = {{"trained_dx_low", "trained_dx_high"},
                                       {"trained_dt_low", "trained_dt_high"},
                                       {"trained_cudt_low", "trained_cudt_high"}};
    for (int n = 0; n < 6; n++)
        e->trained[n / 2][n % 2] = real_attribute(file, trained[n / 2][n % 2]);
    if (!status) {
        e->enthalpy[0] = enthalpy[0];
        e->enthalpy[1] = enthalpy[1];
        sciml_tables_fill(&e->tables);
        *emulator = e;
    } else {
        sciml_emulator_free(e);
    }
    sciml_give(enthalpy);
    return status;
}

void sciml_emulator_free(sciml_emulator *e) {
    if (!e) return;
    double *const owned[] = {e->mean,        e->per_scale,        e->middle,        e->per_reach,
                             e->scalar_mean, e->scalar_per_scale, e->scalar_middle, e->scalar_per_reach,
                             e->reach,       e->scalar_reach,     e->pool,          e->pool_bias,
                             e->column,      e->column_bias};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        sciml_give(owned[i]);
    sciml_give(e);
}
