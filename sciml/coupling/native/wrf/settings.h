/* The settings of a run, from a Fortran namelist file: `&sciml_mskf ... /`. */
#ifndef SCIML_SETTINGS_H
#define SCIML_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

#define SCIML_PATH_SIZE 1024

enum sciml_mode { MODE_ORIGINAL, MODE_CAPTURE, MODE_SHADOW, MODE_EMULATE, MODE_GUARD };

typedef struct sciml_settings {
    int32_t mode;                    /* of enum sciml_mode */
    int32_t stop;                    /* 1: a failure stops the host (through its own message path) */
    char weights[SCIML_PATH_SIZE];   /* the weights file */
    char directory[SCIML_PATH_SIZE]; /* where captures and statistics go */
    double interval;                 /* minutes of model time that one file covers */
    double novelty;                  /* guard: columns beyond it go to the original scheme */
    double limited;                  /* guard: and those whose response was scaled below it */
    double heating, moistening;      /* limits of a response: K day-1, g kg-1 day-1 */
    double capture[3];               /* the share taken of columns with none, shallow, deep convection */
    int32_t capture_columns;         /* at most so many in a file */
    int32_t capture_first, capture_last, capture_every; /* steps */
    int32_t seed;                                       /* of the drawing */
    int32_t run; /* the number of this run, which training uses to separate runs */
} sciml_settings;

/* Set the defaults. */
void sciml_settings_default(sciml_settings *settings);

/* Read a namelist from memory; `name` is that of the file, for the message. Anything else
 * is an error (SCIML_ARGUMENT) whose message has the line and the remedy; *settings is then undefined. */
int sciml_settings_parse(const char *text, size_t size, const char *name, sciml_settings *settings,
                         char *message, size_t length);

/* The same from a file: SCIML_FILE if it cannot be read. */
int sciml_settings_read(const char *path, sciml_settings *settings, char *message, size_t length);

/* Describe every setting, one line each, as in a namelist. */
void sciml_settings_describe(const sciml_settings *settings, void (*line)(const char *text));

#endif
