/* The message that every entry writes beside its status. */
#include "engine/message.h"

#include <stdarg.h>
#include <stdio.h>

int sciml_say(int status, char *message, size_t length, const char *format, ...) {
    if (message && length > 0) {
        va_list list;
        va_start(list, format);
        vsnprintf(message, length, format, list);
        va_end(list);
    }
    return status;
}
