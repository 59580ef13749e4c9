/* A thread's scratch for the physics, and the stages that the emulator and the probe share. */
#ifndef SCIML_WORKSPACE_H
#define SCIML_WORKSPACE_H

#include "mskf/physics.h"

/* Vectors that the outputs of the pure network need: by level, and by layer. */
#define LEVEL_OUTPUTS 10
#define LAYER_SCRATCH (SCIML_LAYER_HEADS + LEVEL_OUTPUTS)

typedef struct workspace {
    tile *tiles;
    launches *starts;
    vreal *profiles;  /* of all tiles */
    vreal *tested;    /* the sounding of the parcel test */
    vreal *ring;      /* of the ascent */
    vreal *channels;  /* of one tile's features, on the layers, then on the levels */
    layering *layers; /* of all tiles */
    vreal *carried;   /* of all tiles, for the outputs of the pure network */
    seen *seen;       /* of all tiles */
    vreal *push;      /* of one tile, on the layers, then on the levels */
    vreal *response;  /* the outputs of one tile */
    vreal *after;
    vreal *novelty, *scalars; /* of all tiles */
    void *network;
    size_t tile_count;
} workspace;

INLINE size_t layers_of(const sciml_call *call) {
    return (size_t)(call->emulator->layers ? call->emulator->layers : call->columns->domain.levels);
}

/* The size of the workspace in bytes; with a base, set its parts too. */
INLINE size_t divide(const sciml_call *call, char *base, workspace *w) {
    const size_t tiles = ((size_t)call->kernel->block + (size_t)LANES - 1) / (size_t)LANES;
    const size_t levels = (size_t)call->columns->domain.levels, row = levels * sizeof(vreal);
    const size_t layers = layers_of(call);
    const size_t profiles = SOUNDING_PROFILES + PLUME_PROFILES + DOWNDRAFT_PROFILES;
    const size_t channels = (size_t)call->emulator->channels, scalars = (size_t)call->emulator->scalars;
    const int closure = call->emulator->kind == SCIML_PLUME_CLOSURE;
    const int pure = call->emulator->kind == SCIML_BILSTM;
    const size_t rows = closure ? RESPONSE_SCRATCH * levels
                        : pure  ? LEVEL_OUTPUTS * levels + LAYER_SCRATCH * layers
                                : 0;
    const size_t network = call->network ? call->kernel->scratch(call->network, (int32_t)layers) : 0;
    const size_t bytes[] = {tiles * sizeof(tile),
                            closure ? tiles * sizeof(launches) : 0,
                            tiles * profiles * row,
                            SOUNDING_PROFILES * row,
                            closure ? CHAINS * PLUME_PROFILES * row : 0,
                            channels * (layers + levels) * sizeof(vreal),
                            tiles * sizeof(layering),
                            pure ? tiles * CARRIED * layers * sizeof(vreal) : 0,
                            pure ? tiles * sizeof(seen) : 0,
                            (layers + levels) * sizeof(vreal),
                            (SCIML_OUTPUT_PROFILES + SCIML_RATES) * row,
                            rows * sizeof(vreal),
                            tiles * sizeof(vreal),
                            tiles * scalars * sizeof(vreal),
                            network};
    enum { PARTS = sizeof bytes / sizeof *bytes };
    size_t at[PARTS + 1] = {0};
    for (int i = 0; i < PARTS; i++)
        at[i + 1] = at[i] + (bytes[i] + 63) / 64 * 64;
    if (base)
        *w = (workspace){(tile *)(base + at[0]),
                         (launches *)(base + at[1]),
                         (vreal *)(base + at[2]),
                         (vreal *)(base + at[3]),
                         (vreal *)(base + at[4]),
                         (vreal *)(base + at[5]),
                         (layering *)(base + at[6]),
                         (vreal *)(base + at[7]),
                         (seen *)(base + at[8]),
                         (vreal *)(base + at[9]),
                         (vreal *)(base + at[10]),
                         (vreal *)(base + at[11]),
                         (vreal *)(base + at[12]),
                         (vreal *)(base + at[13]),
                         base + at[14],
                         tiles};
    return at[PARTS];
}

INLINE void lay_sounding(sounding *s, vreal *block, int levels) {
    vreal **parts[SOUNDING_PROFILES] = {&s->u,     &s->v,      &s->t,    &s->qv,      &s->p,        &s->dz,
                                        &s->rho,   &s->pi,     &s->w,    &s->q,       &s->z,        &s->dp,
                                        &s->depth, &s->tv,     &s->rh,   &s->theta_e, &s->humidity, &s->log_p,
                                        &s->index, &s->weight, &s->start};
    s->block = block;
    s->levels = levels;
    for (int i = 0; i < SOUNDING_PROFILES; i++)
        *parts[i] = block + i * levels;
}

INLINE void lay_tile(tile *t, vreal *block, int levels) {
    plume *up = &t->up;
    downdraft *down = &t->down;
    lay_sounding(&t->s, block, levels);
    vreal **parts[PLUME_PROFILES + DOWNDRAFT_PROFILES] = {
        &up->flux,     &up->entrained, &up->detrained,   &up->t,           &up->q_undiluted, &up->q,
        &up->liquid,   &up->ice,       &up->rain,        &up->snow,        &up->out_liquid,  &up->out_ice,
        &up->dilution, &down->flux,    &down->entrained, &down->detrained, &down->t,         &down->q};
    for (int i = 0; i < PLUME_PROFILES + DOWNDRAFT_PROFILES; i++)
        *parts[i] = block + (SOUNDING_PROFILES + i) * levels;
    up->detrained_liquid = up->out_liquid;
    up->detrained_ice = up->out_ice;
}

/* Spread `count` columns over tiles; the last lanes repeat the last column. The number of tiles. */
INLINE int fill_tiles(workspace *w, const int64_t *column, int count, int levels) {
    const int tiles = (count + LANES - 1) / LANES;
    for (int i = 0; i < tiles; i++) {
        tile *t = &w->tiles[i];
        lay_tile(t,
                 w->profiles +
                     (ptrdiff_t)i * (SOUNDING_PROFILES + PLUME_PROFILES + DOWNDRAFT_PROFILES) * levels,
                 levels);
        t->count = count - i * LANES < LANES ? count - i * LANES : LANES;
        for (int l = 0; l < LANES; l++)
            t->column[l] = column[i * LANES + (l < t->count ? l : t->count - 1)];
    }
    return tiles;
}

/* Everything before the network, for columns that passed the parcel test. */
INLINE void before_network(const sciml_call *call, const setting *set, workspace *w, int tiles) {
    for (int i = 0; i < tiles; i++) {
        tile *t = &w->tiles[i];
        NAMED(read)(set, t->column, &t->s);
        NAMED(derive)(set, &t->s);
        NAMED(sources)(set, &t->s, &w->starts[i]);
    }
    NAMED(ascend)(set, w->tiles, tiles, w->starts, w->ring);
    for (int i = 0; i < tiles; i++) {
        tile *t = &w->tiles[i];
        NAMED(close)(&t->s, &t->up);
        NAMED(descend)(set, &t->s, &t->up, &t->down);
        t->times = NAMED(timing)(set, &t->s, &t->up);
        t->energy = NAMED(close_energy)(set, &t->s, &t->up, &t->down, t->times, w->after);
        NAMED(lay)(&t->s, &t->up, call->emulator->below, call->emulator->cloud, &w->layers[i]);
    }
}

INLINE response lay_response(workspace *w, int levels, int with_rates) {
    response r = {0};
    for (int f = 0; f < SCIML_OUTPUT_PROFILES; f++)
        r.profiles[f] = w->response + f * levels;
    for (int f = 0; f < SCIML_RATES && with_rates; f++)
        r.rate[f] = w->response + (SCIML_OUTPUT_PROFILES + f) * levels;
    return r;
}

INLINE setting setting_of(const sciml_call *call) {
    const sciml_mskf_domain *d = &call->columns->domain;
    const sciml_emulator *e = call->emulator;
    return (setting){
        .tables = &e->tables,
        .in = call->columns,
        .dx = d->dx,
        .dt = d->dt,
        .cudt = d->cudt,
        .factor = d->dx >= 24999.0 ? 1.0 : 1.0 + __builtin_log(25.0e3 / d->dx),
        .enthalpy = {e->enthalpy[0], e->enthalpy[1]},
        .levels = d->levels,
    };
}

#endif
