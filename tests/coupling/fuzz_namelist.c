/* Damage a namelist at random and give it to the reader: it must fail with a message, or read settings
 * within their bounds and describe them.
 *
 *     fuzz_namelist NAMELIST ROUNDS
 *
 * With -DLIBFUZZER it is a target of libFuzzer instead. */
#include "engine/message.h"
#include "wrf/settings.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int lines;

static void count_line(const char *text) {
    lines += strchr(text, '=') != NULL;
}

/* 1 if it was read, 0 if it failed with a message, -1 if something is wrong with the reader. */
static int read_exactly(const uint8_t *bytes, size_t size) {
    char *exact = malloc(size ? size : 1), message[300] = "";
    sciml_settings s;
    memcpy(exact, bytes, size);
    const int status = sciml_settings_parse(exact, size, "fuzzed.nml", &s, message, sizeof message);
    free(exact);
    if (status) return status == SCIML_ARGUMENT && message[0] ? 0 : -1;
    for (int n = 0; n < 3; n++)
        if (!(s.capture[n] >= 0 && s.capture[n] <= 1)) return -1;
    lines = 0;
    sciml_settings_describe(&s, count_line);
    const int sane = s.mode >= MODE_ORIGINAL && s.mode <= MODE_GUARD && (s.stop == 0 || s.stop == 1) &&
                     s.novelty >= 0 && s.limited >= 0 && s.limited <= 1 && s.interval > 0 && s.heating > 0 &&
                     s.moistening > 0 && s.capture_columns >= 1 && s.capture_every >= 1 &&
                     s.capture_first >= 0 && s.capture_last >= s.capture_first && s.weights[0] &&
                     s.directory[0] && lines == 18;
    return sane ? 1 : -1;
}

#ifdef LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    if (read_exactly(bytes, size) < 0) abort();
    return 0;
}
#else
static uint64_t state = 0x9e3779b97f4a7c15u;

static uint32_t draw(uint32_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 16) % below);
}

/* Put a word, or a byte, in the place of some bytes. */
static size_t damage(uint8_t *bytes, size_t size, size_t capacity) {
    static const char *const words[] = {"&",           "/",
                                        "=",           "'",
                                        "\"",          "!",
                                        "\n",          ",",
                                        "1d400",       "-1",
                                        "nan",         "0x1p3",
                                        "1e-999",      "99999999999",
                                        "mode",        "''''",
                                        "guard",       "weights",
                                        "&sciml_mskf", "\t",
                                        "1*3",         "capture_every=0"};
    for (uint32_t n = 1 + draw(4); n > 0; n--) {
        const char *word = words[draw(sizeof words / sizeof *words)];
        const size_t at = draw((uint32_t)size + 1), cut = draw(6) < size - at ? draw(6) : 0;
        const size_t put = draw(4) ? strlen(word) : 0, removed = cut < size - at ? cut : 0;
        if (size - removed + put > capacity) continue;
        memmove(bytes + at + put, bytes + at + removed, size - at - removed);
        memcpy(bytes + at, word, put);
        size += put - removed;
        if (size && draw(3) == 0) bytes[draw((uint32_t)size)] = (uint8_t)draw(256);
        if (draw(20) == 0) size = draw((uint32_t)size + 1);
    }
    return size;
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    FILE *f = fopen(arguments[1], "rb");
    if (!f) return 2;
    uint8_t good[1 << 14], bytes[1 << 15];
    const size_t size = fread(good, 1, sizeof good, f);
    fclose(f);
    const long rounds = atol(arguments[2]);
    long opened = 0;
    for (long n = 0; n < rounds; n++) {
        memcpy(bytes, good, size);
        const int result = read_exactly(bytes, damage(bytes, size, sizeof bytes));
        if (result < 0) return 1;
        opened += result;
    }
    printf("%ld rounds, %ld opened\n", rounds, opened);
    return 0;
}
#endif
