/* Outputs of the pure network in its layers: bounded heads, and fluxes that conserve momentum and water; the
 * definition is sciml/convection/layer_outputs.py. */
#include "mskf/layer_outputs.h"

#define BOUND 12.0
#define AMPLITUDE 3.0  /* bound of the logarithm */
#define FLUX 0.02      /* kg/m2/s */
#define PUSH 8.0       /* m/s */
#define CONDENSED 1e-3 /* kg/kg */

INLINE vreal bounded(vreal x, double bound) {
    return bound * tanh_of(x / bound);
}

/* log(1 + exp(x)), exact for small results too. */
INLINE vreal softplus(vreal x) {
    const vreal power = exp_of(at_most(x, 20.0)), sum = 1.0 + power, less = sum - 1.0;
    const vreal exact = log_of(sum) * (power / choose(less > 0.0, less, splat(1.0)));
    return choose(x > 20.0, x, choose(less > 0.0, exact, power));
}

INLINE vreal sigmoid(vreal x) {
    return 1.0 / (1.0 + exp_of(-x));
}

INLINE vreal mass_of(const layering *on, int i) {
    return (on->edge[i + 1] - on->edge[i]) / G;
}

/* Change vapour in proportion to its size, so that the water of the column decreases by the rain. */
static void close_water(const layering *on, vreal *values, vreal rain) {
    const int n = on->layers;
    vreal *const x = values + O_RQV * n, surplus = rain, size = splat(0.0);
    for (int i = 0; i < n; i++) {
        const vreal others = values[O_RQC * n + i] + values[O_RQI * n + i] + values[O_RQR * n + i];
        surplus += mass_of(on, i) * (x[i] + others);
        size += mass_of(on, i) * absolute(x[i]);
    }
    const vreal share = surplus / at_least(size, 1e-30);
    for (int i = 0; i < n; i++)
        x[i] -= share * absolute(x[i]);
}

/* Convergence of the flux of the cloud's wind, zero at both ends. */
static void put_momentum(const layering *on, const seen *of, const vreal *heads, vreal amplitude,
                         vreal *values) {
    const int n = on->layers;
    vreal cloud[2], below[2], inflow[2];
    const vreal direction[2] = {of->cosine, of->sine};
    for (int i = 0; i < n; i++) {
        const vreal *head = heads + i * SCIML_LAYER_HEADS, *wind = of->carried + i * CARRIED;
        const vreal mixing = sigmoid(head[H_MIXING]), shear = bounded(head[H_SHEAR], 2.0);
        const vreal push = bounded(head[H_PUSH], PUSH);
        vreal flux = amplitude * FLUX * bounded(head[H_MOMENTUM], BOUND);
        if (i + 1 == n) flux = splat(0.0);
        for (int d = 0; d < 2; d++) {
            vreal face = wind[d];
            if (i + 1 < n) face = 0.5 * (wind[d] + wind[CARRIED + d]);
            if (i) {
                const vreal given = mixing * face + shear * (face - below[d]) + push * direction[d];
                cloud[d] = (1.0 - mixing) * cloud[d] + given;
            } else {
                cloud[d] = face;
                inflow[d] = splat(0.0);
            }
            const vreal carried = flux * (cloud[d] - face);
            values[(O_RU + d) * n + i] = (inflow[d] - carried) / mass_of(on, i);
            inflow[d] = carried;
            below[d] = face;
        }
    }
}

/* The layer of the largest value of a head, the lowest of equal ones. */
static vreal largest(const vreal *heads, int n, int head) {
    vreal most = heads[head], layer = splat(0.0);
    for (int i = 1; i < n; i++) {
        const vreal x = heads[i * SCIML_LAYER_HEADS + head];
        const vword more = x > most;
        most = choose(more, x, most);
        layer = choose(more, splat(i), layer);
    }
    return layer;
}

void NAMED(decode)(const sciml_emulator *e, const layering *on, const seen *of, const vreal *heads,
                   const vreal column[3], layer_outputs *out) {
    const int n = on->layers;
    const vword deep = out->deep;
    const double *of_class[2] = {e->scale, e->scale + SCIML_SCALES};
    vreal scale[SCIML_SCALES];
    for (int c = 0; c < SCIML_SCALES; c++)
        scale[c] = choose(deep, splat(of_class[1][c]), splat(of_class[0][c]));
    const vreal amplitude = exp_of(bounded(column[0], AMPLITUDE));
    const vreal most = choose(deep, splat(0.6), splat(0.2));
    for (int i = 0; i < n; i++) {
        const vreal *head = heads + i * SCIML_LAYER_HEADS, *here = of->carried + i * CARRIED;
        const vreal *above = i + 1 < n ? here + CARRIED : here;
        const vreal moving = FLUX * bounded(head[H_FLUX], BOUND) / mass_of(on, i);
        for (int c = 0; c <= O_RQR; c++) {
            vreal own = bounded(head[c], BOUND) * scale[c];
            if (c < 2) own += moving * (above[2 + c] - here[2 + c]);
            out->values[c * n + i] = amplitude * own;
        }
        /* the rain of deep convection falls to the ground */
        out->values[O_RQR * n + i] = only(~deep, out->values[O_RQR * n + i]);
        out->values[O_COVER * n + i] = most * sigmoid(head[H_COVER] - 3.0);
        out->values[O_LIQUID * n + i] = CONDENSED * bounded(softplus(head[H_LIQUID] - 3.0), BOUND);
        out->values[O_ICE * n + i] = CONDENSED * bounded(softplus(head[H_ICE] - 5.0), BOUND);
    }
    out->rain = only(deep, scale[5] * amplitude * bounded(softplus(column[1]), 4.0 * BOUND));
    out->time = bounded(column[2], BOUND);
    close_water(on, out->values, out->rain);
    put_momentum(on, of, heads, amplitude, out->values);
    out->top = largest(heads, n, H_TOP);
    out->base = largest(heads, n, H_BASE);
}
