"""Files that sciml writes: their kind, the record of what made them, and the comparison of two of them."""

from sciml.verify.artefacts.comparison import Comparison as Comparison
from sciml.verify.artefacts.comparison import compare as compare
from sciml.verify.artefacts.reading import Artefact as Artefact
from sciml.verify.artefacts.reading import read_artefact as read_artefact
