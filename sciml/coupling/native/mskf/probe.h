/* For parity checks alone: the physics without the network, in double precision, stage by stage. A
 * library shows it only when it was built for that (`probe` of sciml.coupling.build.build). */
#ifndef SCIML_PROBE_H
#define SCIML_PROBE_H

#include "mskf/column_arrays.h"

/* Profiles, (column, profile, level):
 *   0 flux 1 entrained 2 detrained 3 t 4 q_undiluted 5 q 6 liquid 7 ice 8 rain 9 snow 10 detrained_liquid
 *   11 detrained_ice of the plume; 12 flux 13 entrained 14 detrained 15 t 16 q of the downdraft;
 *   17 to 28 the outputs in the order of sciml_output_profile; 29 to 31 pressure_push for u, v and along
 *   the wind; from 32 on the network's channels, on the layers of the plume.
 * Scalars, (column, scalar):
 *   0 kind 1 base 2 source_top 3 source_depth 4 t_mix 5 q_mix 6 z_mix 7 p_mix 8 cloud_base 9 buoyancy_top
 *   10 top 11 t_lcl 12 z_lcl 13 height 14 least_height 15 cape 16 flux_lcl; 17 start 18 evaporated of the
 *   downdraft; 19 adjustment 20 counter; 21 shallow strength 22 greatest strength; 23 cosine 24 sine of the
 *   wind; 25 PRATEC 26 NCA 27 CUTOP 28 CUBOT; 29 passes the parcel test, or -1 for an unsound column;
 *   30 strength 31 convects 32 removed 33 rounds of the energy closure; from 34 on the network's scalars. */
#define SCIML_PROBE_PROFILES 46
#define SCIML_PROBE_SCALARS 48
/* Layers of the plume below the cloud's base and in the cloud; the columns have at least as many levels. */
#define SCIML_PROBE_BELOW 4
#define SCIML_PROBE_CLOUD 20

/* `enthalpy`, `strength` (column) and `push` (column, level; m/s along the wind): given, not learned. It does
 * not hold the host's floating-point environment, so that a test can see which flags the physics raises. */
SCIML_API int sciml_mskf_probe(const sciml_columns *columns, const double enthalpy[2], const double *strength,
                               const double *push, double *profiles, double *scalars, const char *isa,
                               char *message, size_t length);

#endif
