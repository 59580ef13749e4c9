/* Messages to the host, and the rank of this process. */
#ifndef SCIML_WRF_LOG_H
#define SCIML_WRF_LOG_H

/* Write a line on standard error: WRF's rsl.error.NNNN on ranks. */
void sciml_announce(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ask the host to stop: by WRF's wrf_error_fatal, which ends all ranks. Returns 0 where there is none. */
int sciml_ask_to_stop(const char *text);

/* The MPI rank: from WRF, else from the launcher's environment variables, else 0. */
int sciml_rank(void);

#endif
