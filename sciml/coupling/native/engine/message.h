/* The message that every entry writes beside its status. */
#ifndef SCIML_MESSAGE_H
#define SCIML_MESSAGE_H

#include "sciml_mskf.h"

/* Write one line of text into `message` and return the status. */
int sciml_say(int status, char *message, size_t length, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
