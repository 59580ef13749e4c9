/* From an ascent to a cloud: its top is closed, the source layer below its base filled in, and what
 * detrains worked out; the definition is sciml/convection/updraft.py (_finish). */
#include "mskf/physics.h"

void NAMED(close)(const sounding *s, plume *up) {
    const vreal zero = splat(0.0), one = splat(1.0);
    const vreal turn =
        choose(up->kind == (double)SHALLOW, MAX(up->source_top, up->cloud_base), up->buoyancy_top);
    const vreal at_turn = at_level(up->flux, turn), top = up->top, start = up->cloud_base - 1.0;
    const int reach = (int)greatest(top) + 1;
    up->reach = reach < s->levels ? reach : s->levels;
    vreal depth = zero;
    for (int k = 0; k < up->reach; k++)
        depth += only((k > turn) & (k <= top), s->dp[k]);
    const vreal per_depth = 1.0 / at_least(depth, 1e-6), per_source = 1.0 / up->source_depth;
    vreal passed = zero, share_passed = zero, below = zero, closed_below = zero;
    for (int k = 0; k < up->reach; k++) {
        const vreal level = splat(k);
        const vword above = (level > turn) & (level <= top), last = above & (level == top);
        const vword at_once = (turn == top) & (level == top);
        const vreal given = up->flux[k], dilution = up->dilution[k];
        passed += only(above, s->dp[k]);
        vreal flux = choose(above, at_turn * (1.0 - passed * per_depth), given);
        vreal entrained = choose(above, only(~last, flux * (1.0 - 1.0 / dilution)), up->entrained[k]);
        vreal detrained = choose(above, below - only(~last, flux - entrained), up->detrained[k]);
        below = flux;
        /* the scheme leaves the flux of the topmost level as the plume had it; its cloud fraction shows that
         */
        flux = choose(last, given, flux);
        detrained = choose(at_once, given + detrained - entrained, detrained);
        entrained = only(~at_once, entrained);
        flux = only(~at_once, flux);
        const vword higher = (level >= turn + 2.0) & (level <= top);
        const vreal rain = choose(higher, closed_below * up->out_liquid[k], up->rain[k]);
        const vreal snow = choose(higher, closed_below * up->out_ice[k], up->snow[k]);
        closed_below = flux;

        const vword inside = (level >= up->base) & (level <= start),
                    mixed = inside & (level <= up->source_top);
        const vreal share = only(mixed, s->dp[k] * per_source);
        share_passed += share;
        flux = choose(inside, choose(mixed, share_passed, one), flux);
        const vword cloud = (level > start) & (level <= top), layers = cloud | inside;
        up->flux[k] = only(layers, flux);
        up->entrained[k] = only(layers, choose(inside, share, entrained));
        up->detrained[k] = only(cloud, detrained);
        up->t[k] = only(layers, choose(inside, up->t_mix + (s->z[k] - up->z_mix) * LAPSE, up->t[k]));
        up->q[k] = only(layers, choose(inside, up->q_mix, up->q[k]));
        up->rain[k] = only(cloud, rain);
        up->snow[k] = only(cloud, snow);
        /* what detrains has not been diluted by this level's own mixing yet; from here on the two arrays
         * hold the fluxes of what detrains */
        const vreal undiluted = only(cloud, detrained * dilution);
        up->detrained_liquid[k] = undiluted * up->liquid[k];
        up->detrained_ice[k] = undiluted * up->ice[k];
    }
    for (int k = up->reach; k < s->levels; k++)
        up->detrained_liquid[k] = up->detrained_ice[k] = zero;
}
