/* Threads that call the scheme at the same time, each for its own rows, from the first call on: for the
 * thread sanitizer, which does not see what OpenMP's run-time library does.
 *
 *     threads FIELDS THREADS STEPS
 *
 * FIELDS: three int32 (ni, nj, nk), then float32 in WRF's order, u v t qv pcps dz8w rho pi w0avg w with nk +
 * 1 levels, zol hfx ust pblh. The settings are in sciml_mskf.nml. Prints how often the own scheme was asked
 * for a column. */
#include "sciml_mskf.h"
#include "wrf/sciml_mskf_arguments.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static const int read_profiles[] = {ARG_u,    ARG_v,   ARG_t,  ARG_qv,    ARG_pcps,
                                    ARG_dz8w, ARG_rho, ARG_pi, ARG_w0avg, ARG_w};
static const int read_surfaces[] = {ARG_zol, ARG_hfx, ARG_ust, ARG_pblh};
static const int made_profiles[] = {ARG_rthcuten,  ARG_rqvcuten,  ARG_rqccuten, ARG_rqrcuten,
                                    ARG_rqicuten,  ARG_rqscuten,  ARG_rucuten,  ARG_rvcuten,
                                    ARG_cldfra_dp, ARG_cldfra_sh, ARG_qc_cu,    ARG_qi_cu,
                                    ARG_udr,       ARG_ddr,       ARG_uer,      ARG_der};
static const int made_surfaces[] = {ARG_raincv, ARG_pratec, ARG_nca,        ARG_cutop,
                                    ARG_cubot,  ARG_timec,  ARG_cu_act_flag};
#define COUNT(array) (int)(sizeof(array) / sizeof *(array))

static void *fields[SCIML_ARGUMENT_COUNT];
static int ni, nj, nk, steps, crew;
static atomic_long asked;
static pthread_barrier_t barrier;

#define PARAMETER(name) void *name
#define ITEM(name) name
/* The own scheme: where nobody is held, half of the columns rain. */
static void own(SCIML_ARGUMENTS(PARAMETER)) {
    void *const a[] = {SCIML_ARGUMENTS(ITEM)};
    for (int j = argument_integer(a, ARG_jts) - 1; j < argument_integer(a, ARG_jte); j++)
        for (int i = argument_integer(a, ARG_its) - 1; i < argument_integer(a, ARG_ite); i++) {
            const int at = j * ni + i;
            atomic_fetch_add(&asked, 1);
            if (((float *)a[ARG_nca])[at] >= 25.0f) continue;
            ((float *)a[ARG_pratec])[at] = i % 2 ? 1e-4f : 0.0f;
            ((float *)a[ARG_cutop])[at] = i % 2 ? 20.0f : 1.0f;
            for (int k = 0; k < nk; k++)
                ((float *)a[ARG_rthcuten])[(j * (nk + 1) + k) * ni + i] = i % 2 ? 1e-5f : 0.0f;
        }
}

static void *work(void *which) {
    const int mine = *(const int *)which, share = (nj + crew - 1) / crew;
    int unit = 1, zero = 0, wide = ni, tall = nj, deep = nk + 1, top = nk, six = 6, first = mine * share + 1;
    int last = first + share - 1 < nj ? first + share - 1 : nj, step;
    float dt = 50, dx = 1e4f, cudt = 5, r = 287, g = 9.81f, melting = 273.15f;
    void *a[SCIML_ARGUMENT_COUNT];
    for (int n = 0; n < SCIML_ARGUMENT_COUNT; n++)
        a[n] = fields[n];
    const int ones[] = {
        ARG_ids,     ARG_jds,  ARG_kds,  ARG_ims,  ARG_jms,  ARG_kms,  ARG_its,        ARG_kts,
        ARG_trigger, ARG_f_qv, ARG_f_qc, ARG_f_qr, ARG_f_qi, ARG_f_qs, ARG_kf_edrates, ARG_no_src_types_cu};
    for (int n = 0; n < COUNT(ones); n++)
        a[ones[n]] = &unit;
    a[ARG_warm_rain] = a[ARG_aercu_opt] = a[ARG_adapt_step_flag] = &zero;
    a[ARG_ide] = a[ARG_ime] = a[ARG_ite] = &wide;
    a[ARG_jde] = a[ARG_jme] = &tall;
    a[ARG_kde] = a[ARG_kme] = &deep;
    a[ARG_kte] = &top;
    a[ARG_stepcu] = &six;
    a[ARG_jts] = &first;
    a[ARG_jte] = &last;
    a[ARG_ktau] = &step;
    a[ARG_dt] = &dt;
    a[ARG_dx] = &dx;
    a[ARG_cudt] = &cudt;
    a[ARG_r] = &r;
    a[ARG_g] = &g;
    a[ARG_svpt0] = &melting;
    for (step = 6; step <= 6 * steps; step += 6) {
        pthread_barrier_wait(&barrier);
        char message[512];
        if (sciml_mskf_scheme(a, message, sizeof message)) {
            fprintf(stderr, "%s\n", message);
            return &asked; /* not NULL */
        }
    }
    return NULL;
}

static float *read_field(int profile, FILE *file) {
    const size_t count = (size_t)ni * (size_t)nj * (size_t)(profile ? nk + 1 : 1);
    float *x = calloc(count, sizeof *x);
    if (file && fread(x, sizeof *x, count, file) != count) exit(2);
    return x;
}

int main(int count, char **arguments) {
    FILE *file = count == 4 ? fopen(arguments[1], "rb") : NULL;
    int shape[3];
    if (!file || fread(shape, sizeof *shape, 3, file) != 3) return 2;
    ni = shape[0];
    nj = shape[1];
    nk = shape[2];
    crew = atoi(arguments[2]);
    steps = atoi(arguments[3]);
    for (int n = 0; n < COUNT(read_profiles); n++)
        fields[read_profiles[n]] = read_field(1, file);
    for (int n = 0; n < COUNT(read_surfaces); n++)
        fields[read_surfaces[n]] = read_field(0, file);
    fclose(file);
    for (int n = 0; n < COUNT(made_profiles); n++)
        fields[made_profiles[n]] = read_field(1, NULL);
    for (int n = 0; n < COUNT(made_surfaces); n++)
        fields[made_surfaces[n]] = read_field(0, NULL);
    sciml_mskf_original((void (*)(void))own);
    pthread_barrier_init(&barrier, NULL, (unsigned)crew);
    pthread_t thread[64];
    int which[64], bad = 0;
    for (int n = 0; n < crew; n++) {
        which[n] = n;
        pthread_create(&thread[n], NULL, work, &which[n]);
    }
    for (int n = 0; n < crew; n++) {
        void *failed;
        pthread_join(thread[n], &failed);
        bad |= failed != NULL;
    }
    sciml_mskf_flush();
    printf("%ld\n", (long)asked);
    return bad;
}
