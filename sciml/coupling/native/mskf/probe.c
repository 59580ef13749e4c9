/* The physics without the network, laid open for parity checks; see probe.h for the order. */
#include "mskf/probe.h"
#include "mskf/workspace.h"

typedef struct sheet {
    double *profiles, *scalars; /* of all columns */
    int levels;
} sheet;

static void write_profiles(const sheet *to, const tile *t, int from, int count, vreal *const *values,
                           int levels) {
    for (int l = 0; l < t->count; l++)
        for (int f = 0; f < count; f++) {
            double *at = to->profiles + (t->column[l] * SCIML_PROBE_PROFILES + from + f) * to->levels;
            for (int k = 0; k < to->levels; k++)
                at[k] = k < levels ? values[f][k][l] : 0.0;
        }
}

static void write_scalars(const sheet *to, const tile *t, int from, int count, const vreal *values) {
    for (int l = 0; l < t->count; l++)
        for (int f = 0; f < count; f++)
            to->scalars[t->column[l] * SCIML_PROBE_SCALARS + from + f] = values[f][l];
}

static void write_stages(const sheet *to, const setting *set, workspace *w, const tile *t) {
    const plume *p = &t->up;
    const downdraft *d = &t->down;
    vreal *const stages[] = {p->flux,
                             p->entrained,
                             p->detrained,
                             p->t,
                             p->q_undiluted,
                             p->q,
                             p->liquid,
                             p->ice,
                             p->rain,
                             p->snow,
                             p->detrained_liquid,
                             p->detrained_ice,
                             d->flux,
                             d->entrained,
                             d->detrained,
                             d->t,
                             d->q};
    write_profiles(to, t, 0, 17, stages, to->levels);
    vreal cosine, sine;
    NAMED(turned)(&t->s, p, &cosine, &sine);
    const vreal numbers[] = {
        p->kind,
        p->base,
        p->source_top,
        p->source_depth,
        p->t_mix,
        p->q_mix,
        p->z_mix,
        p->p_mix,
        p->cloud_base,
        p->buoyancy_top,
        p->top,
        p->t_lcl,
        p->z_lcl,
        p->height,
        p->least_height,
        p->cape,
        p->flux_lcl,
        d->start,
        d->evaporated,
        t->times.adjustment,
        t->times.counter,
        NAMED(shallow_strength)(p, t->times),
        NAMED(greatest_strength)(&t->s, p, d, t->times),
        cosine,
        sine,
    };
    write_scalars(to, t, 0, 25, numbers);
    const vreal energy[] = {t->energy.strength, only(t->energy.convects, splat(1.0)), t->energy.removed,
                            t->energy.rounds};
    write_scalars(to, t, 30, 4, energy);
    const layering *on = &w->layers[t - w->tiles];
    const int layers = on->layers;
    vreal features[SCIML_FEATURE_SCALARS], *channels[SCIML_CHANNELS];
    NAMED(features)(set, t, on, w->channels + layers * SCIML_CHANNELS, w->channels, features);
    for (int c = 0; c < SCIML_CHANNELS; c++) {
        channels[c] = w->response + c * layers;
        for (int k = 0; k < layers; k++)
            channels[c][k] = w->channels[k * SCIML_CHANNELS + c];
    }
    write_profiles(to, t, 32, SCIML_CHANNELS, channels, on->layers);
    write_scalars(to, t, 34, SCIML_FEATURE_SCALARS, features);
}

static void write_response(const sheet *to, const setting *set, workspace *w, const tile *t,
                           const double *strength, const double *push) {
    vreal given = splat(0.0);
    for (int l = 0; l < LANES; l++) {
        given[l] = strength[t->column[l]];
        for (int k = 0; k < set->levels; k++)
            w->push[k][l] = push[t->column[l] * set->levels + k];
    }
    const learned predicted = {given, w->push, ~(vword){0}};
    response r = lay_response(w, set->levels, 0);
    NAMED(respond)(set, t, &predicted, w->after, &r);
    write_profiles(to, t, 17, SCIML_OUTPUT_PROFILES, r.profiles, set->levels);
    write_scalars(to, t, 25, SCIML_SCHEME_SURFACES, r.scalars);
    /* before the adjustment: the cloud's base as the plume has it */
    vreal *push_u = w->response, *push_v = w->response + set->levels, *own = push_v + set->levels;
    vreal *const pushes[] = {push_u, push_v, own};
    NAMED(pressure_push)(set, &t->s, &t->up, &t->down, t->up.cloud_base, w->after, push_u, push_v, own);
    write_profiles(to, t, 29, 3, pushes, set->levels);
}

void NAMED(probe)(const sciml_call *call, const double *strength, const double *push, double *profiles,
                  double *scalars, void *scratch) {
    const setting set = setting_of(call);
    const sheet to = {profiles, scalars, set.levels};
    const int64_t count = call->columns->domain.ni * call->columns->domain.nj;
    workspace w = {0};
    sounding s;
    divide(call, scratch, &w);
    lay_sounding(&s, w.tested, set.levels);
    memset(profiles, 0, sizeof *profiles * (size_t)count * SCIML_PROBE_PROFILES * (size_t)set.levels);
    memset(scalars, 0, sizeof *scalars * (size_t)count * SCIML_PROBE_SCALARS);
    int64_t passed[LANES * 64];
    int waiting = 0;
    for (int64_t i = 0; i < count; i += LANES) {
        int64_t column[LANES];
        for (int l = 0; l < LANES; l++)
            column[l] = i + l < count ? i + l : count - 1;
        const vword sound = NAMED(read)(&set, column, &s);
        const vword passes = NAMED(parcel_test)(&set, &s, sound);
        for (int l = 0; l < LANES && i + l < count; l++) {
            scalars[(i + l) * SCIML_PROBE_SCALARS + 29] = sound[l] ? (passes[l] ? 1.0 : 0.0) : -1.0;
            if (passes[l]) passed[waiting++] = i + l;
        }
        if (waiting == 0 || (waiting + LANES <= call->kernel->block && i + LANES < count)) continue;
        const int tiles = fill_tiles(&w, passed, waiting, set.levels);
        before_network(call, &set, &w, tiles);
        for (int n = 0; n < tiles; n++) {
            write_stages(&to, &set, &w, &w.tiles[n]);
            write_response(&to, &set, &w, &w.tiles[n], strength, push);
        }
        waiting = 0;
    }
}
