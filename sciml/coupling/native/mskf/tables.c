/* The scheme's tables, computed once; the definitions are sciml/convection/wet_table.py and
 * thermodynamics.py.
 *
 * The scheme's own secant iteration, with its tolerance and its roundings: every operation in single
 * precision, exponentials in double, then rounded. */
#include "mskf/tables.h"

#include <math.h>

#define ROUNDS 11
#define TOLERANCE 1e-3f /* K of equivalent potential temperature */
#define FIRST_T 150.0f

/* Equivalent potential temperature (K) and mixing ratio of saturated air; Bolton (1980), eqs. 10 and 43. */
static float equivalent(float p, float t, float *vapour) {
    const float scale = 0.6112f * 1000.0f, offset = 17.67f * 273.15f;
    const float e = scale * (float)exp((double)((17.67f * t - offset) / (t - 29.65f)));
    const float q = 0.622f * e / (p - e);
    const float power = 0.2854f * (1.0f - 0.28f * q);
    const float exner = (float)pow((double)(1.0e5f / p), (double)power);
    *vapour = q;
    return t * exner * (float)exp((double)((3374.6525f / t - 2.5403f) * q * (1.0f + 0.81f * q)));
}

/* Temperature (K) of saturated air of equivalent potential temperature `target`, from the guess t. */
static float invert(float p, float target, float t, float *vapour) {
    float last = t, off_last = equivalent(p, t, vapour) - target;
    t = last - 0.5f * off_last;
    for (int n = 0; n < ROUNDS; n++) {
        const float off = equivalent(p, t, vapour) - target;
        if (fabsf(off) < TOLERANCE) break;
        const float change = off * (t - last) / (off - off_last);
        last = t;
        off_last = off;
        t = t - change;
    }
    return t;
}

void sciml_tables_fill(sciml_tables *tables) {
    for (int n = 0; n < LOG_COUNT; n++)
        tables->logs[n] = log(n * LOG_STEP + LOG_START);
    const float spacing = (float)TABLE_DP;
    float p = (float)TABLE_TOP - spacing;
    for (int i = 0; i < TABLE_P; i++) {
        float t = FIRST_T, vapour;
        p = p + spacing; /* summed, as in the scheme */
        tables->start[i] = equivalent(p, t, &vapour);
        float target = tables->start[i] - 1.0f;
        for (int n = 0; n < TABLE_TH; n++) {
            target = target + 1.0f;
            t = invert(p, target, t, &vapour);
            tables->wet[n][i][0] = t;
            tables->wet[n][i][1] = vapour;
        }
    }
}
