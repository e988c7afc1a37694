"""Explorables: pictures that the reader drives (see `utils.explore.base`)."""

from utils.explore.attention_weights import AttentionWeights, attention_weights
from utils.explore.backprop_graph import BackpropGraph, backprop_graph
from utils.explore.kernel_over_image import KernelOverImage, kernel_over_image
from utils.explore.logit_loss import LogitLoss, logit_loss
from utils.explore.optimizer_race import OptimizerRace, optimizer_race
from utils.explore.sampling_filter import SamplingFilter, sampling_filter

__all__ = [
    "AttentionWeights",
    "BackpropGraph",
    "KernelOverImage",
    "LogitLoss",
    "OptimizerRace",
    "SamplingFilter",
    "attention_weights",
    "backprop_graph",
    "kernel_over_image",
    "logit_loss",
    "optimizer_race",
    "sampling_filter",
]
