/* The ascent of a plume through one level: saturated ascent, freezing, fallout, mixing with its surroundings;
 * the definition is sciml/convection/updraft.py. */
#include "mskf/updraft_lanes.h"

#define CONVERSION 0.03

/* Air saturated or not, mixed from updraft and environment: virtual temperature with condensate. */
INLINE vreal mixture(const sciml_tables *tables, place at, vreal theta, vreal q, vreal water) {
    const wet air = wet_adiabat(tables, at, theta);
    const vreal deficit = air.q - q;
    const vreal rate = latent_heat(air.t) / (1004.5 * (1.0 + 0.89 * q));
    const vword dry = deficit > water, empty = water < 1e-10;
    const vreal missing = choose(empty, deficit, deficit - water);
    const vreal t = air.t + only(dry, rate * (missing / (1.0 + missing)));
    const vreal q_mixed = choose(dry, choose(empty, q, q + water), air.q);
    const vreal rest = at_least(water - deficit, 0.0) * water / (water + 1e-10);
    const vreal left = choose(deficit <= 0.0, water, rest);
    return t * (1.0 + 0.608 * q_mixed - left);
}

/* Entrained and detrained shares for a critical mixed fraction: Gaussian integrals by Abramowitz and
 * Stegun 26.2.16, as the scheme takes them. */
INLINE void mixing(vreal fraction, vreal *entrained, vreal *detrained) {
    const double sigma = 0.166666667, root_2pi = 2.506628, norm = 0.202765151;
    const double a1 = 0.4361836, a2 = -0.1201676, a3 = 0.9372980, e45 = 0.011108996538242306, t1 = 0.500498;
    const double c1 = t1 * (a1 + t1 * (a2 + t1 * a3));
    const vreal y = 6.0 * fraction - 3.0;
    const vreal ey = exp_of(-0.5 * y * y);
    const vreal t2 = 1.0 / (1.0 + 0.33267 * absolute(y));
    const vreal c2 = t2 * (a1 + t2 * (a2 + t2 * a3));
    const vreal edge = sigma * (e45 - ey);
    const vreal wide = sigma * (0.5 * (root_2pi - e45 * c1 - ey * c2) + edge);
    const vreal slim = sigma * (0.5 * (ey * c2 - e45 * c1) + edge);
    const vword right = y >= 0.0;
    const vreal square = fraction * fraction;
    *entrained = (choose(right, wide, slim) - e45 * square / 2.0) / norm;
    *detrained = (choose(right, slim, wide) - e45 * (0.5 + square / 2.0 - fraction)) / norm;
}

/* A profile's value at every lane's own column and level. */
#define TAKE(profile) take(here, (s0->profile - s0->block) * LANES)
INLINE vreal take(const double *const here[LANES], ptrdiff_t field) {
    vreal x;
    for (int l = 0; l < LANES; l++)
        x[l] = here[l][field];
    return x;
}

vword NAMED(rise)(const setting *set, chain *c, const sounding *s0) {
    const double *here[LANES];
    vreal *const S = (vreal *)(void *)c->state;
    const vreal unity = splat(1.0), zero = splat(0.0), level = S[S_LEVEL];
    for (int l = 0; l < LANES; l++)
        here[l] = c->block[l] + whole(level)[l] * LANES;
    const vreal p = TAKE(p), tv_env = TAKE(tv), z = TAKE(z), q_env = TAKE(q), dp = TAKE(dp);
    const vreal theta_env = TAKE(theta_e), log_p = TAKE(log_p);
    const place at = {TAKE(index), TAKE(weight), TAKE(start)};
    vreal theta = S[S_THETA], q = S[S_Q], liquid = S[S_LIQUID], ice = S[S_ICE];
    const vreal flux = S[S_FLUX];

    /* saturated ascent to this level */
    const wet air = wet_adiabat(set->tables, at, theta);
    vreal t = air.t;
    const vreal deficit = air.q - q, fresh = at_least(-deficit, 0.0), water = liquid + ice;
    const vword short_of_water = deficit > 0.0, dry = short_of_water & ~(water >= deficit),
                empty = water < 1e-10;
    vreal share_left = choose(short_of_water & ~dry, 1.0 - deficit / (water + 1e-10), unity);
    const vreal rate = latent_heat(t) / (1004.5 * (1.0 + 0.89 * q));
    const vreal missing = choose(empty, deficit, deficit - water);
    t += only(dry, rate * (missing / (1.0 + missing)));
    q = choose(dry, choose(empty, q, q + water), air.q);
    share_left = choose(dry & ~empty, zero, share_left);
    liquid *= share_left;
    ice *= share_left;

    /* freezing */
    const vword cold = t <= FREEZE_START;
    vreal fresh_liquid = fresh;
    if (any(cold)) {
        const vreal bounded = at_most(S[S_FREEZING], FREEZE_START), range = bounded - FREEZE_END;
        const vreal span = choose(absolute(range) < 1e-6, splat(1e-6), range);
        const vreal share = only(cold, choose(t > FREEZE_END, (bounded - t) / span, unity));
        S[S_FREEZING] = choose(cold, t, S[S_FREEZING]);
        const vreal frozen = (liquid + fresh) * share, d = t - 273.16;
        fresh_liquid = choose(cold, fresh - fresh * share, fresh);
        const vreal ice_now = ice + liquid * share;
        liquid = choose(cold, liquid - liquid * share, liquid);
        const vreal sublimation = 2833922.0 - 259.532 * d, fusion = sublimation - (2.5e6 - 2369.276 * d);
        const vreal capacity = 1004.5 * (1.0 + 0.89 * q) + sublimation * q * vapour_slope(t);
        const vreal warmer = t + fusion * frozen / capacity;
        const vreal q_frozen = saturation(p, warmer);
        ice = choose(cold, ice_now - (q_frozen - q), ice);
        theta = choose(cold, equivalent(log_p, warmer, q_frozen, warmer), theta);
        t = choose(cold, warmer, t);
        q = choose(cold, q_frozen, q);
    }
    const vreal tv = virtual(t, q);

    /* vertical velocity and fallout */
    const vreal depth = z - S[S_Z_BELOW], per_tv = 1.0 / (S[S_TV_BELOW] + tv_env);
    const vreal buoyancy = (S[S_TV] + tv) * per_tv - 1.0;
    const vreal drag = 2.0 * G / 1.5 * depth;
    const vreal gain = drag * buoyancy - 2.0 * S[S_INFLOW] * S[S_ENERGY] / S[S_BEFORE];
    const vreal guess = at_least(S[S_ENERGY] + gain - drag * 0.5 * (liquid + ice + fresh), 0.0);
    const vreal mean = 0.5 * (root(S[S_ENERGY]) + root(guess));
    const vreal loss = exp_of(-CONVERSION / set->factor * depth / mean);
    const vreal fresh_share = fresh_liquid / (fresh + 1e-8);
    const vreal involved = liquid + ice + 0.6 * fresh;
    const vreal liquid_share = (0.6 * fresh_liquid + liquid) / (involved + 1e-8);
    const vreal staying = involved * loss, fallen = involved - staying;
    vreal energy = S[S_ENERGY] + gain - drag * 0.5 * (involved + staying - 0.2 * fresh);
    energy = choose(absolute(energy) < 1e-4, splat(1e-4), energy);
    liquid = liquid_share * staying + fresh_share * 0.4 * fresh;
    ice = (1.0 - liquid_share) * staying + (1.0 - fresh_share) * 0.4 * fresh;
    const vreal out_liquid = liquid_share * fallen, out_ice = (1.0 - liquid_share) * fallen;
    const vword rising = energy >= 1e-3;

    /* mixing with the surroundings */
    const vreal inflow = dp * S[S_MIX];
    const vreal loaded = t * (1.0 + 0.608 * q - liquid - ice);
    const vreal work = ((S[S_LOADED] + loaded) * per_tv - 1.0) * depth;
    const vword buoyant = loaded > tv_env;
    vreal e2 = splat(0.5), d2 = unity;
    if (any(buoyant & rising)) {
        const vreal condensate = liquid + ice;
        const vreal mostly = mixture(set->tables, at, 0.95 * theta_env + 0.05 * theta,
                                     0.95 * q_env + 0.05 * q, 0.05 * condensate);
        const vreal little =
            mixture(set->tables, at, 0.1 * theta_env + 0.9 * theta, 0.1 * q_env + 0.9 * q, 0.9 * condensate);
        const vreal change = little - loaded;
        const vword flat = absolute(change) < 1e-3;
        const vreal critical = between((tv_env - loaded) * 0.1 / choose(flat, unity, change), 0.0, 1.0);
        vreal e, d;
        mixing(critical, &e, &d);
        const vword all_in = (mostly > tv_env) | flat | (critical >= 1.0), none_in = critical <= 0.0;
        e = choose(all_in, unity, choose(none_in, zero, e));
        d = choose(all_in, zero, choose(none_in, unity, d));
        e2 = at_least(choose(buoyant, e, e2), 0.5);
        d2 = choose(buoyant, d, d2);
    }
    d2 *= 1.5;
    const vreal entrained = 0.5 * inflow * (S[S_E] + e2), detrained = 0.5 * inflow * (S[S_D] + d2);
    const vreal remaining = flux - detrained;
    const vword goes_on = rising & (remaining * S[S_FLUX_LCL] * set->dx * set->dx >= 10.0);
    /* a plume that detrains altogether ends a level lower */
    S[S_TURN] = choose(goes_on & buoyant, level, choose(rising & ~goes_on, level - 1.0, S[S_TURN]));
    S[S_CAPE] += only(goes_on, at_least(work * G, 0.0));
    const vreal left = choose(goes_on, remaining, unity), diluted = left + entrained,
                per_diluted = 1.0 / diluted;
    vreal *row = c->ring + (ptrdiff_t)c->row * PLUME_PROFILES;
    const vreal q_mixed = (left * q + entrained * q_env) * per_diluted;
    row[0] = diluted;
    row[1] = entrained + only(level <= S[S_SOURCE_TOP], dp * S[S_PER_DEPTH]);
    row[2] = detrained;
    row[3] = t;
    row[4] = q;
    row[5] = q_mixed;
    row[6] = liquid * left * per_diluted;
    row[7] = ice * left * per_diluted;
    row[8] = out_liquid * flux;
    row[9] = out_ice * flux;
    row[10] = out_liquid;
    row[11] = out_ice;
    row[12] = diluted / left;
    S[S_THETA] = (theta * left + theta_env * entrained) * per_diluted;
    S[S_Q] = q_mixed;
    S[S_LIQUID] = row[6];
    S[S_ICE] = row[7];
    S[S_FLUX] = diluted;
    S[S_BEFORE] = left;
    S[S_INFLOW] = inflow;
    S[S_ENERGY] = energy;
    S[S_E] = e2;
    S[S_D] = d2;
    S[S_TV] = tv;
    S[S_LOADED] = loaded;
    S[S_Z_BELOW] = z;
    S[S_TV_BELOW] = tv_env;
    S[S_LEVEL] = level + 1.0;
    return goes_on;
}
