/* What the library says to its host, and who it is among the host's ranks. */
#ifndef SCIML_WRF_LOG_H
#define SCIML_WRF_LOG_H

/* A line on standard error: WRF's rsl.error.NNNN on ranks. */
void sciml_announce(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ask the host to stop: by WRF's wrf_error_fatal, which ends all ranks. Returns 0 where there is none. */
int sciml_ask_to_stop(const char *text);

/* The MPI rank: from WRF, else from what the launcher put into the environment, else 0. */
int sciml_rank(void);

#endif
