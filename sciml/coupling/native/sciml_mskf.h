/* The C interface of libsciml_mskf: an emulator of the MSKF convection scheme for hosts without Python and
 * without an inference engine.
 *
 * Every entry returns a status (0 is success) and writes one line into `message`, which may be NULL or
 * have length 0. No entry prints, aborts or exits. A handle is not changed after it is made, so any number
 * of threads may use it at the same time; each call has its own scratch memory.
 *
 * Floating-point environment: the library computes in the default environment (no traps, rounding to
 * nearest) and restores the environment of the host, with its flags and rounding. NaN in a column therefore
 * causes no trap in a host with traps.
 *
 * Threads: `threads` is the maximum number of threads of a call. The call also uses at most the number of
 * processors of this process, the value of OMP_THREAD_LIMIT, and the number of pieces of work. The outputs
 * have the same bits for any number. The threads end with the call, so that a process may fork between calls.
 * If the system creates fewer threads, the call uses those.
 *
 * Memory: the library maps all its memory from the system and uses none of the host's heap, also while it is
 * loaded, if each call uses one thread (as the entry of the scheme does). A host that reads uninitialised
 * heap memory therefore reads the same bytes with and without the library. */
#ifndef SCIML_MSKF_H
#define SCIML_MSKF_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#    define SCIML_API __attribute__((visibility("default")))
#else
#    define SCIML_API
#endif

/* The schema of the weights files that this library reads. */
#define SCIML_WEIGHTS_SCHEMA 1
/* The same for weights files with packed tensors. */
#define SCIML_BUNDLE_SCHEMA 2

enum sciml_status {
    SCIML_OK = 0,
    SCIML_ARGUMENT = 1, /* a null pointer, a count out of range */
    SCIML_FILE = 2,     /* the weights file cannot be opened or is not a classic netCDF file */
    SCIML_CHECKSUM = 3, /* the weights file is damaged */
    SCIML_SCHEMA = 4,   /* the weights file has another schema, or a variable is missing */
    SCIML_SHAPE = 5,    /* wrong number of levels, or inconsistent shapes of variables */
    SCIML_MEMORY = 6    /* out of memory */
};

typedef struct sciml_mskf sciml_mskf;

/* The content of a weights file. */
typedef struct sciml_mskf_description {
    int32_t schema;      /* schema number of the file */
    int32_t channels;    /* input channels of the network, per level */
    int32_t layers;      /* stacked bidirectional LSTM layers */
    int32_t hidden;      /* hidden units of a layer, per direction */
    int32_t outputs;     /* outputs per level */
    int32_t pooled;      /* outputs per column */
    int32_t pool_levels; /* number of levels of the pooled head; 0: any */
    int32_t emulator;    /* 1: the file contains the whole emulator, 0: a bare network */
} sciml_mskf_description;

/* Open a weights file. On failure *handle is NULL. The old *handle is overwritten without being freed, so
 * finalise an open handle first. The environment variable SCIML_ISA (baseline, avx2, avx512) selects an
 * instruction set, by default the best one. The status is SCIML_ARGUMENT if it has another value, or if this
 * processor or this build does not have the instruction set. */
SCIML_API int sciml_mskf_init(const char *path, sciml_mskf **handle, char *message, size_t length);

/* Free a handle and set it to NULL; a NULL handle has no effect. */
SCIML_API void sciml_mskf_finalise(sciml_mskf **handle);

SCIML_API int sciml_mskf_describe(const sciml_mskf *handle, sciml_mskf_description *description,
                                  char *message, size_t length);

/* Return the instruction set in use: "baseline", "avx2" or "avx512"; for a NULL handle, the best one of this
 * processor and this build. */
SCIML_API const char *sciml_mskf_isa(const sciml_mskf *handle);

/* Run the bare network.
 *
 * x[i*xs[0] + k*xs[1] + c*xs[2]]: column i, level k (0 = lowest), input channel c; read only.
 * y[i*ys[0] + k*ys[1] + o*ys[2]]: outputs of each level.
 * p[i*ps[0] + o*ps[1]]: outputs of the column; may be NULL if description.pooled is 0.
 * Strides are in elements, not bytes. Columns are independent: the outputs of a column have the same bits
 * for any other columns, any division into calls, and any `threads` from 1 to 1024. NaN in a column gives
 * NaN in that column alone. */
SCIML_API int sciml_network_run(const sciml_mskf *handle, int64_t columns, int32_t levels, const float *x,
                                const ptrdiff_t xs[3], float *y, const ptrdiff_t ys[3], float *p,
                                const ptrdiff_t ps[2], int32_t threads, char *message, size_t length);

/* Run the bare network in double precision, with the same source and weights, for parity checks. */
SCIML_API int sciml_network_run_f64(const sciml_mskf *handle, int64_t columns, int32_t levels,
                                    const double *x, const ptrdiff_t xs[3], double *y, const ptrdiff_t ys[3],
                                    double *p, const ptrdiff_t ps[2], int32_t threads, char *message,
                                    size_t length);

/* The whole emulator, on the arrays of the host. */

/* generated from sciml/schemes/mskf.py: do not edit (enumerations) */
enum sciml_input_profile {
    SCIML_U,     /* m s-1, grid-relative, at mass points */
    SCIML_V,     /* m s-1, grid-relative, at mass points */
    SCIML_T,     /* K */
    SCIML_QV,    /* kg kg-1, of dry air */
    SCIML_P_HYD, /* Pa, hydrostatic */
    SCIML_DZ8W,  /* m */
    SCIML_RHO,   /* kg m-3, moist */
    SCIML_PI,    /* 1, Exner function */
    SCIML_W0AVG, /* m s-1, the running mean after its update at this call */
    SCIML_INPUT_PROFILES
};
enum sciml_input_surface {
    SCIML_ZOL,  /* 1 */
    SCIML_HFX,  /* W m-2 */
    SCIML_UST,  /* m s-1 */
    SCIML_PBLH, /* m */
    SCIML_INPUT_SURFACES
};
enum sciml_output_profile {
    SCIML_RTHCUTEN,  /* K s-1 */
    SCIML_RQVCUTEN,  /* kg kg-1 s-1 */
    SCIML_RQCCUTEN,  /* kg kg-1 s-1 */
    SCIML_RQRCUTEN,  /* kg kg-1 s-1 */
    SCIML_RQICUTEN,  /* kg kg-1 s-1 */
    SCIML_RQSCUTEN,  /* kg kg-1 s-1 */
    SCIML_RUCUTEN,   /* m s-2 */
    SCIML_RVCUTEN,   /* m s-2 */
    SCIML_CLDFRA_DP, /* 1 */
    SCIML_CLDFRA_SH, /* 1 */
    SCIML_QC_CU,     /* kg kg-1 */
    SCIML_QI_CU,     /* kg kg-1 */
    SCIML_OUTPUT_PROFILES
};
enum sciml_output_surface {
    SCIML_PRATEC,  /* mm s-1 */
    SCIML_NCA,     /* s, at most a day in whole DT; -100 where nothing triggers; read too if `held` is set */
    SCIML_CUTOP,   /* level, the lowest is 1 */
    SCIML_CUBOT,   /* level, the lowest is 1 */
    SCIML_NOVELTY, /* 1, above 1 in columns unlike those of the training */
    SCIML_OUTPUT_SURFACES
};
/* end of the generated part */

/* Columns (i, j), i < ni, j < nj, with levels k < levels, k = 0 the lowest. Pointers are to the element
 * (0, 0) or (0, 0, 0). Element (i, k, j) of a profile is at i*s3[0] + k*s3[1] + j*s3[2], element
 * (i, j) of a surface field at i*s2[0] + j*s2[1]. WRF's (ims:ime,kms:kme,jms:jme) has s3 = {1, ni_m,
 * ni_m*nk_m} and s2 = {1, ni_m}, with the pointers at (its,kts,jts). */
typedef struct sciml_mskf_domain {
    int64_t ni, nj;
    int32_t levels;
    int32_t threads; /* maximum number of threads, 1 to 1024: see the head of this file */
    int32_t held;    /* 1: do not change columns whose NCA is at least DT/2 (KIND becomes 3) */
    int32_t unused;
    ptrdiff_t s3[3], s2[2];
    double dx, dt, cudt; /* m, s, minutes */
} sciml_mskf_domain;

typedef struct sciml_mskf_fields {
    const float *in3[SCIML_INPUT_PROFILES];
    const float *in2[SCIML_INPUT_SURFACES];
    float *out3[SCIML_OUTPUT_PROFILES];
    float *out2[SCIML_OUTPUT_SURFACES];
    /* 0 no convection, 1 shallow, 2 deep, 3 held; -1 for invalid columns, whose inputs are not finite or not
     * physical, or whose physics gives values that are not finite. The outputs of an invalid column are those
     * without convection, and its novelty is infinite. `message` has the number of such columns, but the
     * status is SCIML_OK, so a host tests for -1 here. Strides s2.
     *
     * Inputs are physical if at every level 100 K < T < 400 K; P_HYD less than 2000 hPa and falling with
     * height; |QV| < 1; 0.5 m < DZ8W < 20 km; RHO within a factor of 2 of P_HYD / (287 T); 0.01 < PI < 10;
     * |U|, |V| and |W0AVG| at most 500 m s-1; and |ZOL| at most 1e8, |HFX| at most 1e5 W m-2, UST 0 to 1e3 m
     * s-1, PBLH 0 to 1e5 m. */
    int32_t *kind;
} sciml_mskf_fields;

/* Run the emulator; SCIML_SCHEMA if the weights are those of a bare network (description.emulator is 0). */
SCIML_API int sciml_mskf_run(const sciml_mskf *handle, const sciml_mskf_domain *domain,
                             const sciml_mskf_fields *fields, char *message, size_t length);

/* Run the convection scheme for the host, in place of MSKF_CPS of WRF.
 *
 * A namelist file selects the mode: `sciml_mskf.nml` in the working directory, or the file that the
 * environment variable SCIML_MSKF_NAMELIST names. The modes are: run the scheme of the host (`original`); run
 * it and write its inputs and outputs (`capture`); run it and compare the emulator with it (`shadow`); run
 * the emulator (`emulate`); run the emulator, and in columns unlike those of its training the scheme of the
 * host (`guard`). Without the file the mode is `original`. The first call reads the file. Rank 0 prints every
 * setting on standard error, which is rsl.error.0000 if WRF runs on ranks.
 *
 * arguments[n] points to argument n of sciml_mskf_arguments.h. The linker's --wrap redirects WRF's calls to
 * __wrap___module_cu_mskf_MOD_mskf_cps (gfortran) or __wrap_module_cu_mskf_mp_mskf_cps_ (ifort, ifx), which
 * do the same; for Fortran hosts there is the module sciml_cu_mskf. Any number of threads may call at the
 * same time, for different columns. A failure is also reported on standard error. After a failure the scheme
 * of the host is used, or wrf_error_fatal stops the host, as the namelist selects; later calls return the
 * same status and message. */
SCIML_API int sciml_mskf_scheme(void *const arguments[100], char *message, size_t length);

/* Set the scheme of the host, for hosts whose executable does not export it (see `sciml coupling flags`): a
 * procedure with the same 100 arguments. Call it before the first call of the scheme. */
SCIML_API void sciml_mskf_original(void (*scheme)(void));

/* Write pending captures and statistics; the end of the process does this too. */
SCIML_API void sciml_mskf_flush(void);

#ifdef __cplusplus
}
#endif
#endif
