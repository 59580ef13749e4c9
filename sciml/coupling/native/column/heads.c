/* The channels of a column from its inputs, and its outputs from the heads of the network: the formulas of
 * sciml/emulation/scaling.py and sciml/emulation/heads.py. */
#include "column/column_scheme.h"

#include <math.h>

/* The arrays of one call. */
typedef struct column {
    const sciml_column_scheme *s;
    int64_t columns, i;
    int32_t levels;
    const double *in3, *in2;
} column;

static double input(const column *c, int32_t field, int32_t k) {
    const int32_t profiles = c->s->fields.input_profiles;
    return field < profiles ? c->in3[((int64_t)field * c->levels + k) * c->columns + c->i]
                            : c->in2[(int64_t)(field - profiles) * c->columns + c->i];
}

static double within(double x, double low, double high) {
    return x < low ? low : x > high ? high : x;
}

static double positive(double x) {
    return x > 0 ? x : 0.0;
}

static int is_valid(const column *c) {
    const sciml_column_scheme *s = c->s;
    for (int32_t f = 0; f < s->inputs; f++)
        for (int32_t k = 0; k < (f < s->fields.input_profiles ? c->levels : 1); k++)
            if (!isfinite(input(c, f, k))) return 0;
    if (s->step >= 0 && !(input(c, s->step, 0) > 0)) return 0;
    for (int32_t n = 0; n < s->laws; n++)
        for (int32_t k = 0; k < c->levels; k++) {
            if (!s->is_level[n] && !(input(c, s->mass[n], k) > 0)) return 0;
            for (int32_t t = s->begin[n]; s->is_level[n] && t < s->begin[n + 1]; t++)
                if (s->term[t] == s->solved[n] && s->by[t] >= 0 && !(input(c, s->by[t], k) > 0)) return 0;
        }
    return 1;
}

int sciml_column_channels(const sciml_column_scheme *s, int64_t columns, int32_t levels, int64_t i,
                          const double *in3, const double *in2, double *x) {
    const column c = {s, columns, i, levels, in3, in2};
    const int valid = is_valid(&c);
    for (int32_t k = 0; k < levels; k++, x += s->channels) {
        double scaled[2 * SCIML_MOST_FIELDS];
        for (int32_t n = 0; n < s->channels; n++) {
            const int32_t f = s->source[n];
            const double q = valid ? input(&c, f, k) / s->size[f] : 0.0;
            const double raw = s->is_log[n] ? log(positive(q) + s->least) : q;
            scaled[n] = within((raw - s->mean[n]) * s->inverse[n], -s->clip, s->clip);
        }
        for (int32_t n = 0; n < s->channels; n++) {
            double sum = 0.0;
            for (int32_t m = 0; m < s->channels; m++)
                sum += scaled[m] * s->mix[m * s->channels + n];
            x[n] = within(sum, -s->clip, s->clip);
        }
    }
    return valid;
}

/* Apply the bounds of output o on level k. */
static double bounded(const column *c, double value, int32_t o, int32_t k) {
    const sciml_column_scheme *s = c->s;
    value = within(value, s->low[o], s->high[o]);
    if (!s->nonnegative[o]) return value;
    const double least = -positive(input(c, s->changes[o], k)) / input(c, s->step, 0);
    return value > least ? value : least;
}

/* Head h of level k. */
static double head(const column *c, const double *y, int32_t h, int32_t k) {
    return c->s->scale[h] * y[(int64_t)k * c->s->heads + h];
}

/* Close the budget n, from the top to the surface: made (output, level). */
static void close_budget(const column *c, int32_t n, const double *y, double *made) {
    const sciml_column_scheme *s = c->s;
    const int32_t carried = s->solved[n], surface = s->surface[n], levels = c->levels;
    const int keeps = s->nonnegative[carried];
    double above = 0.0;
    for (int32_t k = levels - 1; k >= 0; k--) {
        const double m = input(c, s->mass[n], k);
        double below = head(c, y, s->head_of[carried], k);
        if (keeps) below = positive(below);
        if (k == 0) below = surface >= 0 ? within(below, s->low[surface], s->high[surface]) : 0.0;
        double sum = 0.0;
        if (keeps) {
            const double dt = input(c, s->step, 0);
            double there = 0.0, wanted = 0.0;
            for (int32_t t = s->begin[n]; t < s->begin[n + 1]; t++) {
                const int32_t o = s->term[t];
                const double before = positive(input(c, s->changes[o], k));
                there += before;
                if (o != carried) wanted += before + dt * made[(int64_t)o * levels + k];
            }
            there += above * dt / m;
            const double share = wanted > there ? there / wanted : 1.0;
            for (int32_t t = s->begin[n]; share < 1.0 && t < s->begin[n + 1]; t++) {
                const int32_t o = s->term[t];
                if (o == carried) continue;
                const double before = positive(input(c, s->changes[o], k));
                double *d = &made[(int64_t)o * levels + k];
                *d = (share * (before + dt * *d) - before) / dt;
            }
            const double most = positive(there - share * wanted) * m / dt;
            if (below > most) below = most;
        }
        for (int32_t t = s->begin[n]; t < s->begin[n + 1]; t++)
            if (s->term[t] != carried) sum += made[(int64_t)s->term[t] * levels + k];
        made[(int64_t)carried * levels + k] = (above - below) / m - sum;
        above = below;
    }
    if (surface >= 0) made[(int64_t)surface * levels] = above;
}

/* Compute the output that balances the others on every level. */
static void balance(const column *c, int32_t n, double *made) {
    const sciml_column_scheme *s = c->s;
    for (int32_t k = 0; k < c->levels; k++) {
        double sum = 0.0, own = 1.0;
        for (int32_t t = s->begin[n]; t < s->begin[n + 1]; t++) {
            const double factor = s->factor[t] * (s->by[t] >= 0 ? input(c, s->by[t], k) : 1.0);
            if (s->term[t] == s->solved[n])
                own = factor;
            else
                sum += factor * made[(int64_t)s->term[t] * c->levels + k];
        }
        made[(int64_t)s->solved[n] * c->levels + k] = -sum / own;
    }
}

/* Where output o of column i on level k lies. */
static double *place(const sciml_column_scheme *s, int64_t columns, int32_t levels, int64_t i, int32_t o,
                     int32_t k, double *out3, double *out2) {
    const int32_t profiles = s->fields.output_profiles;
    return o < profiles ? &out3[((int64_t)o * levels + k) * columns + i]
                        : &out2[(int64_t)(o - profiles) * columns + i];
}

void sciml_column_clear(const sciml_column_scheme *s, int64_t columns, int32_t levels, int64_t i,
                        double *out3, double *out2) {
    for (int32_t o = 0; o < s->outputs; o++)
        for (int32_t k = 0; k < (o < s->fields.output_profiles ? levels : 1); k++)
            *place(s, columns, levels, i, o, k, out3, out2) = 0.0;
}

int sciml_column_outputs(const sciml_column_scheme *s, int64_t columns, int32_t levels, int64_t i,
                         const double *in3, const double *in2, const double *y, double *work, double *out3,
                         double *out2) {
    const column c = {s, columns, i, levels, in3, in2};
    const int32_t profiles = s->fields.output_profiles;
    int finite = 1;
    double *made = work; /* (output, level); a scalar is at level 0 */
    for (int32_t h = 0; h < s->heads; h++) {
        const int32_t o = s->head[h];
        double mean = 0.0;
        for (int32_t k = 0; k < levels; k++) {
            const double value = head(&c, y, h, k);
            mean += value;
            if (o < profiles) made[(int64_t)o * levels + k] = bounded(&c, value, o, k);
        }
        if (o >= profiles) made[(int64_t)o * levels] = bounded(&c, mean / levels, o, 0);
    }
    for (int32_t n = 0; n < s->laws; n++)
        if (s->is_level[n])
            balance(&c, n, made);
        else
            close_budget(&c, n, y, made);
    for (int32_t o = 0; o < s->outputs; o++)
        for (int32_t k = 0; k < (o < profiles ? levels : 1); k++)
            finite = finite && isfinite(made[(int64_t)o * levels + k]);
    if (!finite) {
        sciml_column_clear(s, columns, levels, i, out3, out2);
        return 0;
    }
    for (int32_t o = 0; o < s->outputs; o++)
        for (int32_t k = 0; k < (o < profiles ? levels : 1); k++)
            *place(s, columns, levels, i, o, k, out3, out2) = made[(int64_t)o * levels + k];
    return 1;
}
