/* The entraining plume of each source layer; the definition is sciml/convection/updraft.py.
 *
 * Source layers differ in where they start and how far they rise, so a lane here is not bound to a
 * column nor to a level: each carries its own plume at its own level and takes up the next source layer
 * that is due when that one ends. What a plume leaves at a level goes into row after row of a ring, one
 * row a step, and is copied to the column only if the scheme would choose that plume. Two chains of
 * lanes take turns, so that the processor overlaps what does not depend on each other. */
#include "mskf/updraft_lanes.h"

/* Columns that wait for a lane. */
typedef struct queue {
    tile *tiles;
    const launches *starts;
    int count, tile, lane;
} queue;

static void launch(chain *c, int l) {
    const double *item = c->from[l]->item[c->lane[l]][c->next[l]];
    const sounding *s = &c->home[l]->s;
    const double start[S_COUNT] = {
        [S_THETA] = item[L_THETA],
        [S_Q] = item[L_Q],
        [S_FLUX] = 1.0,
        [S_ENERGY] = item[L_ENERGY],
        [S_BEFORE] = 1.0,
        [S_E] = 1.0,
        [S_FREEZING] = FREEZE_START,
        [S_TV] = item[L_TV_LCL],
        [S_LOADED] = item[L_TV_LCL],
        [S_TURN] = item[L_ABOVE],
        [S_Z_BELOW] = item[L_Z_LCL],
        [S_TV_BELOW] = item[L_TV_ENV],
        [S_LEVEL] = item[L_ABOVE],
        [S_FLUX_LCL] = item[L_FLUX_LCL],
        [S_MIX] = item[L_MIX],
        [S_SOURCE_TOP] = item[L_TOP],
        [S_PER_DEPTH] = 1.0 / item[L_DEPTH],
    };
    c->block[l] = (const double *)s->block + c->lane[l];
    for (int i = 0; i < S_COUNT; i++)
        c->state[i][l] = start[i];
}

/* Give lane l the next column that has a source layer. A lane for which there is none keeps a plume
 * that ran already (its numbers are sound, nobody reads them) and is not busy. */
static void take_up(queue *q, chain *c, int l) {
    c->busy[l] = 0;
    while (q->tile < q->count) {
        tile *t = &q->tiles[q->tile];
        const launches *starts = &q->starts[q->tile];
        const int lane = q->lane++;
        if (q->lane >= t->count) {
            q->tile++;
            q->lane = 0;
        }
        if (starts->count[lane]) {
            c->home[l] = t;
            c->lane[l] = lane;
            c->from[l] = starts;
            c->next[l] = 0;
            c->busy[l] = 1;
            launch(c, l);
            return;
        }
    }
    if (c->home[l]) launch(c, l);
}

/* Saturated through and through is no cloud: every level above the LCL, and a mean of 1.01. */
static int saturated_around(const sounding *s, int lane, int start, int top) {
    for (int k = start + 1; k <= top + 1 && k < s->levels; k++)
        if (!(s->humidity[k][lane] >= 0.99)) return 0;
    double sum = 0.0;
    for (int k = start > 1 ? start - 1 : 0; k <= top + 1 && k < s->levels; k++)
        sum += s->humidity[k][lane];
    return sum / (top - start + 3) >= 1.01;
}

/* Judge the plume that has ended in lane l, keep it if it is the best so far; whether it decides.
 * `top` is the last level it went through. */
static int judge(chain *c, int l, int top) {
    const double *item = c->from[l]->item[c->lane[l]][c->next[l]];
    tile *home = c->home[l];
    const int lane = c->lane[l], above = (int)item[L_ABOVE], source_top = (int)item[L_TOP];
    plume *up = &home->up;
    const double turn = c->state[S_TURN][l], cape = c->state[S_CAPE][l];
    if (top <= above || top <= source_top || turn + 1 <= source_top ||
        saturated_around(&home->s, lane, above - 1, top))
        return 0;
    const double height = home->s.z[top][lane] - item[L_Z_LCL],
                 warm = 2.0e3 + 100.0 * (item[L_T_LCL] - 273.0);
    const double least = warm < 2.0e3 ? 2.0e3 : warm > 4.0e3 ? 4.0e3 : warm;
    const int deep = height > least && cape > 1.0;
    if (!deep && !(height > (up->kind[lane] == SHALLOW ? up->height[lane] : 0.0))) return 0;
    vreal *const to[PLUME_PROFILES] = {
        up->flux, up->entrained, up->detrained, up->t,          up->q_undiluted, up->q,       up->liquid,
        up->ice,  up->rain,      up->snow,      up->out_liquid, up->out_ice,     up->dilution};
    if (up->kind[lane] != NONE) /* discard the previous updraft */
        for (int k = (int)up->cloud_base[lane]; k <= (int)up->top[lane]; k++)
            for (int f = 0; f < PLUME_PROFILES; f++)
                to[f][k][lane] = f == PLUME_PROFILES - 1 ? 1.0 : 0.0;
    const int ended = (int)c->state[S_LEVEL][l] - 1;
    for (int k = above; k <= top; k++) {
        const int row = (c->row - (ended - k) + 2 * c->rows) % c->rows;
        const vreal *from = c->ring + (ptrdiff_t)row * PLUME_PROFILES;
        for (int f = 0; f < PLUME_PROFILES; f++)
            to[f][k][lane] = from[f][l];
    }
    up->kind[lane] = deep ? DEEP : SHALLOW;
    up->base[lane] = item[L_BASE];
    up->source_top[lane] = source_top;
    up->source_depth[lane] = item[L_DEPTH];
    up->t_mix[lane] = item[L_T];
    up->q_mix[lane] = item[L_Q];
    up->z_mix[lane] = item[L_Z];
    up->p_mix[lane] = item[L_P];
    up->cloud_base[lane] = above;
    up->buoyancy_top[lane] = turn;
    up->top[lane] = top;
    up->t_lcl[lane] = item[L_T_LCL];
    up->z_lcl[lane] = item[L_Z_LCL];
    up->height[lane] = height;
    up->least_height[lane] = least;
    up->cape[lane] = cape;
    up->flux_lcl[lane] = item[L_FLUX_LCL];
    return deep;
}

static void begin(plume *up, int levels) {
    const vreal zero = splat(0.0), one = splat(1.0);
    for (int k = 0; k < levels; k++) {
        up->flux[k] = up->entrained[k] = up->detrained[k] = up->t[k] = up->q_undiluted[k] = up->q[k] = zero;
        up->liquid[k] = up->ice[k] = up->rain[k] = up->snow[k] = up->out_liquid[k] = up->out_ice[k] = zero;
        up->dilution[k] = one;
    }
    up->kind = up->base = up->source_top = up->t_mix = up->q_mix = up->z_mix = up->p_mix = zero;
    up->buoyancy_top = up->t_lcl = up->z_lcl = up->height = up->least_height = up->cape = up->flux_lcl = zero;
    up->source_depth = up->cloud_base = up->top = one;
}

void NAMED(ascend)(const setting *set, tile *tiles, int count, const launches *starts, vreal *scratch) {
    queue q = {tiles, starts, count, 0, 0};
    chain chains[CHAINS];
    int busy = 0;
    for (int i = 0; i < count; i++)
        begin(&tiles[i].up, set->levels);
    for (int n = 0; n < CHAINS; n++) {
        chain *c = &chains[n];
        *c = (chain){.ring = scratch + (ptrdiff_t)n * set->levels * PLUME_PROFILES, .rows = set->levels};
        for (int l = 0; l < LANES; l++) {
            take_up(&q, c, l);
            busy += c->busy[l];
        }
        /* lanes for which there was nothing at all repeat the first one */
        for (int l = 1; l < LANES && c->busy[0]; l++)
            if (!c->home[l]) {
                c->home[l] = c->home[0];
                c->lane[l] = c->lane[0];
                c->from[l] = c->from[0];
                launch(c, l);
            }
    }
    while (busy)
        for (int n = 0; n < CHAINS; n++) {
            chain *c = &chains[n];
            if (!c->home[0]) continue;
            const vword on = NAMED(rise)(set, c, &tiles[0].s);
            for (int l = 0; l < LANES; l++) {
                const int level = (int)c->state[S_LEVEL][l]; /* the next one */
                if (on[l] && level < set->levels) continue;
                if (!c->busy[l]) {
                    launch(c, l);
                    continue;
                }
                const int top = on[l] ? level - 1 : level - 2;
                if (judge(c, l, top) || ++c->next[l] >= c->from[l]->count[c->lane[l]]) {
                    c->next[l] = c->from[l]->count[c->lane[l]] - 1;
                    take_up(&q, c, l);
                    busy -= !c->busy[l];
                } else {
                    launch(c, l);
                }
            }
            c->row = (c->row + 1) % c->rows;
        }
}
