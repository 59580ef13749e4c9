"""WRF's files: opened, their derived fields, and the columns that the convection scheme sees."""

from sciml.wrf.accessor import WRFFields
from sciml.wrf.columns import check_finite, convection_columns, only_pairs
from sciml.wrf.forms import form_of, run_number
from sciml.wrf.kinds import DEEP, HELD, KINDS, NONE, SHALLOW, UNKNOWN, Classes, classes
from sciml.wrf.lossy import LossyInput
from sciml.wrf.maps import columns_to_map
from sciml.wrf.reading import open_wrfout
from sciml.wrf.table import TABLE, Variable

__all__ = [
    "DEEP",
    "HELD",
    "KINDS",
    "NONE",
    "SHALLOW",
    "TABLE",
    "UNKNOWN",
    "Classes",
    "LossyInput",
    "Variable",
    "WRFFields",
    "check_finite",
    "classes",
    "columns_to_map",
    "convection_columns",
    "form_of",
    "only_pairs",
    "open_wrfout",
    "run_number",
]
