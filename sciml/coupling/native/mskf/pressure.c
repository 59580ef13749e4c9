/* The pressure gradient that a cloud meets in sheared surroundings; the definition is
 * sciml/convection/pressure.py. */
#include "mskf/circulation.h"

#define MODES 10
#define TOGETHER 5 /* modes solved at a time: chains that do not wait for each other */

/* Roots of J1, and the values of J0 at them and of J1 at the cloud's edge, that the series needs. */
static const double ROOTS[MODES] = {3.83170, 7.01560, 10.1735, 13.3237, 16.4705,
                                    19.6120, 22.7560, 25.8980, 29.0480, 32.1926};
static const double AT_ROOT[MODES] = {-0.402759, 0.300116,  -0.249705, 0.218359,  -0.196465,
                                      0.180062,  -0.167183, 0.156722,  -0.148011, 0.140605};
static const double AT_EDGE[MODES] = {0.114193, 0.205841, 0.291209, 0.368619, 0.436201,
                                      0.492233, 0.535486, 0.564886, 0.579879, 0.580195};
/* Projections of the circulation on the modes. */
static const double CIRCULATION[MODES] = {4.33675e-05, 7.88429e-05, 1.13065e-04, 1.45836e-04, 1.76823e-04,
                                          2.05660e-04, 2.32101e-04, 2.55829e-04, 2.76672e-04, 2.94347e-04};
static const double STRETCHING[MODES] = {-8.64731e-05, -1.56092e-04, -2.21315e-04, -2.80995e-04,
                                         -3.33799e-04, -3.78455e-04, -4.14020e-04, -4.39600e-04,
                                         -4.54652e-04, -4.58761e-04};

typedef struct elliptic {
    vreal *up_link, *down_link, *right_u, *right_v, *total_u, *total_v, *total_own;
    vreal *first, *second, *third; /* the forcing by the circulation */
    vreal *work;                   /* (level, 4, TOGETHER) */
} elliptic;

INLINE vreal middle(const vreal *x, int k, int levels) {
    vreal face = x[k];
    if (k + 1 < levels) face = 0.5 * (face + x[k + 1]);
    return face;
}

/* Thomas' algorithm from the lid down and back up to the cloud's top, for TOGETHER modes; the right-hand
 * sides are zero from `reach` on. */
INLINE void solve(const elliptic *e, int first, int levels, int reach) {
    vreal ratio[TOGETHER], u[TOGETHER], v[TOGETHER], w[TOGETHER];
    double decay[TOGETHER], weight[TOGETHER], share[3][TOGETHER];
    for (int m = 0; m < TOGETHER; m++) {
        ratio[m] = splat(-1.0); /* no gradient through the lid */
        u[m] = v[m] = w[m] = splat(0.0);
        const int n = first + m;
        const double r = ROOTS[n] / FAR, size = AT_EDGE[n] / AT_ROOT[n];
        const double per = 2.0 / (4.0 * CLOUD_RADIUS / (FAR * FAR) * AT_EDGE[n]);
        decay[m] = r * r;
        weight[m] = size * size;
        share[0][m] = per * CIRCULATION[n];
        share[1][m] = per * (STRETCHING[n] - CIRCULATION[n]);
        share[2][m] = per * AT_EDGE[n];
    }
    for (int k = levels - 2; k > 0; k--) {
        vreal *row = e->work + k * 4 * TOGETHER;
        const vreal up = e->up_link[k], down = e->down_link[k], sum = up + down;
#pragma GCC unroll 5
        for (int m = 0; m < TOGETHER; m++) {
            const vreal per_pivot = -reciprocal(sum + decay[m] + up * ratio[m]);
            ratio[m] = down * per_pivot;
            row[m] = ratio[m];
            if (k < reach) {
                u[m] = (e->right_u[k] - up * u[m]) * per_pivot;
                v[m] = (e->right_v[k] - up * v[m]) * per_pivot;
                row[TOGETHER + m] = u[m];
                row[2 * TOGETHER + m] = v[m];
                const vreal own =
                    share[0][m] * e->first[k] + share[1][m] * e->second[k] + share[2][m] * e->third[k];
                w[m] = (own - up * w[m]) * per_pivot;
                row[3 * TOGETHER + m] = w[m];
            }
        }
    }
    /* at the ground: the same value as the level above */
    for (int m = 0; m < TOGETHER; m++) {
        const vreal per = 1.0 / (1.0 + ratio[m]);
        u[m] *= per;
        v[m] *= per;
        w[m] *= per;
    }
    for (int k = 1; k < reach && k < levels - 1; k++) {
        const vreal *row = e->work + k * 4 * TOGETHER;
        vreal sum_u = e->total_u[k], sum_v = e->total_v[k], sum_own = e->total_own[k];
#pragma GCC unroll 5
        for (int m = 0; m < TOGETHER; m++) {
            u[m] = row[TOGETHER + m] - row[m] * u[m];
            v[m] = row[2 * TOGETHER + m] - row[m] * v[m];
            sum_u += u[m] * weight[m];
            sum_v += v[m] * weight[m];
            w[m] = row[3 * TOGETHER + m] - row[m] * w[m];
            sum_own += w[m] * weight[m];
        }
        e->total_u[k] = sum_u;
        e->total_v[k] = sum_v;
        e->total_own[k] = sum_own;
    }
}

void NAMED(pressure_push)(const setting *set, const sounding *s, const plume *up, const downdraft *down,
                          vreal base, vreal *scratch, vreal *push_u, vreal *push_v, vreal *own) {
    const vreal zero = splat(0.0), top = up->top;
    const int levels = s->levels, reach = up->reach;
    elliptic e;
    vreal **parts[] = {&e.up_link, &e.down_link, &e.right_u,   &e.right_v, &e.total_u,
                       &e.total_v, &e.first,     &e.total_own, &e.second,  &e.third};
    const int count = sizeof parts / sizeof *parts;
    for (int i = 0; i < count; i++)
        *parts[i] = scratch + i * levels;
    vreal *const rest = scratch + count * levels; /* 2 profiles, then the solver's */
    e.work = rest + 2 * levels;
    for (int k = 0; k < levels; k++)
        push_u[k] = push_v[k] = own[k] = zero;
    if (levels < 3) return;
    vreal dense[2]; /* at the levels from which the areas are taken */
    const vreal start = choose((down->start > top) | (down->start < base), base + 1.0, down->start);
    const vreal from = at_most(start, levels - 1);
    const vreal p_up = base, places[2] = {p_up, from};
    for (int i = 0; i < 2; i++) {
        const vreal next = at_most(places[i] + 1.0, levels - 1);
        const vreal low = at_level(s->p, places[i]) / (R_DRY * at_level(s->t, places[i]));
        dense[i] = 0.5 * (low + at_level(s->p, next) / (R_DRY * at_level(s->t, next)));
    }
    const vreal whole_up = at_level(up->flux, base) / dense[0],
                whole_down = at_level(down->flux, from) / dense[1];
    const drafts areas = {start, whole_up, whole_down};
    circulation_forcing(set, s, up, down, base, &areas, rest, e.first, e.second, e.third);

    vreal lower_net = zero, lower_area = zero, lower_speed = zero, lower_u = zero, lower_v = zero;
    for (int k = 0; k < levels; k++) {
        if (k > 0 && k + 1 < levels) { /* ground and lid have no equation */
            e.up_link[k] = 1.0 / (s->dz[k] * (s->z[k + 1] - s->z[k]));
            e.down_link[k] = 1.0 / (s->dz[k] * (s->z[k] - s->z[k - 1]));
        }
        if (k >= reach) continue;
        const vreal density = s->p[k] / (R_DRY * s->t[k]), face = face_density(s, k);
        const vreal net = up->flux[k] - down->flux[k];
        const vreal area = only(k <= top, whole_up) + only(k <= start, whole_down);
        const vreal speed = only(area > 0.0, net / (face * at_least(area, 1e-30)));
        const vreal u = middle(s->u, k, levels), v = middle(s->v, k, levels);
        const vword rising = (k > base) & (k <= top) & (net > 0.0) & (lower_net > 0.0);
        const vreal forcing = density * (0.5 * (speed + lower_speed)) / s->dz[k];
        e.right_u[k] = only(rising, forcing * (u - lower_u));
        e.right_v[k] = only(rising, forcing * (v - lower_v));
        e.total_u[k] = e.total_v[k] = e.total_own[k] = zero;
        /* what turns the sum of the modes into a change of the cloud's wind; stored in the output array */
        const vreal lift = at_least(0.5 * (net + lower_net), 1e-12), mid_area = 0.5 * (area + lower_area);
        const vreal factor = -s->dz[k] * mid_area * (4.0 / (FAR * FAR)) / lift;
        push_u[k] = push_v[k] = own[k] = only(rising & (k < top), factor);
        lower_net = net;
        lower_area = area;
        lower_speed = speed;
        lower_u = u;
        lower_v = v;
    }
    for (int m = 0; m < MODES; m += TOGETHER)
        solve(&e, m, levels, reach);
    /* adding zero makes a negative zero, which would depend on the tile's other columns, a positive one */
    for (int k = 0; k < reach; k++) {
        push_u[k] = push_u[k] * e.total_u[k] + 0.0;
        push_v[k] = push_v[k] * e.total_v[k] + 0.0;
        own[k] = own[k] * e.total_own[k] + 0.0;
    }
}
