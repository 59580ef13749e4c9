/* The arguments of WRF's MSKF_CPS, in its order (WRF 4.3.3 to 4.7). */
#ifndef SCIML_MSKF_ARGUMENTS_H
#define SCIML_MSKF_ARGUMENTS_H

/* Each by reference; a LOGICAL is a 4-byte integer; an array points to its element (ims,kms,jms) or
 * (ims,jms); an absent OPTIONAL is NULL. */
#define SCIML_ARGUMENTS(X)                                                                                   \
    X(ids), X(ide), X(jds), X(jde), X(kds), X(kde), X(ims), X(ime), X(jms), X(jme), X(kms), X(kme), X(its),  \
        X(ite), X(jts), X(jte), X(kts), X(kte), X(trigger), X(dt), X(ktau), X(dx), X(cudt),                  \
        X(adapt_step_flag), X(rho), X(raincv), X(pratec), X(nca), X(u), X(v), X(th), X(t), X(w), X(dz8w),    \
        X(pcps), X(pi), X(w0avg), X(xlv0), X(xlv1), X(xls0), X(xls1), X(cp), X(r), X(g), X(ep1), X(ep2),     \
        X(svp1), X(svp2), X(svp3), X(svpt0), X(stepcu), X(cu_act_flag), X(warm_rain), X(cutop), X(cubot),    \
        X(qv), X(f_qv), X(f_qc), X(f_qr), X(f_qi), X(f_qs), X(rthcuten), X(rqvcuten), X(rqccuten),           \
        X(rqrcuten), X(rqicuten), X(rqscuten), X(rqvften), X(cldfra_dp), X(cldfra_sh), X(qc_cu), X(qi_cu),   \
        X(qr_cu), X(qs_cu), X(nc_cu), X(ni_cu), X(nr_cu), X(ns_cu), X(ccn_cu), X(ainc_frac), X(udr), X(ddr), \
        X(uer), X(der), X(timec), X(kf_edrates), X(zol), X(hfx), X(ust), X(pblh), X(aerocu),                 \
        X(no_src_types_cu), X(aercu_fct), X(aercu_opt), X(efcs), X(efis), X(efss), X(rucuten), X(rvcuten),   \
        X(xland)

#define SCIML_ARGUMENT_NUMBER(name) ARG_##name
enum sciml_argument { SCIML_ARGUMENTS(SCIML_ARGUMENT_NUMBER), SCIML_ARGUMENT_COUNT };

/* The scheme, the host's own or a replacement. */
#define SCIML_ARGUMENT_TYPE(name) void *
typedef void (*sciml_scheme)(SCIML_ARGUMENTS(SCIML_ARGUMENT_TYPE));

/* Call it with the pointers of an array. */
#define SCIML_ARGUMENT_ITEM(name) sciml_a_[ARG_##name]
#define SCIML_CALL(scheme, a)                                                                                \
    do {                                                                                                     \
        void *const *const sciml_a_ = (a);                                                                   \
        (scheme)(SCIML_ARGUMENTS(SCIML_ARGUMENT_ITEM));                                                      \
    } while (0)

/* The value of an integer and of a real argument. */
static inline int argument_integer(void *const a[], int n) {
    return *(const int *)a[n];
}
static inline float argument_real(void *const a[], int n) {
    return *(const float *)a[n];
}
/* Whether a LOGICAL is present and true; compilers agree on its lowest bit only. */
static inline int argument_true(void *const a[], int n) {
    return a[n] && (*(const int *)a[n] & 1);
}

#endif
