/* The codes are canonical Huffman codes: those of one length are consecutive, and follow from the number of
 * symbols of each length. They are decoded bit by bit, because a file of weights is read once. */
#include "engine/inflate.h"

#include <string.h>

#define LONGEST 15   /* bits of a code */
#define LITERALS 288 /* symbols of the bytes, the end and the lengths, and two that are invalid */
#define DISTANCES 32 /* symbols of the distances, and two that are invalid */
#define MOST_LITERALS 286
#define MOST_DISTANCES 30
#define END 256

/* Bits of a stream, the lowest of a byte first. */
typedef struct reader {
    const uint8_t *at, *end;
    uint32_t bits;
    int count, bad;
} reader;

/* count[n] symbols have codes of n bits; they are in `symbol` in the order of their codes. */
typedef struct huffman {
    uint16_t count[LONGEST + 1], symbol[LITERALS];
} huffman;

/* The content so far. */
typedef struct writer {
    uint8_t *bytes;
    size_t size, used;
} writer;

static uint32_t bits_of(reader *r, int wanted) {
    while (r->count < wanted) {
        if (r->at == r->end) {
            r->bad = 1;
            return 0;
        }
        r->bits |= (uint32_t)*r->at++ << r->count;
        r->count += 8;
    }
    const uint32_t value = r->bits & ((1u << wanted) - 1);
    r->bits >>= wanted;
    r->count -= wanted;
    return value;
}

/* Make a code from the length of each symbol, 0 for those without one. Returns how many codes of the longest
 * length stay free, or -1 if the lengths are no code. */
static int make(huffman *h, const uint8_t *lengths, int symbols) {
    uint16_t first[LONGEST + 2];
    int left = 1;
    memset(h, 0, sizeof *h);
    for (int s = 0; s < symbols; s++)
        h->count[lengths[s]]++;
    h->count[0] = 0;
    first[1] = 0;
    for (int n = 1; n <= LONGEST; n++) {
        left = 2 * left - h->count[n];
        if (left < 0) return -1;
        first[n + 1] = (uint16_t)(first[n] + h->count[n]);
    }
    for (int s = 0; s < symbols; s++)
        if (lengths[s]) h->symbol[first[lengths[s]]++] = (uint16_t)s;
    return left;
}

static int symbol_of(reader *r, const huffman *h) {
    int code = 0, first = 0, index = 0;
    for (int n = 1; n <= LONGEST && !r->bad; n++) {
        code |= (int)bits_of(r, 1);
        if (code - first < h->count[n]) return h->symbol[index + code - first];
        index += h->count[n];
        first = 2 * (first + h->count[n]);
        code *= 2;
    }
    r->bad = 1;
    return END;
}

/* Copy bytes that follow each other in the stream. */
static void stored(reader *r, writer *w) {
    r->bits = 0; /* the rest of the byte */
    r->count = 0;
    if (r->end - r->at < 4) {
        r->bad = 1;
        return;
    }
    const size_t size = (size_t)r->at[0] | (size_t)r->at[1] << 8,
                 other = (size_t)r->at[2] | (size_t)r->at[3] << 8;
    r->at += 4;
    if (size != (~other & 0xffff) || size > (size_t)(r->end - r->at) || size > w->size - w->used) {
        r->bad = 1;
        return;
    }
    memcpy(w->bytes + w->used, r->at, size);
    r->at += size;
    w->used += size;
}

/* Copy earlier bytes, which may be those that this copy has just written. */
static void repeat(reader *r, writer *w, int symbol, const huffman *distances) {
    static const uint16_t base[] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                    31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const uint8_t more[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                   2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    static const uint16_t far[] = {1,    2,    3,    4,    5,    7,    9,    13,    17,    25,
                                   33,   49,   65,   97,   129,  193,  257,  385,   513,   769,
                                   1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
    const int n = symbol - END - 1;
    if (n >= (int)(sizeof base / sizeof *base)) {
        r->bad = 1;
        return;
    }
    size_t size = base[n] + bits_of(r, more[n]);
    const int d = symbol_of(r, distances);
    if (r->bad || d >= (int)(sizeof far / sizeof *far)) {
        r->bad = 1;
        return;
    }
    const size_t back = far[d] + bits_of(r, d < 2 ? 0 : d / 2 - 1);
    if (r->bad || back > w->used || size > w->size - w->used) {
        r->bad = 1;
        return;
    }
    for (; size > 0; size--, w->used++)
        w->bytes[w->used] = w->bytes[w->used - back];
}

static void coded(reader *r, writer *w, const huffman *literals, const huffman *distances) {
    while (!r->bad) {
        const int symbol = symbol_of(r, literals);
        if (symbol == END) return;
        if (symbol > END) {
            repeat(r, w, symbol, distances);
        } else if (w->used == w->size) {
            r->bad = 1;
        } else {
            w->bytes[w->used++] = (uint8_t)symbol;
        }
    }
}

static void fixed_codes(huffman *literals, huffman *distances) {
    uint8_t lengths[LITERALS];
    memset(lengths, 8, 144);
    memset(lengths + 144, 9, 112);
    memset(lengths + 256, 7, 24);
    memset(lengths + 280, 8, 8);
    make(literals, lengths, LITERALS);
    memset(lengths, 5, DISTANCES);
    make(distances, lengths, DISTANCES);
}

/* Whether no code stays free, which only a code of one symbol, or of none, may have. */
static int whole(const huffman *h, int left) {
    int longer = 0;
    for (int n = 2; n <= LONGEST; n++)
        longer += h->count[n];
    return left == 0 || (left > 0 && longer == 0);
}

/* Read the two codes of a block. */
static void own_codes(reader *r, huffman *literals, huffman *distances) {
    static const uint8_t order[] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    uint8_t lengths[LITERALS + DISTANCES + 138] = {0};
    const int most = 257 + (int)bits_of(r, 5), far = 1 + (int)bits_of(r, 5), given = 4 + (int)bits_of(r, 4);
    for (int i = 0; i < given; i++)
        lengths[order[i]] = (uint8_t)bits_of(r, 3);
    if (r->bad || most > MOST_LITERALS || far > MOST_DISTANCES || make(literals, lengths, 19) != 0) {
        r->bad = 1;
        return;
    }
    memset(lengths, 0, sizeof lengths);
    for (int i = 0; i < most + far && !r->bad;) {
        const int symbol = symbol_of(r, literals);
        if (symbol < 16) {
            lengths[i++] = (uint8_t)symbol;
            continue;
        }
        const uint8_t same = symbol == 16 && i ? lengths[i - 1] : 0;
        if ((symbol == 16 && i == 0) || symbol > 18) r->bad = 1;
        const int times = symbol == 16   ? 3 + (int)bits_of(r, 2)
                          : symbol == 17 ? 3 + (int)bits_of(r, 3)
                                         : 11 + (int)bits_of(r, 7);
        if (i + times > most + far) r->bad = 1;
        for (int k = 0; k < times && !r->bad; k++)
            lengths[i++] = same;
    }
    if (r->bad || lengths[END] == 0) {
        r->bad = 1;
        return;
    }
    const int left = make(literals, lengths, most), free = make(distances, lengths + most, far);
    if (!whole(literals, left) || !whole(distances, free)) r->bad = 1;
}

int sciml_inflate(const uint8_t *stream, size_t packed, uint8_t *content, size_t size) {
    reader r = {stream, stream + packed, 0, 0, 0};
    writer w = {content, size, 0};
    huffman literals, distances;
    uint32_t last = 0;
    while (!last && !r.bad) {
        last = bits_of(&r, 1);
        switch (bits_of(&r, 2)) {
        case 0:
            stored(&r, &w);
            break;
        case 1:
            fixed_codes(&literals, &distances);
            coded(&r, &w, &literals, &distances);
            break;
        case 2:
            own_codes(&r, &literals, &distances);
            coded(&r, &w, &literals, &distances);
            break;
        default:
            r.bad = 1;
        }
    }
    return r.bad || r.at != r.end || w.used != size;
}
