/* A thread's share of a call: the parcel test on all its columns, everything else on those that pass,
 * gathered into groups of as many as the network takes at a time.
 *
 * The outputs of a column depend on that column alone: lanes are independent, and the lanes beyond the
 * last column of a group repeat it. */
#include "mskf/workspace.h"

#define NCA_NONE (-100.0)
#define NOT_SOUND (-1)
#define HELD 3

INLINE vreal tanh_of(vreal x) {
    return 1.0 - 2.0 / (exp_of(2.0 * x) + 1.0);
}

INLINE void put(void *field, int bits, ptrdiff_t at, double x) {
    if (bits == 64)
        ((double *)field)[at] = x;
    else
        ((float *)field)[at] = (float)x;
}

/* The offset of column c of a call in its output profiles, and in its output surface fields. */
INLINE ptrdiff_t in_profiles(const sciml_call *call, int64_t c) {
    const int64_t ni = call->columns->domain.ni;
    return c % ni * call->out.s3[0] + c / ni * call->out.s3[2];
}
INLINE ptrdiff_t in_surface(const sciml_call *call, int64_t c) {
    const int64_t ni = call->columns->domain.ni;
    return c % ni * call->out.s2[0] + c / ni * call->out.s2[1];
}

INLINE void put_zeros(void *field, int bits, ptrdiff_t start, ptrdiff_t apart, int levels) {
    const size_t size = (size_t)bits / 8;
    if (apart == 1)
        memset((char *)field + (ptrdiff_t)size * start, 0, size * (size_t)levels);
    else
        for (int k = 0; k < levels; k++)
            put(field, bits, start + k * apart, 0.0);
}

/* The outputs of a column in which nothing convects. */
static void put_nothing(const sciml_call *call, int64_t c, int32_t kind, double novelty) {
    const sciml_columns *columns = call->columns;
    const sciml_mskf_domain *d = &columns->domain;
    const ptrdiff_t start = in_profiles(call, c), at = in_surface(call, c);
    for (int f = 0; f < SCIML_OUTPUT_PROFILES; f++)
        put_zeros(columns->out3[f], columns->bits, start, call->out.s3[1], d->levels);
    put(columns->out2[SCIML_PRATEC], columns->bits, at, 0.0);
    put(columns->out2[SCIML_NCA], columns->bits, at, NCA_NONE);
    put(columns->out2[SCIML_CUTOP], columns->bits, at, 1.0);
    put(columns->out2[SCIML_CUBOT], columns->bits, at, d->levels + 1.0);
    put(columns->out2[SCIML_NOVELTY], columns->bits, at, novelty);
    columns->kind[at] = kind;
    if (!columns->rate[0]) return;
    for (int f = 0; f < SCIML_RATES; f++)
        put_zeros(columns->rate[f], columns->bits, start, call->out.s3[1], d->levels);
    put(columns->timec, columns->bits, at, 0.0);
}

/* One profile of a tile, into the host's memory. */
INLINE void put_profile(void *field, int bits, const ptrdiff_t start[LANES], ptrdiff_t apart, int levels,
                        int count, const vreal *from) {
    int k = 0;
#if HAS_FOURS
    for (; bits == 32 && apart == 1 && count == LANES && k + 4 <= levels; k += 4) {
        float *to[LANES];
        for (int l = 0; l < LANES; l++)
            to[l] = (float *)field + start[l] + k;
        store_fours(from + k, to);
    }
#endif
    for (; k < levels; k++)
        for (int l = 0; l < count; l++)
            put(field, bits, start[l] + k * apart, from[k][l]);
}

/* Lanes whose outputs are all finite in their precision. */
INLINE vword all_finite(const tile *t, const response *r, int bits) {
    const vreal most = splat(bits == 64 ? __DBL_MAX__ : (double)__FLT_MAX__);
    vword well = absolute(r->scalars[SCIML_PRATEC]) <= most;
    for (int f = 0; f < SCIML_OUTPUT_PROFILES; f++)
        for (int k = 0; k <= t->up.reach && k < t->s.levels; k++)
            well &= absolute(r->profiles[f][k]) <= most;
    return well;
}

/* The outputs of a tile; the number of lanes that the physics could not carry through, which a host gets as
 * columns that are not sound. */
static int put_response(const sciml_call *call, const tile *t, const response *r, vreal novelty) {
    const sciml_columns *columns = call->columns;
    const ptrdiff_t apart = call->out.s3[1];
    const int levels = columns->domain.levels;
    const vword well = all_finite(t, r, columns->bits);
    int lost = 0;
    ptrdiff_t start[LANES];
    for (int l = 0; l < LANES; l++)
        start[l] = in_profiles(call, t->column[l]);
    for (int f = 0; f < SCIML_OUTPUT_PROFILES; f++)
        if (columns->bits == 64)
            put_profile(columns->out3[f], 64, start, apart, levels, t->count, r->profiles[f]);
        else
            put_profile(columns->out3[f], 32, start, apart, levels, t->count, r->profiles[f]);
    for (int f = 0; f < SCIML_RATES && columns->rate[0]; f++)
        put_profile(columns->rate[f], columns->bits, start, apart, levels, t->count, r->rate[f]);
    for (int l = 0; l < t->count; l++) {
        const ptrdiff_t at = in_surface(call, t->column[l]);
        for (int f = 0; f < SCIML_SCHEME_SURFACES; f++)
            put(columns->out2[f], columns->bits, at, r->scalars[f][l]);
        put(columns->out2[SCIML_NOVELTY], columns->bits, at, novelty[l]);
        columns->kind[at] = (int32_t)r->kind[l];
        if (columns->rate[0]) put(columns->timec, columns->bits, at, r->timec[l]);
        if (!well[l]) {
            put_nothing(call, t->column[l], NOT_SOUND, __builtin_inf());
            lost++;
        }
    }
    return lost;
}

/* Standardise one feature and clip it to the range of the training; *novelty grows to how far it lies
 * outside. */
INLINE vreal standardised(vreal x, double mean, double per_scale, double mid, double reach, double per_reach,
                          double clip, vreal *novelty) {
    const vreal z = (x - mean) * per_scale;
    *novelty = MAX(absolute(z - mid) * per_reach, *novelty);
    return between(between(z, mid - reach, mid + reach), -clip, clip);
}

INLINE void put_input(void *input, int single, ptrdiff_t at, vreal z) {
    if (single)
        to_floats((float *)input + at, z);
    else
        *(vloose *)((double *)input + at) = z;
}

/* The features of tile n, standardised, into the network's inputs of `width` lanes. */
static vreal put_features(const sciml_call *call, const setting *set, workspace *w, int n, int width,
                          vreal *scalars) {
    const sciml_emulator *e = call->emulator;
    const tile *t = &w->tiles[n];
    const int layers = e->below + e->cloud, inputs = SCIML_CHANNELS + SCIML_FEATURE_SCALARS;
    const int single = call->columns->bits == 32;
    void *input = call->kernel->input(call->network, layers, w->network);
    vreal novelty = splat(0.0);
    NAMED(features)(set, t, &w->layers[n], w->channels + layers * SCIML_CHANNELS, w->channels, scalars);
    for (int c = 0; c < SCIML_FEATURE_SCALARS; c++) { /* the network reads them at the lowest layer only */
        scalars[c] = standardised(scalars[c], e->scalar_mean[c], e->scalar_per_scale[c], e->scalar_middle[c],
                                  e->scalar_reach[c], e->scalar_per_reach[c], e->clip, &novelty);
        put_input(input, single, (ptrdiff_t)(SCIML_CHANNELS + c) * width + n * LANES, scalars[c]);
    }
    for (int k = 0; k < layers; k++)
        for (int c = 0; c < SCIML_CHANNELS; c++) {
            const int i = k * SCIML_CHANNELS + c;
            const vreal z = standardised(w->channels[i], e->mean[i], e->per_scale[i], e->middle[i],
                                         e->reach[i], e->per_reach[i], e->clip, &novelty);
            put_input(input, single, ((ptrdiff_t)k * inputs + c) * width + n * LANES, z);
        }
    return only(t->up.kind != (double)NONE, novelty);
}

/* A tile's lanes of an array of the network. */
INLINE vreal from_network(const void *array, int single, ptrdiff_t at) {
    return single ? from_floats((const float *)array + at)
                  : (vreal) * (const vloose *)((const double *)array + at);
}

/* From the mean of the states over the layers to the trigger and the expected error. */
static void column_numbers(const sciml_call *call, const vreal *mean, const vreal *scalars, vreal number[2]) {
    const sciml_emulator *e = call->emulator;
    const int states = 2 * call->network->hidden, width = states + SCIML_FEATURE_SCALARS;
    number[0] = splat(e->column_bias[0]);
    number[1] = splat(e->column_bias[1]);
    for (int u = 0; u < e->pooled; u++) {
        const double *weight = e->pool + (ptrdiff_t)u * width;
        vreal even = splat(e->pool_bias[u]), odd = splat(0.0);
        for (int i = 0; i + 1 < states; i += 2) { /* two directions: an even number */
            even = FMA(splat(weight[i]), mean[i], even);
            odd = FMA(splat(weight[i + 1]), mean[i + 1], odd);
        }
        for (int i = 0; i < SCIML_FEATURE_SCALARS; i++)
            odd = FMA(splat(weight[states + i]), scalars[i], odd);
        const vreal active = tanh_of(even + odd);
        number[0] = FMA(splat(e->column[u]), active, number[0]);
        number[1] = FMA(splat(e->column[e->pooled + u]), active, number[1]);
    }
}

/* The predictions of the network for tile n, from its heads and states; its novelty grows by the expected
 * error. */
static learned ask(const sciml_call *call, workspace *w, int n, int width, const void *head,
                   const vreal *scalars) {
    const sciml_network *net = call->network;
    const sciml_emulator *e = call->emulator;
    const int layers = e->below + e->cloud, single = call->columns->bits == 32, states = 2 * net->hidden;
    const tile *t = &w->tiles[n];
    const void *state = call->kernel->state(net, layers, w->network);
    vreal mean[2 * SCIML_MOST_HIDDEN], number[2], *amounts = w->push, *push = w->push + layers;
    for (int i = 0; i < states; i++) {
        vreal sum = splat(0.0);
        for (int k = 0; k < layers; k++)
            sum += from_network(state, single, ((ptrdiff_t)k * states + i) * width + n * LANES);
        mean[i] = sum * (1.0 / layers);
    }
    for (int k = 0; k < layers; k++) {
        const int rows = (net->head + 3) / 4 * 4;
        const vreal output = from_network(head, single, (ptrdiff_t)k * rows * width + n * LANES);
        amounts[k] = e->push_bound * tanh_of(output * (1.0 / e->push_bound));
    }
    column_numbers(call, mean, scalars, number);
    NAMED(spread)(&w->layers[n], &t->s, amounts, push);
    const vreal expected = exp_of(number[1] - e->log_error), apart = w->novelty[n] / e->distance;
    const vreal far = only(apart > 1.0, apart);
    w->novelty[n] = only(t->up.kind != (double)NONE, MAX(expected, far));
    const vreal quiet = NAMED(shallow_strength)(&t->up, t->times);
    const vreal strength = choose(t->up.kind == (double)DEEP, t->energy.strength, quiet);
    return (learned){strength, push, t->energy.convects & (number[0] > 0.0)};
}

/* Columns that passed the parcel test, at most as many as the network takes at a time; returns the number
 * of those that the physics could not carry through. */
static int run_group(const sciml_call *call, const setting *set, workspace *w, const int64_t *column,
                     int count) {
    const int tiles = fill_tiles(w, column, count, set->levels);
    const int lanes = call->kernel->lanes, width = (count + lanes - 1) / lanes * lanes;
    const int layers = call->emulator->below + call->emulator->cloud;
    const int inputs = SCIML_CHANNELS + SCIML_FEATURE_SCALARS;
    before_network(call, set, w, tiles);
    if (tiles * LANES < width) /* lanes of the network that no tile reaches */
        memset(call->kernel->input(call->network, layers, w->network), 0,
               (size_t)layers * (size_t)inputs * (size_t)width * (call->columns->bits == 32 ? 4 : 8));
    for (int n = 0; n < tiles; n++)
        w->novelty[n] = put_features(call, set, w, n, width, w->scalars + n * SCIML_FEATURE_SCALARS);
    void *head, *pooled;
    call->kernel->tile(call->network, layers, SCIML_FEATURE_SCALARS, count, w->network, &head, &pooled);
    response r = lay_response(w, set->levels, call->columns->rate[0] != NULL);
    int lost = 0;
    for (int n = 0; n < tiles; n++) {
        const learned predicted = ask(call, w, n, width, head, w->scalars + n * SCIML_FEATURE_SCALARS);
        NAMED(respond)(set, &w->tiles[n], &predicted, w->after, &r);
        lost += put_response(call, &w->tiles[n], &r, w->novelty[n]);
    }
    return lost;
}

static int is_held(const sciml_call *call, int64_t c) {
    const sciml_columns *columns = call->columns;
    const sciml_mskf_domain *d = &columns->domain;
    const ptrdiff_t at = in_surface(call, c);
    const void *nca = columns->out2[SCIML_NCA];
    const double left = columns->bits == 64 ? ((const double *)nca)[at] : (double)((const float *)nca)[at];
    return d->held && left >= 0.5 * d->dt;
}

static int64_t run(const sciml_call *call, int64_t first, int64_t count, void *scratch) {
    const setting set = setting_of(call);
    const sciml_columns *columns = call->columns;
    int64_t asked[SCIML_CHUNK + LANES], passed[SCIML_CHUNK];
    int64_t asked_count = 0, passed_count = 0, unsound = 0;
    workspace w = {0};
    sounding s;
    divide(call, scratch, &w);
    lay_sounding(&s, w.tested, set.levels);
    for (int64_t c = first; c < first + count; c++)
        if (is_held(call, c))
            columns->kind[in_surface(call, c)] = HELD;
        else
            asked[asked_count++] = c;
    for (int l = 0; asked_count && l < LANES; l++)
        asked[asked_count + l] = asked[asked_count - 1];
    for (int64_t i = 0; i < asked_count; i += LANES) {
        const vword sound = NAMED(read)(&set, asked + i, &s);
        const vword passes = NAMED(parcel_test)(&set, &s, sound);
        for (int l = 0; l < LANES && i + l < asked_count; l++) {
            if (passes[l])
                passed[passed_count++] = asked[i + l];
            else if (sound[l])
                put_nothing(call, asked[i + l], NONE, 0.0);
            else
                put_nothing(call, asked[i + l], NOT_SOUND, __builtin_inf());
            unsound += !sound[l];
        }
    }
    for (int64_t i = 0; i < passed_count; i += call->kernel->block) {
        const int64_t left = passed_count - i;
        unsound += run_group(call, &set, &w, passed + i,
                             (int)(left < call->kernel->block ? left : call->kernel->block));
    }
    return unsound;
}

static size_t scratch_bytes(const sciml_call *call) {
    workspace unused;
    return divide(call, NULL, &unused);
}

extern const sciml_physics NAMED(physics);
const sciml_physics NAMED(physics) = {
    .isa = NAMED_TEXT(SCIML_ISA),
    .scratch = scratch_bytes,
    .run = run,
    .probe = NAMED(probe),
};
