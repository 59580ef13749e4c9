/* Between the arrays of a host, whose elements lie anywhere, and rows of lanes, column = lane. */
#ifndef SCIML_LANE_ORDER_H
#define SCIML_LANE_ORDER_H

#include <stddef.h>

#if defined(__SSE2__)
#    include <emmintrin.h>

/* Rows of floats that lie side by side in the host's array, in squares of four lanes and four rows; the last
 * rows may be done twice. Returns the number of rows that are done: all, or none if there are fewer than
 * four. The rows of a lane follow each other, so that lines of the host's memory are read and written whole.
 */
static inline int sciml_gather_fours(const float *from, ptrdiff_t lane_step, int rows, int lanes, int width,
                                     float *to) {
    if (rows < 4) return 0;
    int lane = 0;
    for (; lane + 4 <= lanes; lane += 4)
        for (int done = 0; done < rows; done += 4) {
            const int row = done + 4 > rows ? rows - 4 : done;
            const float *at = from + lane * lane_step + row;
            __m128 x[4];
            for (int i = 0; i < 4; i++)
                x[i] = _mm_loadu_ps(at + i * lane_step);
            _MM_TRANSPOSE4_PS(x[0], x[1], x[2], x[3]);
            for (int i = 0; i < 4; i++)
                _mm_storeu_ps(to + (ptrdiff_t)(row + i) * width + lane, x[i]);
        }
    for (; lane < width; lane++)
        for (int row = 0; row < rows; row++)
            to[(ptrdiff_t)row * width + lane] = lane < lanes ? from[lane * lane_step + row] : 0;
    return rows;
}

static inline int sciml_scatter_fours(float *to, ptrdiff_t lane_step, int rows, int lanes, int width,
                                      const float *from) {
    if (rows < 4) return 0;
    int lane = 0;
    for (; lane + 4 <= lanes; lane += 4)
        for (int done = 0; done < rows; done += 4) {
            const int row = done + 4 > rows ? rows - 4 : done;
            __m128 x[4];
            for (int i = 0; i < 4; i++)
                x[i] = _mm_loadu_ps(from + (ptrdiff_t)(row + i) * width + lane);
            _MM_TRANSPOSE4_PS(x[0], x[1], x[2], x[3]);
            for (int i = 0; i < 4; i++)
                _mm_storeu_ps(to + (lane + i) * lane_step + row, x[i]);
        }
    for (; lane < lanes; lane++)
        for (int row = 0; row < rows; row++)
            to[lane * lane_step + row] = from[(ptrdiff_t)row * width + lane];
    return rows;
}
#else
static inline int sciml_gather_fours(const float *from, ptrdiff_t lane_step, int rows, int lanes, int width,
                                     float *to) {
    (void)from, (void)lane_step, (void)rows, (void)lanes, (void)width, (void)to;
    return 0;
}
static inline int sciml_scatter_fours(float *to, ptrdiff_t lane_step, int rows, int lanes, int width,
                                      const float *from) {
    (void)to, (void)lane_step, (void)rows, (void)lanes, (void)width, (void)from;
    return 0;
}
#endif

/* Functions for a type of the host's numbers and one of the lanes. gather: (row, lane) of `width` lanes from
 * host[row * row_step + lane * lane_step], zeros beyond the last of `lanes`; scatter: back. The next level,
 * `next` elements away, is fetched ahead: the processor does not follow one stream a lane. */
#define SCIML_LANE_ORDER(gather, scatter, host_real, own_real)                                               \
    static inline void gather(const host_real *host, ptrdiff_t lane_step, ptrdiff_t row_step,                \
                              ptrdiff_t next, int rows, int lanes, int width, own_real *to) {                \
        const int line = 64 / (int)sizeof *host;                                                             \
        int row = 0;                                                                                         \
        for (int lane = 0; next && lane < lanes; lane++)                                                     \
            for (int r = 0; r < rows; r += line)                                                             \
                __builtin_prefetch(host + next + lane * lane_step + r * row_step);                           \
        if (sizeof *host == sizeof(float) && sizeof *to == sizeof(float) && row_step == 1)                   \
            row = sciml_gather_fours((const float *)(const void *)host, lane_step, rows, lanes, width,       \
                                     (float *)(void *)to);                                                   \
        for (; row < rows; row++)                                                                            \
            for (int lane = 0; lane < width; lane++)                                                         \
                to[(ptrdiff_t)row * width + lane] =                                                          \
                    lane < lanes ? (own_real)host[lane * lane_step + row * row_step] : 0;                    \
    }                                                                                                        \
    static inline void scatter(host_real *host, ptrdiff_t lane_step, ptrdiff_t row_step, int rows,           \
                               int lanes, int width, const own_real *from) {                                 \
        int row = 0;                                                                                         \
        if (sizeof *host == sizeof(float) && sizeof *from == sizeof(float) && row_step == 1)                 \
            row = sciml_scatter_fours((float *)(void *)host, lane_step, rows, lanes, width,                  \
                                      (const float *)(const void *)from);                                    \
        for (; row < rows; row++)                                                                            \
            for (int lane = 0; lane < lanes; lane++)                                                         \
                host[lane * lane_step + row * row_step] = (host_real)from[(ptrdiff_t)row * width + lane];    \
    }

#endif
