/* The published network: raw profiles to profiles; the definition is sciml/convection/published_bilstm.py. */
#include "mskf/column_group.h"

/* The channels of tile n, divided by their sizes, into the network's inputs of `width` lanes. */
static void put_raw(const sciml_call *call, const setting *set, workspace *w, int n, int width) {
    const sciml_emulator *e = call->emulator;
    const sounding *s = &w->tiles[n].s;
    void *input = call->kernel->input(call->network, set->levels, w->network);
    const int single = call->kernel->bits == 32;
    const vreal zero = splat(0.0);
    for (int k = 0; k < set->levels; k++) {
        const vreal saturated = saturation(s->p[k], s->t[k]);
        vreal step = zero;
        if (k + 1 < set->levels) step = s->p[k + 1] - s->p[k];
        const vreal values[SCIML_RAW_CHANNELS] = {
            zero,
            splat(NCA_NONE / set->dt),
            s->hfx,
            s->ust,
            s->pblh,
            s->u[k],
            s->v[k],
            s->w[k],
            s->t[k],
            s->qv[k],
            s->p[k],
            s->t[k] / s->pi[k],
            s->dz[k],
            s->rho[k],
            s->pi[k],
            s->w[k],
            zero,
            zero,
            zero,
            zero,
            zero,
            zero,
            zero,
            s->w[k],
            step,
            saturated,
            s->qv[k] / saturated,
        };
        for (int c = 0; c < SCIML_RAW_CHANNELS; c++)
            put_input(input, single, ((ptrdiff_t)k * SCIML_RAW_CHANNELS + c) * width + n * LANES,
                      values[c] * e->per_size[c]);
    }
}

/* The outputs of tile n; what the network does not predict is zero. */
static void put_answer(const sciml_call *call, const setting *set, int n, int width, const void *head,
                       const void *pooled, response *r) {
    static const int places[SCIML_RAW_OUTPUTS] = {[2] = SCIML_RTHCUTEN, SCIML_RQVCUTEN, SCIML_RQCCUTEN,
                                                  SCIML_RQRCUTEN,       SCIML_RQICUTEN, SCIML_RQSCUTEN};
    const sciml_network *net = call->network;
    const double *size = call->emulator->output_size;
    const int levels = set->levels, rows = (net->head + 3) / 4 * 4, single = call->kernel->bits == 32;
    const vword on = from_network(pooled, single, n * LANES) > 0.0;
    vreal sum[2] = {splat(0.0), splat(0.0)};
    for (int k = 0; k < levels; k++) {
        for (int f = 0; f < SCIML_OUTPUT_PROFILES; f++)
            r->profiles[f][k] = splat(0.0);
        for (int f = 0; f < SCIML_RATES && r->rate[0]; f++)
            r->rate[f][k] = splat(0.0);
        for (int o = 0; o < SCIML_RAW_OUTPUTS; o++) {
            const vreal x =
                from_network(head, single, ((ptrdiff_t)k * rows + o) * width + n * LANES) * size[o];
            if (o < 2)
                sum[o] += x;
            else
                r->profiles[places[o]][k] = only(on, x);
        }
    }
    const vreal nca = sum[0] / levels;
    const vword deep = on & (nca > 1.5 * 60.0 * set->cudt);
    r->scalars[SCIML_PRATEC] = only(deep, at_least(sum[1] / levels, 0.0));
    r->scalars[SCIML_NCA] = choose(on, nca, splat(NCA_NONE));
    r->scalars[SCIML_CUTOP] = splat(1.0);
    r->scalars[SCIML_CUBOT] = splat(levels + 1.0);
    r->kind = only(on, splat(SHALLOW)) + only(deep, splat(DEEP - SHALLOW));
    r->timec = splat(0.0);
}

int NAMED(run_published)(const sciml_call *call, const setting *set, workspace *w, const int64_t *column,
                         int count) {
    const int tiles = fill_tiles(w, column, count, set->levels);
    const int lanes = call->kernel->lanes, width = (count + lanes - 1) / lanes * lanes;
    clear_inputs(call, w, set->levels, tiles, width);
    for (int n = 0; n < tiles; n++) {
        tile *t = &w->tiles[n];
        NAMED(read)(set, t->column, &t->s);
        t->up.reach = set->levels;
        put_raw(call, set, w, n, width);
    }
    void *head, *pooled;
    call->kernel->tile(call->network, set->levels, 0, count, w->network, &head, &pooled);
    response r = lay_response(w, set->levels, call->columns->rate[0] != NULL);
    int lost = 0;
    for (int n = 0; n < tiles; n++) {
        put_answer(call, set, n, width, head, pooled, &r);
        lost += NAMED(put_response)(call, &w->tiles[n], &r, splat(0.0));
    }
    return lost;
}
