"""Explorables: pictures that the reader drives (see `utils.explore.base`)."""

from utils.explore.attention_weights import AttentionWeights, attention_weights
from utils.explore.backprop_graph import BackpropGraph, backprop_graph
from utils.explore.logit_loss import LogitLoss, logit_loss

__all__ = [
    "AttentionWeights",
    "BackpropGraph",
    "LogitLoss",
    "attention_weights",
    "backprop_graph",
    "logit_loss",
]
