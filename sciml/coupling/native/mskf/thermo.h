/* Moist thermodynamics on lanes; the definition is sciml/convection/thermodynamics.py.
 *
 * Bolton (1980) for saturation and equivalent potential temperature; Kain (2004) for the tables. */
#ifndef SCIML_THERMO_H
#define SCIML_THERMO_H

#include "mskf/tables.h"
#include "mskf/vector_math.h"

#include <string.h>

#define G 9.81
#define R_DRY 287.0
#define CP (7.0 * R_DRY / 2.0)
#define E_ZERO 611.2
#define E_SLOPE 17.67
#define E_SHIFT 29.65
#define E_OFFSET (E_SLOPE * 273.15)
#define RATIO 0.622
#define P_ZERO 1.0e5
#define LAPSE (-G / CP)

/* Saturation mixing ratio (kg/kg) over water at p (Pa) and t (K). */
INLINE vreal saturation(vreal p, vreal t) {
    const vreal e = E_ZERO * exp_of((E_SLOPE * t - E_OFFSET) / (t - E_SHIFT));
    return RATIO * e / (p - e);
}

INLINE vreal virtual(vreal t, vreal q) {
    return t * (1.0 + 0.608 * q);
}
INLINE vreal latent_heat(vreal t) {
    return 3.15e6 - 2370.0 * t;
}

/* d(saturation vapour pressure)/dt over that pressure, 1/K. */
INLINE vreal vapour_slope(vreal t) {
    const vreal d = t - E_SHIFT;
    return (E_OFFSET - E_SLOPE * E_SHIFT) / (d * d);
}

/* Potential over actual temperature in moist air; log_p is log(1e5 Pa / p). */
INLINE vreal exner(vreal log_p, vreal q) {
    return exp_of(0.2854 * (1.0 - 0.28 * q) * log_p);
}
INLINE vreal per_exner(vreal log_p, vreal q) {
    return exp_of(-0.2854 * (1.0 - 0.28 * q) * log_p);
}

/* Equivalent potential temperature (K) of air whose condensation level has temperature t_lcl. */
INLINE vreal equivalent(vreal log_p, vreal t, vreal q, vreal t_lcl) {
    const vreal growth = q * (1.0 + 0.81 * q);
    return t * exp_of(0.2854 * (1.0 - 0.28 * q) * log_p + (3374.6525 / t_lcl - 2.5403) * growth);
}

/* Logarithm of vapour pressure over 611.2 Pa, interpolated in the scheme's table. */
INLINE vreal log_vapour(const sciml_tables *tables, vreal p, vreal q) {
    const vreal ratio = q * p / (E_ZERO * (RATIO + q));
    const vreal place = (ratio - LOG_START) * (1.0 / LOG_STEP);
    const vindex at = whole(between(place, 0.0, LOG_COUNT - 2));
    const vreal weight = place - from_whole(at);
    vreal low = splat(0.0), high = low;
    for (int l = 0; l < LANES; l++) {
        low[l] = tables->logs[at[l]];
        high[l] = tables->logs[at[l] + 1];
    }
    return weight * high + (1.0 - weight) * low;
}

/* Temperature (K) at the lifting condensation level, not yet bounded by t; Bolton (1980), eq. 15. */
INLINE vreal lifted(const sciml_tables *tables, vreal p, vreal t, vreal q) {
    const vreal logarithm = log_vapour(tables, p, q);
    const vreal dew = (E_OFFSET - E_SHIFT * logarithm) / (E_SLOPE - logarithm);
    return dew - (0.212 + 1.571e-3 * (dew - 273.16) - 4.36e-4 * (t - 273.16)) * (t - dew);
}

/* Where a pressure lies in the table of wet adiabats: index below it, weight of the next, and the
 * equivalent potential temperature (K) at which the table begins there. */
typedef struct place {
    vreal index, weight, start;
} place;

INLINE place place_of(const sciml_tables *tables, vreal p) {
    const vreal at = (p - TABLE_TOP) / TABLE_DP;
    const vindex i = whole(between(at, 0.0, TABLE_P - 2));
    const vreal index = from_whole(i), weight = at - index;
    vreal low = splat(0.0), high = low;
    for (int l = 0; l < LANES; l++) {
        low[l] = tables->start[i[l]];
        high[l] = tables->start[i[l] + 1];
    }
    return (place){index, weight, low + (high - low) * weight};
}

typedef struct wet {
    vreal t, q; /* K, kg/kg */
} wet;

/* The four corners of the table's cell at `cell` = row * TABLE_P + column. */
INLINE void corners(const sciml_tables *tables, vindex cell, vreal t[4], vreal q[4]) {
    const float *table = &tables->wet[0][0][0];
    for (int row = 0; row < 2; row++, cell += TABLE_P) {
        const float *from[LANES]; /* temperature and mixing ratio at this pressure, and at the next */
        vreal pair[4];
        for (int l = 0; l < LANES; l++)
            from[l] = table + 2 * cell[l];
#if HAS_FOURS
        load_fours(from, pair);
#else
        for (int l = 0; l < LANES; l++)
            for (int c = 0; c < 4; c++)
                pair[c][l] = from[l][c];
#endif
        t[row] = pair[0];
        q[row] = pair[1];
        t[2 + row] = pair[2];
        q[2 + row] = pair[3];
    }
}

/* Saturated air of equivalent potential temperature theta (K) at a place: bilinear in the table. */
INLINE wet wet_adiabat(const sciml_tables *tables, place at, vreal theta) {
    const vreal height = theta - at.start;
    const vindex row = whole(between(height, 0.0, TABLE_TH - 2));
    const vreal up = height - from_whole(row), along = at.weight;
    vreal t[4], q[4];
    corners(tables, row * TABLE_P + whole(at.index), t, q);
    const vreal both = up * along;
    return (wet){
        t[0] + (t[1] - t[0]) * up + (t[2] - t[0]) * along + (t[0] - t[1] - t[2] + t[3]) * both,
        q[0] + (q[1] - q[0]) * up + (q[2] - q[0]) * along + (q[0] - q[1] - q[2] + q[3]) * both,
    };
}

#endif
