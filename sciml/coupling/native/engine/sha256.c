/* SHA-256 as FIPS 180-4 (2015) defines it, section 6.2; the names there are in the comments. */
#include "engine/sha256.h"

#include <string.h>

/* The first 32 bits of the fractions of the cube roots of the first 64 primes (K, section 4.2.2). */
static const uint32_t round_constant[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turn(uint32_t x, int n) {
    return (x >> n) | (x << (32 - n));
}

static void digest(uint32_t state[8], const uint8_t block[64]) {
    uint32_t w[64], v[8];
    for (int t = 0; t < 16; t++)
        w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 |
               (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
    for (int t = 16; t < 64; t++) {
        const uint32_t a = w[t - 15], b = w[t - 2];
        w[t] = w[t - 16] + (turn(a, 7) ^ turn(a, 18) ^ (a >> 3)) + w[t - 7] +
               (turn(b, 17) ^ turn(b, 19) ^ (b >> 10));
    }
    memcpy(v, state, sizeof v);
    for (int t = 0; t < 64; t++) {
        const uint32_t a = v[0], e = v[4];
        const uint32_t choose = (e & v[5]) ^ (~e & v[6]);                  /* Ch */
        const uint32_t majority = (a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]); /* Maj */
        const uint32_t t1 =
            v[7] + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + choose + round_constant[t] + w[t];
        const uint32_t t2 = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + majority;
        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        state[i] += v[i];
}

void sciml_sha256_start(sciml_sha256 *s) {
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(s->state, initial, sizeof initial);
    s->bytes = 0;
    s->held = 0;
}

void sciml_sha256_add(sciml_sha256 *s, const uint8_t *data, size_t size) {
    s->bytes += size;
    while (size > 0) {
        if (s->held == 0 && size >= 64) {
            digest(s->state, data);
            data += 64;
            size -= 64;
            continue;
        }
        const size_t space = 64 - s->held, part = size < space ? size : space;
        memcpy(s->block + s->held, data, part);
        s->held += part;
        data += part;
        size -= part;
        if (s->held == 64) {
            digest(s->state, s->block);
            s->held = 0;
        }
    }
}

void sciml_sha256_finish(sciml_sha256 *s, char digits[65]) {
    const uint64_t bits = s->bytes * 8;
    uint8_t tail[72] = {0x80};
    const size_t pad = (s->held < 56 ? 56 : 120) - s->held;
    for (int i = 0; i < 8; i++)
        tail[pad + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
    sciml_sha256_add(s, tail, pad + 8);
    for (int i = 0; i < 64; i++)
        digits[i] = "0123456789abcdef"[s->state[i / 8] >> (28 - 4 * (i % 8)) & 15];
    digits[64] = 0;
}
