/* The path of the namelist file, and reports on it. */
#ifndef SCIML_NAMELIST_H
#define SCIML_NAMELIST_H

#include "wrf/settings.h"

/* The path that the environment variable SCIML_MSKF_NAMELIST names, else sciml_mskf.nml. */
const char *sciml_namelist_path(void);

/* Report the path of the missing namelist, the settings without it, and the remedy. */
void sciml_namelist_explain(void);

/* At the end of a process in which the scheme was never called: report it, if the process is WRF, linked
 * with this library, and its namelist has another mode than `original`. */
void sciml_namelist_not_used(void);

#endif
