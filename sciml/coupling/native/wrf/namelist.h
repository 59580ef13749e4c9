/* The namelist file of the settings, wherever it lies. */
#ifndef SCIML_NAMELIST_H
#define SCIML_NAMELIST_H

#include "wrf/settings.h"

/* The path that the environment variable SCIML_MSKF_NAMELIST names, else sciml_mskf.nml. */
const char *sciml_namelist_path(void);

/* Announce where the namelist was looked for, what holds without it, and what to do. */
void sciml_namelist_explain(void);

/* At the end of a process in which the scheme was never called: announce it, if the process is WRF, linked
 * with this library, and its namelist asks for another mode than `original`. */
void sciml_namelist_not_used(void);

#endif
