"""Layers and weights that both pipelines use: parametrised and binary weights, the LSTM, convolutions, state dicts.

Any weight of a network may be parametrised by `torch.nn.utils.parametrize`. Files and exports hold the dense weight
under its plain name (`materialise`); the resumable state of a training holds the original tensors.
"""

from __future__ import annotations

from sciml.nn.association import Retrieval, associate, effective_patterns, energy
from sciml.nn.binary_activation import BinaryActivation, ElasticSign, ElasticStep
from sciml.nn.binary_attention import BinaryAttention, BinaryLinear, SelfAttention
from sciml.nn.binary_weight import CentredSign, Periodic, StraightThroughSign
from sciml.nn.bounded_weights import orthogonality_penalty, orthogonalize, scale_spectrally, singular_values
from sciml.nn.conversion import (
    binarize,
    harden,
    hypercomplexify,
    periodic_penalty,
    set_stage,
    weight_kinds,
)
from sciml.nn.convolution_spectrum import spectrum
from sciml.nn.dense_weights import dense_copy, parametrizations
from sciml.nn.evonorm import EvoNorm
from sciml.nn.hopfield import Hopfield
from sciml.nn.hypercomplex import Hypercomplex, hamilton
from sciml.nn.learned_patterns import HopfieldLayer, HopfieldPooling
from sciml.nn.lstm import LSTM
from sciml.nn.orthogonal_weight import Orthogonal
from sciml.nn.score_estimators import fit_estimators
from sciml.nn.spectral_scale import SpectralScale
from sciml.nn.state_dict import load_weights, materialise, misfit

__all__ = [
    "LSTM",
    "BinaryActivation",
    "BinaryAttention",
    "BinaryLinear",
    "CentredSign",
    "ElasticSign",
    "ElasticStep",
    "Hopfield",
    "HopfieldLayer",
    "HopfieldPooling",
    "EvoNorm",
    "Hypercomplex",
    "Orthogonal",
    "Periodic",
    "Retrieval",
    "SelfAttention",
    "SpectralScale",
    "StraightThroughSign",
    "associate",
    "binarize",
    "dense_copy",
    "effective_patterns",
    "energy",
    "fit_estimators",
    "hamilton",
    "harden",
    "hypercomplexify",
    "load_weights",
    "materialise",
    "misfit",
    "orthogonality_penalty",
    "orthogonalize",
    "parametrizations",
    "periodic_penalty",
    "scale_spectrally",
    "set_stage",
    "singular_values",
    "spectrum",
    "weight_kinds",
]
