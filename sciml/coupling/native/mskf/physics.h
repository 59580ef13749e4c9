/* The scheme's physics on tiles of columns: one vector of columns, lane = column, level 0 the lowest.
 *
 * The definition of every quantity is the Python module of the same name in sciml/convection; units
 * are SI. Profiles are arrays of `levels` vectors. Indices of levels are doubles, so that
 * they are compared and chosen by the same masks as everything else. */
#ifndef SCIML_PHYSICS_H
#define SCIML_PHYSICS_H

#include "mskf/emulator.h"
#include "mskf/thermo.h"
#include "mskf/vector_math.h"

/* The settings that all columns of a call share. */
typedef struct setting {
    const sciml_tables *tables;
    const sciml_columns *in;
    double dx, dt, cudt; /* m, s, min */
    double factor;       /* Zheng et al. (2016): 1 + ln(25 km / dx) below 25 km */
    double enthalpy[2];  /* bounds of the enthalpy imbalance over the absolute heating */
    int levels;
} setting;

#define NCA_NONE (-100.0) /* s, the counter of a column in which nothing convects */

typedef struct sounding {
    vreal *block; /* the profiles below lie in it, one after the other */
    /* as given */
    vreal *u, *v, *t, *qv, *p, *dz, *rho, *pi, *w;
    /* derived */
    vreal *q, *z, *dp, *depth, *tv, *rh, *theta_e, *humidity, *log_p, *index, *weight, *start;
    vreal zol, hfx, ust, pblh;
    int levels;
} sounding;
#define SOUNDING_PROFILES 21

typedef struct plume {
    vreal *flux, *entrained, *detrained, *t, *q_undiluted, *q, *liquid, *ice, *rain, *snow;
    vreal *out_liquid, *out_ice, *dilution;
    vreal *detrained_liquid, *detrained_ice; /* lie where out_liquid and out_ice do: close() converts them */
    vreal kind, base, source_top, source_depth, t_mix, q_mix, z_mix, p_mix, cloud_base, buoyancy_top;
    vreal top, t_lcl, z_lcl, height, least_height, cape, flux_lcl;
    int reach; /* levels from here on are above every cloud of the tile */
} plume;
#define PLUME_PROFILES 13

typedef struct downdraft {
    vreal *flux, *entrained, *detrained, *t, *q;
    vreal start, evaporated;
} downdraft;
#define DOWNDRAFT_PROFILES 5

typedef struct timing {
    vreal adjustment, counter; /* s */
} timing;

/* The strength of the mass flux over the plume's own and its bound, whether the scheme does not give up, the
 * share of the energy that the plume's own mass flux removes, and the number of soundings computed. */
typedef struct closed {
    vreal strength, most, removed, rounds;
    vword convects;
} closed;

/* The coordinate of the plume: pressure depth (Pa) from the ground to the edges of its layers; and the levels
 * [first, end) that layer i has a part of in any lane with a plume. */
typedef struct layering {
    int layers;
    int first[SCIML_MOST_LAYERS], end[SCIML_MOST_LAYERS];
    vreal edge[SCIML_MOST_LAYERS + 1];
} layering;

/* Air of the layers while the compensating flow carries it: flows and sources are those of a mass flux of 1
 * at the cloud's base. The species are potential temperature, vapour, liquid, ice, rain. */
#define SPECIES 5
typedef struct carriage {
    vreal *through;  /* upwards through the layer's bottom */
    vreal *per_mass; /* m2/kg; zero above the cloud */
    vreal *source[SPECIES], *state[SPECIES], *theta, *rate;
    vreal fastest; /* largest share of the layer below that flows through a face, 1/s */
    int species, reach;
} carriage;
#define CARRIAGE_SCRATCH (4 + 2 * SPECIES) /* profiles */

typedef struct adjusted {
    vreal *rth, *rqv, *rqc, *rqi, *rqr, *t, *q;
} adjusted;
#define ADJUSTED_PROFILES 7

/* The strength of the mass flux over the plume's own, the change of the cloud's wind over each level by its
 * own circulation's pressure, along the mean wind (m/s), and whether the column convects. */
typedef struct learned {
    vreal strength;
    const vreal *push;
    vword active;
} learned;

typedef struct response {
    vreal *profiles[SCIML_OUTPUT_PROFILES];
    vreal scalars[SCIML_SCHEME_SURFACES];
    vreal *rate[SCIML_RATES]; /* NULL if the host does not ask for them */
    vreal timec;
    vreal kind;
} response;

/* What the outputs of the pure network need of its inputs: the means of each layer of u, v (m/s), potential
 * temperature (K) and vapour (kg/kg), (layer, CARRIED); the mean wind's unit vector; the time in which the
 * wind crosses the cell (s). */
#define CARRIED 4
typedef struct seen {
    vreal *carried, cosine, sine, passage;
} seen;

/* A tile from its columns' sounding to the response. */
typedef struct tile {
    int64_t column[LANES]; /* in the call; padding repeats the last one */
    int count;             /* lanes that are not padding */
    sounding s;
    plume up;
    downdraft down;
    timing times;
    closed energy;
} tile;

/* A source layer that passes the parcel test, and the state in which its plume starts. */
enum launch_item {
    L_BASE,
    L_TOP,
    L_DEPTH,
    L_T,
    L_Q,
    L_Z,
    L_P,
    L_T_LCL,
    L_Z_LCL,
    L_ABOVE,
    L_TV_LCL,
    L_TV_ENV,
    L_FLUX_LCL,
    L_MIX,
    L_ENERGY,
    L_THETA,
    L_COUNT
};
#define MOST_SOURCES 22 /* the bases of two source layers are 15 hPa or more apart, up to 300 hPa */
typedef struct launches {
    int count[LANES];
    double item[LANES][MOST_SOURCES][L_COUNT];
} launches;

/* Element `at` of a profile, lane by lane. */
INLINE vreal at_level(const vreal *profile, vreal at) {
    const vindex k = whole(at);
    vreal x;
    for (int l = 0; l < LANES; l++)
        x[l] = profile[k[l]][l];
    return x;
}

/* sounding.c */
/* Read the columns of a tile, all levels; the mask of those that are sound: finite and physical. */
vword NAMED(read)(const setting *set, const int64_t column[LANES], sounding *s);
/* Derived profiles of the levels [from, to). */
void NAMED(derive_low)(sounding *s, int from, int to);
void NAMED(derive)(const setting *set, sounding *s);
/* The mask of the lanes that have a buoyant source layer; calls `derive_low` for the levels that it needs. */
vword NAMED(parcel_test)(const setting *set, sounding *s, vword lanes);
/* All source layers that pass, of a whole sounding. */
void NAMED(sources)(const setting *set, sounding *s, launches *starts);

/* updraft.c */
/* Scratch: `levels` rows of PLUME_PROFILES vectors for each chain of lanes. */
#define CHAINS 2
void NAMED(ascend)(const setting *set, tile *tiles, int count, const launches *starts, vreal *scratch);

/* plume.c and the files with the names of what they compute */
void NAMED(close)(const sounding *s, plume *up);
void NAMED(descend)(const setting *set, const sounding *s, const plume *up, downdraft *down);
timing NAMED(timing)(const setting *set, const sounding *s, const plume *up);
vreal NAMED(shallow_strength)(const plume *up, timing times);
vreal NAMED(greatest_strength)(const sounding *s, const plume *up, const downdraft *down, timing times);
void NAMED(turned)(const sounding *s, const plume *up, vreal *cosine, vreal *sine);
void NAMED(adjust)(const sounding *s, const plume *up, const downdraft *down, timing times, vreal strength,
                   vreal *scratch, adjusted *out);
/* The air before the convection, and its flows and sources, of the first `species`: 2 or SPECIES. */
carriage NAMED(load_air)(const sounding *s, const plume *up, const downdraft *down, int species,
                         vreal *scratch);
/* Carry the air of the lanes for `time` (s) with a mass flux (kg/m2/s) at the cloud's base. */
void NAMED(carry)(const carriage *c, const sounding *s, vreal time, vreal flux, vword lanes);
void NAMED(pressure_push)(const setting *set, const sounding *s, const plume *up, const downdraft *down,
                          vreal base, vreal *scratch, vreal *push_u, vreal *push_v, vreal *own);
#define PRESSURE_SCRATCH 32
void NAMED(momentum)(const sounding *s, const plume *up, const downdraft *down, vreal strength, vreal base,
                     const vreal *push_u, const vreal *push_v, vreal *du, vreal *dv);
/* plume_coordinate.c */
void NAMED(lay)(const sounding *s, const plume *up, int below, int cloud, layering *on);
/* Means over the layers: values (level, channel), of the levels below the plume's reach, to means (layer,
 * channel). */
void NAMED(layer_means)(const layering *on, const sounding *s, const vreal *values, vreal *means);
/* Distribute amounts of layers over the levels; levels above the cloud get nothing. */
void NAMED(spread)(const layering *on, const sounding *s, const vreal *amounts, vreal *levels);
/* Channels on the levels and on the layers, (level, channel) and (layer, channel), and scalars. */
void NAMED(features)(const setting *set, const tile *t, const layering *on, vreal *levels, vreal *channels,
                     vreal *scalars);
/* prepared_profiles.c: the layers of a tile of sound columns that pass the parcel test, and what the pure
 * network sees of them; `levels` is scratch. */
void NAMED(prepare)(const setting *set, tile *t, const double *edges, int count, layering *on, vreal *levels,
                    vreal *channels, vreal *scalars, seen *to);
/* energy_closure.c */
closed NAMED(close_energy)(const setting *set, const sounding *s, const plume *up, const downdraft *down,
                           timing times, vreal *scratch);
void NAMED(respond)(const setting *set, const tile *t, const learned *predicted, vreal *scratch,
                    response *out);
/* probe.c */
void NAMED(probe)(const sciml_call *call, const double *strength, const double *push, double *profiles,
                  double *scalars, void *scratch);
#define RESPONSE_SCRATCH (ADJUSTED_PROFILES + 3 + PRESSURE_SCRATCH)

#endif
