/* The duration of convection, the bound of its strength, and the compensating subsidence; the definition is
 * sciml/convection/adjustment.py. */
#include "mskf/physics.h"

#define MOST_STEPS 200.0
#define DAY 86400.0 /* s: the longest duration and hold */
#define KAPPA 0.2854

timing NAMED(timing)(const setting *set, const sounding *s, const plume *up) {
    vreal middle = splat(0.0);
    for (int k = 1; k < s->levels; k++)
        middle = choose(s->p[k] >= 0.5 * s->p[0], splat(k), middle);
    const vreal u_low = at_level(s->u, up->cloud_base), v_low = at_level(s->v, up->cloud_base);
    const vreal u_mid = at_level(s->u, middle), v_mid = at_level(s->v, middle);
    const vreal wind = 0.5 * (root(u_low * u_low + v_low * v_low) + root(u_mid * u_mid + v_mid * v_mid));
    const vreal passing = set->dx / at_least(wind, 1e-6);
    const vreal length = MAX(up->least_height, up->height) * set->factor;
    const vreal rise = MAX(up->z_lcl, at_level(s->z, up->source_top));
    const vreal warmth = G / s->t[0] * at_least(s->hfx, 0.0) / (s->rho[0] * CP);
    const vreal heating = power_of(at_least(warmth * rise, 1e-30), 0.333);
    const vreal friction = 3.8 * s->ust * s->ust;
    const vreal instability = at_least(-s->zol, 0.0);
    const vreal stirring = only(instability > 0.0, power_of(at_least(instability, 1e-300), 2.0 / 3.0));
    const vreal unstable = friction + 0.22 * heating * heating + 1.9 * s->ust * s->ust * stirring;
    const vreal velocity = at_least(root(choose(s->zol <= 0.0, unstable, friction)), 0.1);
    const vreal cape = choose(up->cape <= 0.0, splat(1.0), up->cape);
    const vreal time = MAX(passing, length / power_of(0.03 * velocity * cape, 0.3333));
    /* bounded before the conversion to an integer: in calm air it is infinite */
    const vreal steps = floor_of(at_most(time / set->dt + 0.5, 2e9));
    const vreal adjustment = at_most(steps * set->dt, DAY);
    const vreal passing_steps = floor_of(at_most(passing / set->dt + 0.5, 2e9));
    const vreal day = at_least(floor_of(at_most(splat(DAY / set->dt), 2e9)), 1.0);
    vreal counter = MIN(choose(passing < adjustment, passing_steps, steps), day) * set->dt;
    counter = choose(up->kind == (double)SHALLOW, splat(set->cudt * 60.0), counter);
    return (timing){adjustment, counter};
}

vreal NAMED(shallow_strength)(const plume *up, timing times) {
    /* where no plume rose there is no flux: the answer is not used, but must not divide by zero */
    return 0.25 * up->source_depth / (at_least(up->flux_lcl, 1e-12) * G * times.adjustment);
}

vreal NAMED(greatest_strength)(const sounding *s, const plume *up, const downdraft *down, timing times) {
    vreal limit = splat(1e3);
    const vreal highest = MAX(up->cloud_base, down->start);
    const int top = (int)greatest(highest);
    for (int k = 0; k <= top; k++) {
        const vreal inflow = (up->entrained[k] + down->entrained[k]) * up->flux_lcl;
        const vword within = (k >= up->base) & (k <= highest) & (inflow > 1e-12);
        const vreal least = s->dp[k] / (G * (at_least(inflow, 1e-12) * times.adjustment));
        limit = choose(within, MIN(least, limit), limit);
    }
    return limit;
}

carriage NAMED(load_air)(const sounding *s, const plume *up, const downdraft *down, int species,
                         vreal *scratch) {
    const vreal zero = splat(0.0);
    const int reach = up->reach, levels = s->levels;
    carriage c = {.species = species, .reach = reach};
    vreal **parts[3] = {&c.through, &c.per_mass, &c.rate};
    for (int i = 0; i < 3; i++)
        *parts[i] = scratch + i * levels;
    for (int x = 0; x < SPECIES; x++) {
        c.source[x] = scratch + (3 + x) * levels;
        c.state[x] = scratch + (3 + SPECIES + x) * levels;
    }
    c.theta = scratch + (3 + 2 * SPECIES) * levels;
    const vword shallow = up->kind == (double)SHALLOW;
    vreal through = zero, fastest = zero, below = s->dp[0];
    for (int k = 0; k < reach; k++) {
        const vword cloud = k <= up->top;
        const vreal detrained = up->detrained[k], d_detrained = down->detrained[k];
        const vreal taken = up->entrained[k] + down->entrained[k];
        const vreal log_p = s->log_p[k], dp = s->dp[k];
        c.through[k] = only(cloud, through);
        /* the scheme's Courant rule compares with the layer below each face */
        fastest = MAX(absolute(c.through[k]) / below, fastest);
        below = dp;
        through += only(cloud, detrained + d_detrained - taken);
        c.per_mass[k] = only(cloud, G / dp);
        c.theta[k] = s->t[k] * exner(log_p, s->q[k]);
        /* without detrainment the value is not used: zero times it is zero */
        vreal theta_u = zero, theta_d = zero;
        if (any(detrained != 0.0)) theta_u = up->t[k] * exner(log_p, up->q_undiluted[k]);
        if (any(d_detrained != 0.0)) theta_d = down->t[k] * exner(log_p, down->q[k]);
        c.source[0][k] = detrained * theta_u + d_detrained * theta_d - taken * c.theta[k];
        c.source[1][k] = detrained * up->q_undiluted[k] + d_detrained * down->q[k] - taken * s->q[k];
        if (species == 2) continue;
        c.source[2][k] = up->detrained_liquid[k];
        c.source[3][k] = up->detrained_ice[k];
        c.source[4][k] = only(shallow, up->rain[k]);
    }
    c.fastest = fastest * G;
    return c;
}

INLINE void carry_species(const carriage *c, int species, vreal steps) {
    const int most = (int)greatest(steps), reach = c->reach;
    for (int number = 0; number < most; number++) {
        const vreal going = only(steps > (double)number, splat(1.0));
        vreal face[SPECIES]; /* through the bottom of the lowest layer: nothing */
        for (int x = 0; x < species; x++)
            face[x] = splat(0.0);
        for (int k = 0; k < reach; k++) {
            const vreal rate = going * c->rate[k];
            vreal through = splat(0.0);
            if (k + 1 < reach) through = c->through[k + 1];
            const vreal up = at_least(through, 0.0), fall = at_most(through, 0.0);
#pragma GCC unroll 5
            for (int x = 0; x < species; x++) {
                const vreal here = c->state[x][k];
                vreal above = splat(0.0);
                if (k + 1 < reach) above = c->state[x][k + 1];
                const vreal next = up * here + fall * above;
                c->state[x][k] = here + (face[x] - next + c->source[x][k]) * rate;
                face[x] = next;
            }
        }
    }
}

void NAMED(carry)(const carriage *c, const sounding *s, vreal time, vreal flux, vword lanes) {
    const vreal step = MIN(0.75 / at_least(c->fastest * flux, 1e-12), time);
    const vreal steps = floor_of(at_most(time / step + 1.5, MOST_STEPS)), per_step = time / steps * flux;
    for (int k = 0; k < c->reach; k++) {
        c->rate[k] = per_step * c->per_mass[k];
        c->state[0][k] = c->theta[k];
        c->state[1][k] = s->q[k];
        for (int x = 2; x < c->species; x++)
            c->state[x][k] = splat(0.0);
    }
    if (c->species == 2)
        carry_species(c, 2, only(lanes, steps));
    else
        carry_species(c, SPECIES, only(lanes, steps));
}

void NAMED(adjust)(const sounding *s, const plume *up, const downdraft *down, timing times, vreal strength,
                   vreal *scratch, adjusted *out) {
    const vreal zero = splat(0.0), per_time = 1.0 / times.adjustment;
    const carriage c = NAMED(load_air)(s, up, down, SPECIES, scratch);
    NAMED(carry)(&c, s, times.adjustment, up->flux_lcl * strength, up->kind != (double)NONE);
    for (int k = 0; k < s->levels; k++) {
        out->rth[k] = out->rqv[k] = out->rqc[k] = out->rqi[k] = out->rqr[k] = zero;
        out->t[k] = s->t[k];
        out->q[k] = s->q[k];
        if (k >= up->reach) continue;
        const vword cloud = k <= up->top;
        const vreal q = c.state[1][k], t = c.state[0][k] * per_exner(s->log_p[k], q);
        out->rth[k] = only(cloud, (t - s->t[k]) * per_time / s->pi[k]);
        out->rqv[k] = only(cloud, (q - s->q[k]) * per_time);
        out->rqc[k] = c.state[2][k] * per_time;
        out->rqi[k] = c.state[3][k] * per_time;
        out->rqr[k] = c.state[4][k] * per_time;
        out->t[k] = t;
        out->q[k] = q;
    }
}
