/* The scheme's tables, computed once; see sciml/convection/thermodynamics.py, which is the definition. */
#include "mskf/tables.h"

#include <math.h>

static double saturated(double p, double t) {
    const double e = 611.2 * exp((17.67 * t - 17.67 * 273.15) / (t - 29.65));
    return 0.622 * e / (p - e);
}

/* Equivalent potential temperature (K) of saturated air; Bolton (1980), eq. 43. */
static double equivalent(double p, double t) {
    const double q = saturated(p, t);
    return t * exp(0.2854 * (1.0 - 0.28 * q) * log(1.0e5 / p)) *
           exp((3374.6525 / t - 2.5403) * (q * (1.0 + 0.81 * q)));
}

/* The temperature (K) at which saturated air has equivalent potential temperature `target`. */
static double invert(double p, double target, double t) {
    for (int n = 0; n < 40; n++) {
        const double slope = (equivalent(p, t + 1e-4) - equivalent(p, t - 1e-4)) / 2e-4;
        const double change = (equivalent(p, t) - target) / slope;
        t -= fmin(fmax(change, -2.0), 2.0);
        if (fabs(change) < 1e-11) break;
    }
    return t;
}

void sciml_tables_fill(sciml_tables *tables) {
    for (int n = 0; n < LOG_COUNT; n++)
        tables->logs[n] = log(n * LOG_STEP + LOG_START);
    for (int i = 0; i < TABLE_P; i++) {
        const double p = TABLE_TOP + TABLE_DP * i;
        double t = 150.0;
        const double start = equivalent(p, t);
        tables->start[i] = (float)start;
        for (int n = 0; n < TABLE_TH; n++) {
            if (n) t = invert(p, start + n, t);
            tables->wet[n][i][0] = (float)t;
            tables->wet[n][i][1] = (float)saturated(p, t);
        }
    }
}
