/* A reader of one namelist group, and the bounds of each setting.
 *
 * It reads a subset of Fortran's namelist format: `name = value` pairs separated by commas, blanks or
 * newlines, strings in ' or ", numbers (1.5d0 too), comments from ! to the end of the line, any case. It has
 * no arrays, repeats or null values, which are errors. Nothing in the file is trusted. */
#include "wrf/settings.h"
#include "engine/arena.h"
#include "engine/disk.h"
#include "engine/message.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST_NAMELIST 65536
#define WORD 64

typedef struct reader {
    const char *at, *end;
    const char *file;
    int line;
} reader;

enum value_form { FORM_WORD, FORM_PATH, FORM_NUMBER, FORM_COUNT };

typedef struct entry {
    const char *name;
    enum value_form form;
    size_t offset;
    const char *words; /* FORM_WORD: the choices, separated by blanks; the index of the choice is stored */
    double low, high;
} entry;

#define AT(member) offsetof(sciml_settings, member)
#define SHARE(n) (AT(capture) + (n) * sizeof(double))

static const entry entries[] = {
    {"mode", FORM_WORD, AT(mode), "original capture shadow emulate guard", 0, 0},
    {"on_failure", FORM_WORD, AT(stop), "original stop", 0, 0},
    {"weights", FORM_PATH, AT(weights), NULL, 0, 0},
    {"directory", FORM_PATH, AT(directory), NULL, 0, 0},
    {"interval", FORM_NUMBER, AT(interval), NULL, 1e-3, 1e9},
    {"novelty", FORM_NUMBER, AT(novelty), NULL, 0, 1e30},
    {"limited", FORM_NUMBER, AT(limited), NULL, 0, 1},
    {"heating", FORM_NUMBER, AT(heating), NULL, 1e-3, 1e30},
    {"moistening", FORM_NUMBER, AT(moistening), NULL, 1e-3, 1e30},
    {"capture_none", FORM_NUMBER, SHARE(0), NULL, 0, 1},
    {"capture_shallow", FORM_NUMBER, SHARE(1), NULL, 0, 1},
    {"capture_deep", FORM_NUMBER, SHARE(2), NULL, 0, 1},
    {"capture_columns", FORM_COUNT, AT(capture_columns), NULL, 1, 1000000},
    {"capture_first", FORM_COUNT, AT(capture_first), NULL, 0, 2147483647},
    {"capture_last", FORM_COUNT, AT(capture_last), NULL, 0, 2147483647},
    {"capture_every", FORM_COUNT, AT(capture_every), NULL, 1, 2147483647},
    {"seed", FORM_COUNT, AT(seed), NULL, 0, 2147483647},
    {"run", FORM_COUNT, AT(run), NULL, 0, 2147483647},
};
#define ENTRIES (sizeof entries / sizeof *entries)

void sciml_settings_default(sciml_settings *s) {
    memset(s, 0, sizeof *s);
    s->mode = MODE_ORIGINAL;
    strcpy(s->weights, "mskf.nc");
    strcpy(s->directory, ".");
    s->interval = 60.0;
    s->novelty = 1.0;
    s->limited = 0.5;
    s->heating = 5000.0;
    s->moistening = 5000.0;
    s->capture[0] = s->capture[1] = s->capture[2] = 0.01;
    s->capture_columns = 4096;
    s->capture_last = 2147483647;
    s->capture_every = 1;
    s->seed = 7;
}

/* Blanks, newlines, commas and comments. */
static void skip(reader *r) {
    for (; r->at < r->end; r->at++) {
        if (*r->at == '!')
            while (r->at < r->end && *r->at != '\n')
                r->at++;
        if (r->at == r->end) return;
        if (*r->at == '\n')
            r->line++;
        else if (!isspace((unsigned char)*r->at) && *r->at != ',')
            return;
    }
}

/* Letters, digits and _, in lower case; its length, 0 if there is none or it is too long. */
static size_t take_name(reader *r, char word[WORD]) {
    size_t n = 0;
    while (r->at < r->end && (isalnum((unsigned char)*r->at) || *r->at == '_')) {
        if (n + 1 == WORD) return 0;
        word[n++] = (char)tolower((unsigned char)*r->at++);
    }
    word[n] = 0;
    return n;
}

/* A string in quotes (doubled inside to mean one), or a bare word; its length, -1 if it has no end or is too
 * long. */
static long take_text(reader *r, char *text, size_t capacity) {
    size_t n = 0;
    const char quote = r->at < r->end && (*r->at == '\'' || *r->at == '"') ? *r->at++ : 0;
    for (; r->at < r->end; r->at++) {
        const char c = *r->at;
        if (quote && c == quote) {
            if (r->at + 1 == r->end || r->at[1] != quote) {
                r->at++;
                text[n] = 0;
                return (long)n;
            }
            r->at++;
        } else if (quote ? c == '\n' || c == 0 : isspace((unsigned char)c) || strchr(",!=&", c) != NULL) {
            break;
        }
        if (n + 1 == capacity) return -1;
        text[n++] = c;
    }
    text[n] = 0;
    return quote ? -1 : (long)n;
}

static int is_word(const char *words, const char *text, int32_t *place) {
    const size_t size = strlen(text);
    *place = 0;
    for (const char *w = words; size; (*place)++) {
        const size_t n = strcspn(w, " ");
        int same = n == size;
        for (size_t i = 0; same && i < n; i++)
            same = w[i] == tolower((unsigned char)text[i]);
        if (same) return 1;
        if (!w[n]) return 0;
        w += n + 1;
    }
    return 0;
}

/* Fortran writes exponents with d too. */
static int is_number(const char *text, double *value) {
    char copy[WORD];
    const size_t n = strlen(text);
    if (n == 0 || n >= WORD || strspn(text, "+-.0123456789eEdD") != n) return 0;
    for (size_t i = 0; i <= n; i++)
        copy[i] = text[i] == 'd' || text[i] == 'D' ? 'e' : text[i];
    char *end;
    *value = strtod(copy, &end);
    return *end == 0 && isfinite(*value);
}

static int set(const entry *e, const char *text, const reader *r, sciml_settings *s, char *message,
               size_t length) {
    void *to = (char *)s + e->offset;
    double number = 0;
    int32_t place;
    if (e->form == FORM_PATH) {
        if (*text) {
            strcpy(to, text); /* both have SCIML_PATH_SIZE */
            return SCIML_OK;
        }
        return sciml_say(SCIML_ARGUMENT, message, length, "%s, line %d: %s is empty: give a path", r->file,
                         r->line, e->name);
    }
    if (e->form == FORM_WORD) {
        if (is_word(e->words, text, &place)) {
            memcpy(to, &place, sizeof place);
            return SCIML_OK;
        }
        return sciml_say(SCIML_ARGUMENT, message, length, "%s, line %d: %s = '%.60s': give one of: %s",
                         r->file, r->line, e->name, text, e->words);
    }
    const int whole = e->form == FORM_COUNT;
    if (!is_number(text, &number) || number < e->low || number > e->high ||
        (whole && number != floor(number)))
        return sciml_say(SCIML_ARGUMENT, message, length,
                         "%s, line %d: %s = %.60s: give a %snumber from %g to %g", r->file, r->line, e->name,
                         text, whole ? "whole " : "", e->low, e->high);
    if (whole) {
        place = (int32_t)number;
        memcpy(to, &place, sizeof place);
    } else {
        memcpy(to, &number, sizeof number);
    }
    return SCIML_OK;
}

static int fail(const reader *r, const char *what, char *message, size_t length) {
    return sciml_say(SCIML_ARGUMENT, message, length, "%s, line %d: %s", r->file, r->line, what);
}

/* Skip to the group &sciml_mskf, past other groups of the file. */
static int find_group(reader *r, char *message, size_t length) {
    char word[WORD];
    for (; r->at < r->end; r->at++) {
        if (*r->at == '!')
            while (r->at < r->end && *r->at != '\n')
                r->at++;
        if (r->at == r->end) break;
        if (*r->at == '\n') r->line++;
        if (*r->at != '&') continue;
        r->at++;
        take_name(r, word);
        if (strcmp(word, "sciml_mskf") == 0) return SCIML_OK;
        r->at--;
    }
    return fail(r, "no group &sciml_mskf: write &sciml_mskf, the settings, and / on a line of its own",
                message, length);
}

static int take_entry(reader *r, uint32_t *seen, sciml_settings *settings, char *message, size_t length) {
    char name[WORD], text[SCIML_PATH_SIZE];
    size_t n = 0;
    if (!take_name(r, name)) return fail(r, "give a setting, or / to end the group", message, length);
    while (n < ENTRIES && strcmp(entries[n].name, name) != 0)
        n++;
    if (n == ENTRIES) {
        char known[512] = "";
        for (size_t i = 0; i < ENTRIES; i++)
            snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "",
                     entries[i].name);
        return sciml_say(SCIML_ARGUMENT, message, length,
                         "%s, line %d: no setting is called %s; there are %s", r->file, r->line, name, known);
    }
    if (*seen & 1u << n)
        return sciml_say(SCIML_ARGUMENT, message, length, "%s, line %d: %s is set twice", r->file, r->line,
                         name);
    *seen |= 1u << n;
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t'))
        r->at++;
    if (r->at == r->end || *r->at != '=')
        return sciml_say(SCIML_ARGUMENT, message, length, "%s, line %d: after %s, give = and one value",
                         r->file, r->line, name);
    r->at++;
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t'))
        r->at++;
    if (take_text(r, text, sizeof text) < 0)
        return fail(r, "a string does not end, or is too long", message, length);
    return set(&entries[n], text, r, settings, message, length);
}

int sciml_settings_parse(const char *text, size_t size, const char *name, sciml_settings *settings,
                         char *message, size_t length) {
    reader r = {text, text + size, name, 1};
    uint32_t seen = 0;
    sciml_settings_default(settings);
    int status = find_group(&r, message, length);
    while (!status) {
        skip(&r);
        if (r.at == r.end)
            return fail(&r, "the group does not end: write / after the settings", message, length);
        if (*r.at == '/') break;
        status = take_entry(&r, &seen, settings, message, length);
    }
    if (!status && settings->capture_last < settings->capture_first)
        return sciml_say(SCIML_ARGUMENT, message, length,
                         "%s: capture_first = %d lies after capture_last = %d: nothing would be captured",
                         name, settings->capture_first, settings->capture_last);
    return status;
}

int sciml_settings_read(const char *path, sciml_settings *settings, char *message, size_t length) {
    uint8_t *text;
    size_t size;
    int status = sciml_read_file("the namelist", path, LARGEST_NAMELIST, &text, &size, message, length);
    if (status) return status;
    status = sciml_settings_parse((const char *)text, size, path, settings, message, length);
    sciml_give(text);
    return status;
}

void sciml_settings_describe(const sciml_settings *settings, void (*line)(const char *text)) {
    char text[SCIML_PATH_SIZE + 64];
    for (size_t n = 0; n < ENTRIES; n++) {
        const entry *e = &entries[n];
        const void *from = (const char *)settings + e->offset;
        int32_t count;
        double number;
        memcpy(&count, from, sizeof count);
        memcpy(&number, from, e->form == FORM_NUMBER ? sizeof number : sizeof count);
        if (e->form == FORM_PATH) {
            snprintf(text, sizeof text, "  %-16s= '%s'", e->name, (const char *)from);
        } else if (e->form == FORM_WORD) {
            const char *w = e->words;
            for (int32_t i = 0; i < count; i++)
                w += strcspn(w, " ") + 1;
            snprintf(text, sizeof text, "  %-16s= '%.*s'", e->name, (int)strcspn(w, " "), w);
        } else if (e->form == FORM_COUNT) {
            snprintf(text, sizeof text, "  %-16s= %d", e->name, count);
        } else {
            snprintf(text, sizeof text, "  %-16s= %.6g", e->name, number);
        }
        line(text);
    }
}
