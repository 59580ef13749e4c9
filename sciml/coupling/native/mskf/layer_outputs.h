/* Outputs of the pure network in its layers; the definition is sciml/convection/layer_outputs.py. */
#ifndef SCIML_LAYER_OUTPUTS_H
#define SCIML_LAYER_OUTPUTS_H

#include "mskf/column_group.h"

/* The heads of a layer, in their order, and what they become: the first seven are tendencies. */
enum layer_head {
    H_RTH,
    H_RQV,
    H_RQC,
    H_RQI,
    H_RQR,
    H_FLUX,
    H_MOMENTUM,
    H_MIXING,
    H_SHEAR,
    H_PUSH,
    H_COVER,
    H_LIQUID,
    H_ICE,
    H_TOP,
    H_BASE
};
enum layer_output { O_RTH, O_RQV, O_RQC, O_RQI, O_RQR, O_RU, O_RV, O_COVER, O_LIQUID, O_ICE, O_COUNT };

/* The outputs of the column, and of its layers: values[output * layers + layer]. */
typedef struct layer_outputs {
    vreal *values;
    vreal rain, time; /* kg/m2/s; logarithm of the hold time over the passage of the wind */
    vreal top, base;  /* layers of the cloud's top and base */
    vword active, deep;
} layer_outputs;

/* From the heads of each lane's class, (layer, SCIML_LAYER_HEADS), and the three of the column. */
void NAMED(decode)(const sciml_emulator *e, const layering *on, const seen *of, const vreal *heads,
                   const vreal column[3], layer_outputs *out);
/* The outputs on the levels; definition: level_outputs.py. `scratch`: LEVEL_OUTPUTS rows of levels. */
void NAMED(outputs_on_levels)(const setting *set, const sounding *s, const layering *on, const seen *of,
                              const layer_outputs *in, vreal *scratch, response *out);

#endif
