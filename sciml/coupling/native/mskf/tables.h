/* The two tables that the Kain-Fritsch family of schemes interpolates in; its decisions depend on them. */
#ifndef SCIML_TABLES_H
#define SCIML_TABLES_H

#define TABLE_TH 250 /* steps of 1 K of equivalent potential temperature */
#define TABLE_P 220  /* pressures from 50 to 1100 hPa */
#define TABLE_TOP 5000.0
#define TABLE_DP ((110000.0 - 5000.0) / (TABLE_P - 1))
#define LOG_COUNT 200
#define LOG_START 1.0e-3
#define LOG_STEP 0.075

/* The wet adiabats in single precision, as the scheme keeps them; arithmetic on them is in double. */
typedef struct sciml_tables {
    /* Temperature (K) and saturation mixing ratio (kg/kg) on a wet adiabat: neighbours in pressure lie
     * side by side, so that one load of 16 bytes brings what an interpolation needs of a row. */
    float wet[TABLE_TH][TABLE_P][2];
    float start[TABLE_P];   /* equivalent potential temperature (K) of the first row */
    double logs[LOG_COUNT]; /* logarithm of vapour pressure over 611.2 Pa; not rounded */
} sciml_tables;

/* Fill them: a tenth of a second at most. */
void sciml_tables_fill(sciml_tables *tables);

#endif
