"""Recurrent models of tokens: classifiers of texts and language models.

Dimensions: ``B`` batch, ``T`` sequence, ``D`` embedding width, ``H`` state width, ``L`` layers
times directions, ``C`` outputs (classes, or the vocabulary).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from utils.arguments import check_positive_int, choose
from utils.models.recurrent import Recurrent, check_lengths

__all__ = ["RecurrentModel"]

TORCH = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class RecurrentModel(nn.Module):
    """Embedding, recurrent stack, linear head: a classifier or a language model of tokens.

    Parameters
    ----------
    read: ``"last"``: the head reads the final hidden state (of both directions), output
        ``(B, C)``; ``"all"``: it reads every position, output ``(B, T, C)``.
    engine: ``"torch"`` runs torch's own recurrent layer, faster; ``"ours"`` runs `Recurrent`. The
        weights and, to rounding, the results are the same.

    Raises TypeError or ValueError for bad arguments.
    """

    def __init__(
        self,
        vocab_size: int,
        num_outputs: int,
        *,
        kind: str = "lstm",
        d_embedding: int = 100,
        d_hidden: int = 256,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        read: str = "last",
        engine: str = "torch",
    ):
        super().__init__()
        check_positive_int(vocab_size=vocab_size, num_outputs=num_outputs, d_embedding=d_embedding)
        choose("read", read, ("last", "all"))
        choose("engine", engine, ("torch", "ours"))
        self.read, self.dropout = read, dropout
        self.embedding = nn.Embedding(vocab_size, d_embedding)
        between = dropout if num_layers > 1 else 0.0
        self.rnn: nn.Module = Recurrent(
            kind, d_embedding, d_hidden, num_layers, bidirectional=bidirectional, dropout=between
        )
        if engine == "torch":
            weights = self.rnn.state_dict()
            self.rnn = TORCH[kind](
                d_embedding,
                d_hidden,
                num_layers,
                batch_first=True,
                bidirectional=bidirectional,
                dropout=between,
            )
            self.rnn.load_state_dict(weights)
        self.head = nn.Linear(d_hidden * (2 if bidirectional else 1), num_outputs)

    def forward(self, tokens_BT: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map token ids ``(B, T)`` to ``(B, C)`` or ``(B, T, C)``, by ``read``.

        Without ``lengths`` padding counts as text. Raises ValueError for other shapes or dtypes,
        ids outside the vocabulary, and lengths outside 1 to T.
        """
        vocab_size = self.embedding.num_embeddings
        if tokens_BT.ndim != 2 or tokens_BT.is_floating_point() or 0 in tokens_BT.shape:
            raise ValueError(
                f"expected integer token ids (B, T), got {tuple(tokens_BT.shape)} "
                f"of {tokens_BT.dtype}"
            )
        if tokens_BT.min() < 0 or tokens_BT.max() >= vocab_size:
            raise ValueError(
                f"token ids must be in 0 to {vocab_size - 1}, "
                f"got {int(tokens_BT.min())} to {int(tokens_BT.max())}"
            )
        x_BTD = F.dropout(self.embedding(tokens_BT), self.dropout, self.training)
        outputs, hidden_LBH = self._recur(x_BTD, lengths)
        if self.read == "last":
            directions = 2 if outputs.shape[-1] > hidden_LBH.shape[-1] else 1
            outputs = torch.cat(tuple(hidden_LBH[-directions:]), dim=-1)
        return self.head(F.dropout(outputs, self.dropout, self.training))

    def _recur(self, x_BTD: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Outputs ``(B, T, H)`` and final hidden states ``(L, B, H)``, from either engine."""
        if lengths is None or isinstance(self.rnn, Recurrent):
            arguments = {} if lengths is None else {"lengths": lengths}
            outputs, state = self.rnn(x_BTD, **arguments)
        else:
            lengths = check_lengths(lengths, *x_BTD.shape[:2]).cpu()
            packed = pack_padded_sequence(x_BTD, lengths, batch_first=True, enforce_sorted=False)
            outputs, state = self.rnn(packed)
            outputs, _ = pad_packed_sequence(outputs, True, total_length=x_BTD.shape[1])
        return outputs, state if isinstance(state, Tensor) else state[0]
