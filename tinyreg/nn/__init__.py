"""Layers: compositions with parameters, put together as modules. Names and layouts are those of PyTorch."""

from . import init
from .activations import ELU, GELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh
from .attention import MultiHeadAttention, TransformerBlock
from .containers import Sequential
from .conv import AvgPool2d, Conv2d, GlobalAvgPool2d, MaxPool2d
from .dropout import (
    AlphaDropout,
    Dropout,
    DropPath,
    GaussianDropout,
    SpatialDropout,
    monte_carlo,
    monte_carlo_predict,
)
from .embedding import Embedding
from .linear import Linear
from .module import Module
from .norm import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from .parameter import Buffer, Parameter
from .recurrent import GRU, LSTM, RNN
from .shape import Flatten
from .wrappers import DropConnect, Reparametrization, SpectralNorm, WeightNorm

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "RNN",
    "AlphaDropout",
    "AvgPool2d",
    "BatchNorm",
    "Buffer",
    "Conv2d",
    "DropConnect",
    "DropPath",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GlobalAvgPool2d",
    "GroupNorm",
    "InstanceNorm",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MaxPool2d",
    "Module",
    "MultiHeadAttention",
    "Parameter",
    "RMSNorm",
    "ReLU",
    "Reparametrization",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "SpatialDropout",
    "SpectralNorm",
    "Tanh",
    "TransformerBlock",
    "WeightNorm",
    "init",
    "monte_carlo",
    "monte_carlo_predict",
]


def __dir__() -> list[str]:
    return __all__
