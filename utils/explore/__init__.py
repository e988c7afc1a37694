"""Explorables: pictures that the reader drives (see `utils.explore.base`)."""

from utils.explore.logit_loss import LogitLoss, logit_loss

__all__ = ["LogitLoss", "logit_loss"]
