/* Lanes that each carry a plume of their own at a level of their own. */
#ifndef SCIML_UPDRAFT_LANES_H
#define SCIML_UPDRAFT_LANES_H

#include "mskf/physics.h"

#define FREEZE_START 268.16 /* K */
#define FREEZE_END 248.16

/* What goes on from level to level, and what is constant for a plume. */
enum state_item {
    S_THETA,
    S_Q,
    S_LIQUID,
    S_ICE,
    S_FLUX,
    S_ENERGY,
    S_INFLOW,
    S_BEFORE,
    S_E,
    S_D,
    S_FREEZING,
    S_TV,
    S_LOADED,
    S_CAPE,
    S_TURN,
    S_Z_BELOW,
    S_TV_BELOW,
    S_LEVEL,
    S_FLUX_LCL,
    S_MIX,
    S_SOURCE_TOP,
    S_PER_DEPTH,
    S_COUNT
};

typedef struct chain {
    double state[S_COUNT][LANES] __attribute__((aligned(VECTOR_BYTES)));
    const double *block[LANES]; /* the lane's sounding */
    tile *home[LANES];
    int lane[LANES]; /* its lane in its tile */
    int busy[LANES];
    const launches *from[LANES];
    int next[LANES]; /* the next of its source layers */
    vreal *ring;
    int row, rows;
} chain;

/* Raise every lane's plume by one level; the mask of those that go on. */
vword NAMED(rise)(const setting *set, chain *c, const sounding *any_of_the_group);

#endif
