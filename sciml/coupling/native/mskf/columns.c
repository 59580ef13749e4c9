/* A thread's share of a call: the parcel test on all its columns, everything else on those that pass,
 * gathered into groups of as many as the network takes at a time.
 *
 * The outputs of a column depend on that column alone: lanes are independent, and the lanes beyond the
 * last column of a group repeat it. */
#include "mskf/column_group.h"

#define NOT_SOUND (-1)
#define HELD 3

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
int NAMED(put_response)(const sciml_call *call, const tile *t, const response *r, vreal novelty) {
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

static int is_held(const sciml_call *call, int64_t c) {
    const sciml_columns *columns = call->columns;
    const sciml_mskf_domain *d = &columns->domain;
    const ptrdiff_t at = in_surface(call, c);
    const void *nca = columns->out2[SCIML_NCA];
    const double left = columns->bits == 64 ? ((const double *)nca)[at] : (double)((const float *)nca)[at];
    return d->held && left >= 0.5 * d->dt;
}

static int (*const run_group[SCIML_EMULATOR_KINDS])(const sciml_call *, const setting *, workspace *,
                                                    const int64_t *, int) = {
    [SCIML_PLUME_CLOSURE] = NAMED(run_closure),
    [SCIML_BILSTM] = NAMED(run_bilstm),
    [SCIML_PUBLISHED] = NAMED(run_published),
};

static int64_t run(const sciml_call *call, int64_t first, int64_t count, void *scratch) {
    const setting set = setting_of(call);
    const sciml_columns *columns = call->columns;
    int64_t asked[SCIML_CHUNK + LANES], passed[SCIML_CHUNK];
    int64_t asked_count = 0, passed_count = 0, unsound = 0;
    const int test = call->emulator->kind != SCIML_PUBLISHED;
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
        const vword passes = test ? NAMED(parcel_test)(&set, &s, sound) : sound;
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
        unsound += run_group[call->emulator->kind](
            call, &set, &w, passed + i, (int)(left < call->kernel->block ? left : call->kernel->block));
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
