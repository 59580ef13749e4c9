/* Read the emulator's part of a weights file. */
#include "mskf/emulator.h"
#include "engine/arena.h"
#include "engine/message.h"
#include "engine/packed_tensor.h"

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
    const int packed = v && (v->type == CDF_BYTE || v->type == CDF_SHORT);
    if (!v || (v->type != CDF_FLOAT && v->type != CDF_DOUBLE && !packed))
        return sciml_say(SCIML_SCHEMA, message, length,
                         "the weights file has no array of numbers `%s`: export it again", want->name);
    size_t count = 1;
    int fits = packed || v->rank == want->rank;
    for (uint32_t r = 0; fits && r < want->rank; r++) {
        fits = packed || v->shape[r] == want->shape[r];
        count *= want->shape[r];
    }
    if (!fits)
        return sciml_say(SCIML_SHAPE, message, length,
                         "`%s` in the weights file does not have the shape that its emulator needs: export "
                         "it again with the same version of sciml as the library",
                         want->name);
    const int status =
        sciml_read_tensor(file, want->name, want->rank, want->shape, want->to, message, length);
    double *d = *want->to;
    if (status) return status;
    for (size_t i = 0; i < count; i++) {
        if (want->inverted) d[i] = 1.0 / d[i];
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
        {"clip", &e->clip},
        {"distance", &e->distance},
        {"push_bound", &e->push_bound},
    };
    if (e->kind == SCIML_PUBLISHED) return SCIML_OK;
    e->log_error = real_attribute(file, "log_error");
    if (!isfinite(e->log_error))
        return sciml_say(
            SCIML_SCHEMA, message, length,
            "the weights file has no finite number `log_error`: write it again with `sciml coupling "
            "export`");
    for (size_t i = 0; i < (e->kind == SCIML_PLUME_CLOSURE ? 3 : 2); i++) {
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

static const char *const kinds[SCIML_EMULATOR_KINDS] = {
    [SCIML_PLUME_CLOSURE] = "plume-closure", [SCIML_BILSTM] = "bilstm", [SCIML_PUBLISHED] = "published"};

/* The number of an attribute's text among names, or -1. */
static int name_of(const cdf_attribute *a, const char *const *names, int count) {
    for (int n = 0; a && a->type == CDF_CHAR && n < count; n++)
        if (a->count == strlen(names[n]) && memcmp(a->values, names[n], a->count) == 0) return n;
    return -1;
}

static int read_kind(const sciml_cdf *file, sciml_emulator *e, char *message, size_t length) {
    static const char *const scheme[] = {"mskf"};
    const char *const names[] = {"scheme", "emulator"};
    const cdf_attribute *const a[] = {sciml_cdf_attribute(file, names[0]),
                                      sciml_cdf_attribute(file, names[1])};
    const int numbers[] = {name_of(a[0], scheme, 1), name_of(a[1], kinds, SCIML_EMULATOR_KINDS)};
    for (int n = 0; n < 2; n++)
        if (numbers[n] < 0) {
            const int shown = a[n] && a[n]->type == CDF_CHAR && a[n]->count < 40 ? (int)a[n]->count : 0;
            return sciml_say(
                SCIML_SCHEMA, message, length,
                "the attribute `%s` of the weights file is `%.*s`; this library runs %s: export an "
                "emulator of that with `sciml coupling export`",
                names[n], shown, shown ? (const char *)a[n]->values : "",
                n ? "plume-closure, bilstm and published" : "mskf");
        }
    e->kind = (enum sciml_emulator_kind)numbers[1];
    return SCIML_OK;
}

/* The sizes of the emulator's part of the file, and whether the network fits them. */
static int read_sizes(const sciml_cdf *file, const sciml_network *net, sciml_emulator *e, char *message,
                      size_t length) {
    static const int32_t channels[] = {SCIML_CHANNELS, SCIML_PROFILE_CHANNELS, SCIML_RAW_CHANNELS};
    static const int32_t scalars[] = {SCIML_FEATURE_SCALARS, SCIML_PROFILE_SCALARS, 0};
    const int32_t outputs = e->kind == SCIML_PLUME_CLOSURE ? 1
                            : e->kind == SCIML_PUBLISHED   ? SCIML_RAW_OUTPUTS
                                                           : net->outputs;
    const int32_t pooled = e->kind == SCIML_PUBLISHED;
    e->channels = channels[e->kind];
    e->scalars = scalars[e->kind];
    e->least_levels = e->kind == SCIML_PUBLISHED ? 1 : SCIML_LEAST_LEVELS;
    if (net->channels != e->channels + e->scalars || net->outputs != outputs || outputs < 1 ||
        outputs > SCIML_MOST_OUTPUTS || net->pooled != pooled || net->hidden > SCIML_MOST_HIDDEN)
        return sciml_say(
            SCIML_SHAPE, message, length,
            "the network of the %s emulator has %d inputs, %d and %d outputs and %d hidden units; this "
            "library computes %d features for %d and %d outputs and at most %d hidden units: export it "
            "again",
            kinds[e->kind], net->channels, net->outputs, net->pooled, net->hidden, e->channels + e->scalars,
            outputs, pooled, SCIML_MOST_HIDDEN);
    if (e->kind == SCIML_PUBLISHED) return SCIML_OK;
    int status = whole_number(file, "pooled_units", 1, SCIML_MAX_WIDTH, &e->pooled, message, length);
    if (e->kind == SCIML_BILSTM) {
        if (!status)
            status = whole_number(file, "layers_pressure", 1, SCIML_MOST_LAYERS, &e->layers, message, length);
        return status;
    }
    if (!status)
        status = whole_number(file, "layers_below", 1, SCIML_MOST_LAYERS / 2, &e->below, message, length);
    if (!status)
        status = whole_number(file, "layers_cloud", 1, SCIML_MOST_LAYERS / 2, &e->cloud, message, length);
    e->layers = e->below + e->cloud;
    return status;
}

static int read_arrays(const sciml_cdf *file, const sciml_network *net, sciml_emulator *e, double **enthalpy,
                       char *message, size_t length) {
    const int closure = 1 << SCIML_PLUME_CLOSURE, pure = 1 << SCIML_BILSTM, raw = 1 << SCIML_PUBLISHED;
    const uint32_t k = (uint32_t)e->layers, c = (uint32_t)e->channels, s = (uint32_t)e->scalars;
    const uint32_t units = (uint32_t)e->pooled,
                   states = (e->kind == SCIML_BILSTM ? 4 : 2) * (uint32_t)net->hidden;
    const uint32_t numbers = e->kind == SCIML_BILSTM ? SCIML_COLUMN_HEADS : 2, wide = (uint32_t)net->outputs;
    const struct {
        int kinds; /* that have it */
        wanted array;
    } arrays[] = {
        {closure | pure, {"normalisation.mean", 2, {k, c}, &e->mean, 0}},
        {closure | pure, {"normalisation.scale", 2, {k, c}, &e->per_scale, 1}},
        {closure | pure, {"normalisation.middle", 2, {k, c}, &e->middle, 0}},
        {closure | pure, {"normalisation.reach", 2, {k, c}, &e->per_reach, 1}},
        {closure | pure, {"normalisation.reach", 2, {k, c}, &e->reach, 0}},
        {closure | pure, {"normalisation.scalar_mean", 1, {s}, &e->scalar_mean, 0}},
        {closure | pure, {"normalisation.scalar_scale", 1, {s}, &e->scalar_per_scale, 1}},
        {closure | pure, {"normalisation.scalar_middle", 1, {s}, &e->scalar_middle, 0}},
        {closure | pure, {"normalisation.scalar_reach", 1, {s}, &e->scalar_per_reach, 1}},
        {closure | pure, {"normalisation.scalar_reach", 1, {s}, &e->scalar_reach, 0}},
        {closure | pure, {"summary.weight", 2, {units, states + s}, &e->pool, 0}},
        {closure | pure, {"summary.bias", 1, {units}, &e->pool_bias, 0}},
        {closure | pure, {"column.weight", 2, {numbers, units}, &e->column, 0}},
        {closure | pure, {"column.bias", 1, {numbers}, &e->column_bias, 0}},
        {closure, {"enthalpy", 1, {2}, enthalpy, 0}},
        {pure, {"edges", 1, {k + 1}, &e->edges, 0}},
        {pure, {"shared.weight", 2, {wide, units}, &e->shared, 0}},
        {pure, {"level.weight", 2, {2 * SCIML_LAYER_HEADS, wide}, &e->level, 0}},
        {pure, {"level.bias", 1, {2 * SCIML_LAYER_HEADS}, &e->level_bias, 0}},
        {pure, {"output_scale", 2, {2, SCIML_SCALES}, &e->scale, 0}},
        {raw, {"normalisation.size", 1, {c}, &e->per_size, 1}},
        {raw, {"output_size", 1, {wide}, &e->output_size, 0}},
    };
    int status = SCIML_OK;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays && !status; i++)
        if (arrays[i].kinds >> e->kind & 1) status = take(file, &arrays[i].array, message, length);
    for (int32_t i = 0; e->edges && !status && i <= e->layers; i++)
        if (i ? !isgreater(e->edges[i], e->edges[i - 1]) : e->edges[0] != 0.0)
            status = sciml_say(SCIML_SHAPE, message, length,
                               "`edges` in the weights file do not ascend from 0: export it again");
    return status;
}

int sciml_emulator_load(const sciml_cdf *file, const sciml_network *net, sciml_emulator **emulator,
                        char *message, size_t length) {
    *emulator = NULL;
    sciml_emulator *e = sciml_aligned(sizeof *e);
    if (!e) return sciml_say(SCIML_MEMORY, message, length, "no memory for the emulator");
    memset(e, 0, sizeof *e);
    double *enthalpy = NULL;
    int status = read_kind(file, e, message, length);
    if (!status) status = read_sizes(file, net, e, message, length);
    if (!status) status = read_arrays(file, net, e, &enthalpy, message, length);
    if (!status) status = read_constants(file, e, message, length);
    const char *const trained[3][2] = {{"trained_dx_low", "trained_dx_high"},
                                       {"trained_dt_low", "trained_dt_high"},
                                       {"trained_cudt_low", "trained_cudt_high"}};
    for (int n = 0; n < 6; n++)
        e->trained[n / 2][n % 2] = real_attribute(file, trained[n / 2][n % 2]);
    if (!status) {
        for (int n = 0; n < 2 && enthalpy; n++)
            e->enthalpy[n] = enthalpy[n];
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
                             e->column,      e->column_bias,      e->edges,         e->shared,
                             e->level,       e->level_bias,       e->scale,         e->per_size,
                             e->output_size};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        sciml_give(owned[i]);
    sciml_give(e);
}
