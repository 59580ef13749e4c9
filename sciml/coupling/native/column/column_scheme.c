/* Read a declared column scheme from a weights file. */
#include "column/column_scheme.h"
#include "engine/arena.h"
#include "engine/message.h"
#include "engine/packed_tensor.h"

#include <math.h>
#include <string.h>

/* The array `name` of `count` numbers; integers within low and high. */
typedef struct wanted {
    const char *name;
    int32_t count, low, high;
    int32_t *integers; /* or NULL */
    double *reals;
} wanted;

static int take(const sciml_cdf *file, const wanted *w, char *message, size_t length) {
    if (w->count == 0) return SCIML_OK; /* a file has no empty arrays */
    const cdf_variable *v = sciml_cdf_variable(file, w->name);
    const uint32_t type = w->integers ? CDF_INT : CDF_DOUBLE, count = (uint32_t)w->count;
    if (v && w->reals && (v->type == CDF_BYTE || v->type == CDF_SHORT)) {
        double *values;
        const int status = sciml_read_tensor(file, w->name, 1, &count, &values, message, length);
        if (!status) memcpy(w->reals, values, count * sizeof *values);
        sciml_give(values);
        return status;
    }
    if (!v || v->type != type || v->rank != 1 || v->count != count)
        return sciml_say(SCIML_SCHEMA, message, length,
                         "the weights file has no array `%s` of %d numbers: export the scheme again", w->name,
                         w->count);
    for (int32_t n = 0; n < w->count; n++) {
        int fits;
        if (w->integers) {
            w->integers[n] = sciml_cdf_int(v->values + 4 * n);
            fits = w->integers[n] >= w->low && w->integers[n] <= w->high;
        } else {
            w->reals[n] = sciml_cdf_double(v->values + 8 * n);
            fits = isfinite(w->reals[n]);
        }
        if (!fits)
            return sciml_say(SCIML_SHAPE, message, length,
                             "number %d of `%s` in the weights file is out of range: export the scheme again",
                             n, w->name);
    }
    return SCIML_OK;
}

static int whole(const sciml_cdf *file, const char *name, int32_t low, int32_t high, int32_t *value,
                 char *message, size_t length) {
    const int status = sciml_cdf_integer(file, name, value, message, length);
    if (!status && (*value < low || *value > high))
        return sciml_say(SCIML_SHAPE, message, length,
                         "`%s` is %d in the weights file; this library takes %d to %d", name, *value, low,
                         high);
    return status;
}

static int check_name(const sciml_cdf *file, const char *expected, char *message, size_t length) {
    const cdf_attribute *a = sciml_cdf_attribute(file, "scheme");
    const int named = a && a->type == CDF_CHAR;
    const int asked = expected && *expected;
    if (named && asked && (a->count != strlen(expected) || memcmp(a->values, expected, a->count) != 0))
        return sciml_say(SCIML_SCHEMA, message, length,
                         "the weights file is one of the scheme `%.*s`, not of `%s`: give another file",
                         a->count < 60 ? (int)a->count : 60, (const char *)a->values, expected);
    if (!named || !sciml_cdf_attribute(file, "declaration"))
        return sciml_say(SCIML_SCHEMA, message, length,
                         "the weights file has no declared scheme: write one with `sciml scheme export`");
    return SCIML_OK;
}

static int read_sizes(const sciml_cdf *file, sciml_column_scheme *s, char *message, size_t length) {
    const struct {
        const char *name;
        int32_t low, high, *value;
    } sizes[] = {
        {"input_profiles", 1, SCIML_MOST_FIELDS, &s->fields.input_profiles},
        {"input_scalars", 0, SCIML_MOST_FIELDS, &s->fields.input_scalars},
        {"output_profiles", 0, SCIML_MOST_FIELDS, &s->fields.output_profiles},
        {"output_scalars", 0, SCIML_MOST_FIELDS, &s->fields.output_scalars},
        {"channels", 1, 2 * SCIML_MOST_FIELDS, &s->channels},
        {"outputs", 1, SCIML_MOST_FIELDS, &s->heads},
        {"closures", 0, SCIML_MOST_FIELDS, &s->laws},
        {"terms", 0, SCIML_MOST_FIELDS, &s->terms},
        {"least_levels", 1, SCIML_MAX_LEVELS, &s->least_levels},
    };
    int status = SCIML_OK;
    for (size_t n = 0; n < sizeof sizes / sizeof *sizes && !status; n++)
        status = whole(file, sizes[n].name, sizes[n].low, sizes[n].high, sizes[n].value, message, length);
    if (status) return status;
    s->inputs = s->fields.input_profiles + s->fields.input_scalars;
    s->outputs = s->fields.output_profiles + s->fields.output_scalars;
    if (s->inputs > SCIML_MOST_FIELDS || s->outputs > SCIML_MOST_FIELDS || s->outputs < 1)
        return sciml_say(
            SCIML_SHAPE, message, length,
            "the scheme of the weights file has %d inputs and %d outputs; this library takes 1 to %d",
            s->inputs, s->outputs, SCIML_MOST_FIELDS);
    return whole(file, "step", -1, s->inputs - 1, &s->step, message, length);
}

static int bad(const char *what, char *message, size_t length) {
    return sciml_say(SCIML_SHAPE, message, length,
                     "%s of the scheme in the weights file do not belong together: export the scheme again",
                     what);
}

/* Whether the closures are complete: see sciml.schemes.closures, which checks declarations. */
static int check_laws(sciml_column_scheme *s, char *message, size_t length) {
    const int32_t profiles = s->fields.output_profiles;
    for (int32_t o = 0; o < s->outputs; o++)
        s->head_of[o] = -1;
    for (int32_t h = 0; h < s->heads; h++) {
        if (s->head_of[s->head[h]] >= 0) return bad("the heads", message, length);
        s->head_of[s->head[h]] = h;
    }
    int32_t known[SCIML_MOST_FIELDS];
    for (int32_t o = 0; o < s->outputs; o++) {
        known[o] = s->head_of[o] >= 0;
        const int32_t q = s->changes[o];
        if (s->nonnegative[o] &&
            (q < 0 || s->step < s->fields.input_profiles || (o < profiles) != (q < s->fields.input_profiles)))
            return bad("the tendencies", message, length);
    }
    if (s->laws && (s->begin[0] != 0 || s->begin[s->laws] != s->terms))
        return bad("the closures", message, length);
    for (int32_t n = 0; n < s->laws; n++) {
        int solved = 0;
        if (s->begin[n] >= s->begin[n + 1] || (n && s->is_level[n - 1] && !s->is_level[n]))
            return bad("the closures", message, length);
        for (int32_t t = s->begin[n]; t < s->begin[n + 1]; t++) {
            const int32_t o = s->term[t];
            if (o == s->solved[n]) {
                solved++;
                if (s->is_level[n] ? known[o] || s->factor[t] == 0 : !known[o])
                    return bad("the closures", message, length);
            } else if (!known[o])
                return bad("the closures", message, length);
            if (!s->is_level[n] && s->nonnegative[o] != s->nonnegative[s->solved[n]])
                return bad("the closures", message, length);
        }
        if (solved != 1 || (!s->is_level[n] && s->mass[n] < 0)) return bad("the closures", message, length);
        known[s->solved[n]] = 1;
        if (!s->is_level[n] && s->surface[n] >= 0) {
            if (s->surface[n] < profiles || known[s->surface[n]]) return bad("the closures", message, length);
            known[s->surface[n]] = 1;
        }
    }
    for (int32_t o = 0; o < s->outputs; o++)
        if (!known[o]) return bad("the outputs", message, length);
    return SCIML_OK;
}

int sciml_column_scheme_read(const sciml_cdf *file, const sciml_network *network, const char *expected,
                             sciml_column_scheme *s, char *message, size_t length) {
    memset(s, 0, sizeof *s);
    int status = check_name(file, expected, message, length);
    if (!status) status = read_sizes(file, s, message, length);
    if (status) return status;
    if (network->channels != s->channels || network->outputs != s->heads || network->pooled)
        return sciml_say(SCIML_SHAPE, message, length,
                         "the network of the weights file has %d channels and %d outputs, its scheme %d and "
                         "%d: export it again",
                         network->channels, network->outputs, s->channels, s->heads);
    const int32_t in = s->inputs - 1, out = s->outputs - 1;
    const int32_t in3 = s->fields.input_profiles - 1, out3 = s->fields.output_profiles - 1;
    double limits[2];
    const wanted arrays[] = {
        {"channel_source", s->channels, 0, in, s->source, NULL},
        {"channel_is_log", s->channels, 0, 1, s->is_log, NULL},
        {"channel_mean", s->channels, 0, 0, NULL, s->mean},
        {"channel_inverse", s->channels, 0, 0, NULL, s->inverse},
        {"channel_mix", s->channels * s->channels, 0, 0, NULL, s->mix},
        {"input_size", s->inputs, 0, 0, NULL, s->size},
        {"channel_limits", 2, 0, 0, NULL, limits},
        {"head_output", s->heads, 0, out, s->head, NULL},
        {"head_scale", s->heads, 0, 0, NULL, s->scale},
        {"output_low", s->outputs, 0, 0, NULL, s->low},
        {"output_high", s->outputs, 0, 0, NULL, s->high},
        {"output_changes", s->outputs, -1, in, s->changes, NULL},
        {"output_nonnegative", s->outputs, 0, 1, s->nonnegative, NULL},
        {"closure_is_level", s->laws, 0, 1, s->is_level, NULL},
        {"closure_begin", s->laws ? s->laws + 1 : 0, 0, s->terms, s->begin, NULL},
        {"closure_solved", s->laws, 0, out3, s->solved, NULL},
        {"closure_mass", s->laws, -1, in3, s->mass, NULL},
        {"closure_surface", s->laws, -1, out, s->surface, NULL},
        {"term_output", s->terms, 0, out3, s->term, NULL},
        {"term_by", s->terms, -1, in3, s->by, NULL},
        {"term_factor", s->terms, 0, 0, NULL, s->factor},
    };
    for (size_t n = 0; n < sizeof arrays / sizeof *arrays && !status; n++)
        status = take(file, &arrays[n], message, length);
    if (status) return status;
    s->clip = limits[0];
    s->least = limits[1];
    for (int32_t n = 0; n < s->inputs; n++)
        if (!(s->size[n] > 0)) return bad("the sizes of the inputs", message, length);
    return check_laws(s, message, length);
}
