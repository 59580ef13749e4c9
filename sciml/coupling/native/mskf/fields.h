/* The fields of the scheme mskf, generated from sciml/schemes/mskf.py by
 * `python -m sciml.coupling.generated_sources`: do not edit. */
/* clang-format off */
#ifndef SCIML_FIELDS_H
#define SCIML_FIELDS_H

/* X(symbol, name, units, argument of the scheme in WRF) for each field. */
#define SCIML_INPUT_PROFILE_FIELDS(X) \
    X(U, "U_PHY", "m s-1", u), \
    X(V, "V_PHY", "m s-1", v), \
    X(T, "T_PHY", "K", t), \
    X(QV, "QVAPOR", "kg kg-1", qv), \
    X(P_HYD, "P_HYD", "Pa", pcps), \
    X(DZ8W, "DZ8W", "m", dz8w), \
    X(RHO, "RHO", "kg m-3", rho), \
    X(PI, "PI_PHY", "1", pi), \
    X(W0AVG, "W0AVG", "m s-1", w0avg)

#define SCIML_INPUT_SURFACE_FIELDS(X) \
    X(ZOL, "ZOL", "1", zol), \
    X(HFX, "HFX", "W m-2", hfx), \
    X(UST, "UST", "m s-1", ust), \
    X(PBLH, "PBLH", "m", pblh)

#define SCIML_OUTPUT_PROFILE_FIELDS(X) \
    X(RTHCUTEN, "RTHCUTEN", "K s-1", rthcuten), \
    X(RQVCUTEN, "RQVCUTEN", "kg kg-1 s-1", rqvcuten), \
    X(RQCCUTEN, "RQCCUTEN", "kg kg-1 s-1", rqccuten), \
    X(RQRCUTEN, "RQRCUTEN", "kg kg-1 s-1", rqrcuten), \
    X(RQICUTEN, "RQICUTEN", "kg kg-1 s-1", rqicuten), \
    X(RQSCUTEN, "RQSCUTEN", "kg kg-1 s-1", rqscuten), \
    X(RUCUTEN, "RUCUTEN", "m s-2", rucuten), \
    X(RVCUTEN, "RVCUTEN", "m s-2", rvcuten), \
    X(CLDFRA_DP, "CLDFRA_DP", "1", cldfra_dp), \
    X(CLDFRA_SH, "CLDFRA_SH", "1", cldfra_sh), \
    X(QC_CU, "QC_CU", "kg kg-1", qc_cu), \
    X(QI_CU, "QI_CU", "kg kg-1", qi_cu)

#define SCIML_OUTPUT_SURFACE_FIELDS(X) \
    X(PRATEC, "PRATEC", "mm s-1", pratec), \
    X(NCA, "NCA", "s", nca), \
    X(CUTOP, "CUTOP", "level", cutop), \
    X(CUBOT, "CUBOT", "level", cubot)

/* Profiles that the scheme returns if the host asks for them. */
enum sciml_rate { SCIML_UDR, SCIML_DDR, SCIML_UER, SCIML_DER, SCIML_RATES };
#define SCIML_RATE_FIELDS(X) \
    X(UDR, "UDR_KF", "kg s-1", udr), \
    X(DDR, "DDR_KF", "kg s-1", ddr), \
    X(UER, "UER_KF", "kg s-1", uer), \
    X(DER, "DER_KF", "kg s-1", der)

/* Least and greatest values for which the library computes the scheme. */
#define SCIML_LEAST_U (-500.0)
#define SCIML_MOST_U 500.0
#define SCIML_LEAST_V (-500.0)
#define SCIML_MOST_V 500.0
#define SCIML_LEAST_T 100.0
#define SCIML_MOST_T 400.0
#define SCIML_LEAST_QV (-1.0)
#define SCIML_MOST_QV 1.0
#define SCIML_LEAST_P_HYD 0.0
#define SCIML_MOST_P_HYD 200000.0
#define SCIML_LEAST_DZ8W 0.5
#define SCIML_MOST_DZ8W 20000.0
#define SCIML_LEAST_PI 0.01
#define SCIML_MOST_PI 10.0
#define SCIML_LEAST_W0AVG (-500.0)
#define SCIML_MOST_W0AVG 500.0
#define SCIML_LEAST_ZOL (-100000000.0)
#define SCIML_MOST_ZOL 100000000.0
#define SCIML_LEAST_HFX (-100000.0)
#define SCIML_MOST_HFX 100000.0
#define SCIML_LEAST_UST 0.0
#define SCIML_MOST_UST 1000.0
#define SCIML_LEAST_PBLH 0.0
#define SCIML_MOST_PBLH 100000.0

/* Number of values per column that the scheme returns, without those of the emulator alone. */
#define SCIML_SCHEME_SURFACES 4

/* Classes of a column. */
enum { NONE, SHALLOW, DEEP, SCIML_CLASSES };

#define SCIML_CU_PHYSICS 11

#endif
