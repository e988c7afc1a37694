import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from utils.models.recurrent import Recurrent, RecurrentCell
from utils.models.recurrent_model import RecurrentModel

KINDS = ["rnn", "gru", "lstm"]
TORCH = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
CELLS = {"rnn": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}


def as_tuple(state):
    return state if isinstance(state, tuple) else (state,)


def pair(kind, num_layers, bidirectional, bias=True):
    reference = TORCH[kind](
        5, 7, num_layers, batch_first=True, bidirectional=bidirectional, bias=bias
    )
    model = Recurrent(kind, 5, 7, num_layers, bidirectional=bidirectional, bias=bias)
    model.load_state_dict(reference.state_dict())
    return model, reference


def random_state(kind, layers, batch):
    parts = tuple(torch.randn(layers, batch, 7) for _ in range(2 if kind == "lstm" else 1))
    return parts if kind == "lstm" else parts[0]


def assert_same_gradients(model, reference):
    theirs = dict(reference.named_parameters())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(
            parameter.grad, theirs[name].grad, rtol=1e-4, atol=1e-5, msg=name
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
def test_cell_equals_torch(kind, bias):
    torch.manual_seed(0)
    reference = CELLS[kind](5, 7, bias=bias)
    cell = RecurrentCell(kind, 5, 7, bias=bias)
    cell.load_state_dict(reference.state_dict())
    x, state = torch.randn(3, 5), random_state(kind, 3, 1)
    state = tuple(s[:, 0] for s in state) if kind == "lstm" else state[:, 0]
    for given in (None, state):
        for ours, theirs in zip(
            as_tuple(cell(x, given)), as_tuple(reference(x, given)), strict=True
        ):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("num_layers", "bidirectional", "bias"), [(1, False, True), (3, True, True), (2, False, False)]
)
def test_stack_equals_torch_forward_and_backward(kind, num_layers, bidirectional, bias):
    torch.manual_seed(0)
    model, reference = pair(kind, num_layers, bidirectional, bias)
    x, state = torch.randn(4, 11, 5), random_state(kind, num_layers * (1 + bidirectional), 4)
    for given in (None, state):
        output, final = model(x, given)
        expected, expected_final = reference(x, given)
        torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-6)
        for ours, theirs in zip(as_tuple(final), as_tuple(expected_final), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    output.square().sum().backward()
    expected.square().sum().backward()
    assert_same_gradients(model, reference)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_lengths_equal_packed_sequences(kind, bidirectional):
    torch.manual_seed(0)
    model, reference = pair(kind, 2, bidirectional)
    x, lengths = torch.randn(4, 9, 5), torch.tensor([3, 9, 1, 6])
    state = random_state(kind, 2 * (1 + bidirectional), 4)
    output, final = model(x, state, lengths)
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    expected, expected_final = reference(packed, state)
    expected, _ = pad_packed_sequence(expected, batch_first=True)
    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(as_tuple(final), as_tuple(expected_final), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    output.square().sum().backward()
    expected.square().sum().backward()
    assert_same_gradients(model, reference)


@pytest.mark.parametrize("kind", KINDS)
def test_what_follows_the_end_has_no_effect(kind):
    torch.manual_seed(0)
    model = Recurrent(kind, 5, 7, 2, bidirectional=True)
    x, lengths = torch.randn(2, 6, 5), torch.tensor([4, 6])
    changed = x.clone()
    changed[0, 4:] = 1e6
    (first, _), (second, _) = model(x, None, lengths), model(changed, None, lengths)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not torch.allclose(model(x)[0], model(changed)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_state_carries_over_from_one_piece_to_the_next(kind):
    torch.manual_seed(0)
    model = Recurrent(kind, 5, 7, 2)
    x = torch.randn(3, 10, 5)
    whole, end = model(x)
    first, state = model(x[:, :4])
    second, state = model(x[:, 4:], state)
    torch.testing.assert_close(torch.cat((first, second), 1), whole, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(as_tuple(state), as_tuple(end), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_in_float64(kind):
    torch.manual_seed(0)
    model = Recurrent(kind, 3, 4, 2, bidirectional=True).double()
    x = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([2, 4])
    assert torch.autograd.gradcheck(lambda x: model(x, None, lengths)[0], x)


def test_dropout_acts_between_layers_in_training():
    torch.manual_seed(0)
    model = Recurrent("gru", 5, 64, 2, dropout=0.5)
    x = torch.randn(2, 6, 5)
    assert not torch.equal(model(x)[0], model(x)[0])
    plain = Recurrent("gru", 5, 64, 2)
    plain.load_state_dict(model.state_dict())
    torch.testing.assert_close(model.eval()(x)[0], plain(x)[0])


@pytest.mark.parametrize("read", ["last", "all"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_model_is_the_same_with_both_engines(read, kind, bidirectional):
    torch.manual_seed(0)
    common = {"kind": kind, "d_embedding": 6, "d_hidden": 8, "num_layers": 2, "read": read}
    common |= {"bidirectional": bidirectional}
    ours = RecurrentModel(20, 3, engine="ours", **common)
    theirs = RecurrentModel(20, 3, engine="torch", **common)
    theirs.load_state_dict(ours.state_dict())
    tokens, lengths = torch.randint(20, (4, 7)), torch.tensor([7, 2, 5, 4])
    expected_shape = (4, 3) if read == "last" else (4, 7, 3)
    for given in (None, lengths):
        assert ours(tokens, given).shape == expected_shape
        torch.testing.assert_close(ours(tokens, given), theirs(tokens, given), rtol=1e-5, atol=1e-6)


def test_classifier_ignores_padding_only_with_lengths():
    torch.manual_seed(0)
    model = RecurrentModel(20, 2)
    tokens = torch.randint(1, 20, (1, 5))
    padded = torch.cat((tokens, torch.zeros(1, 30, dtype=torch.long)), 1)
    torch.testing.assert_close(model(padded, torch.tensor([5])), model(tokens), atol=1e-6, rtol=0)
    assert (model(padded) - model(tokens)).abs().max() > 0.01


def test_number_of_parameters_of_an_lstm_classifier():
    model = RecurrentModel(1000, 2, d_embedding=100, d_hidden=256)
    lstm = 4 * (100 * 256 + 256 * 256 + 2 * 256)
    assert sum(p.numel() for p in model.parameters()) == 1000 * 100 + lstm + 256 * 2 + 2


@pytest.mark.parametrize(
    ("call", "error", "phrase"),
    [
        (lambda: Recurrent("elman", 5, 7), ValueError, "kind 'elman' is not known"),
        (lambda: Recurrent("rnn", 5, 0), ValueError, "d_hidden must be at least 1"),
        (lambda: Recurrent("rnn", 5.0, 7), TypeError, "d_input must be an integer"),
        (lambda: Recurrent("rnn", 5, 7, dropout=0.1), ValueError, "between layers"),
        (lambda: RecurrentCell("rnn", 5, 7)(torch.zeros(2, 4)), ValueError, r"\(B, 5\)"),
        (lambda: Recurrent("rnn", 5, 7)(torch.zeros(2, 4)), ValueError, r"\(B, T, 5\)"),
        (lambda: Recurrent("rnn", 5, 7)(torch.zeros(2, 0, 5)), ValueError, "T of at least 1"),
        (
            lambda: Recurrent("lstm", 5, 7)(torch.zeros(2, 4, 5), torch.zeros(1, 2, 7)),
            ValueError,
            r"2 tensor\(s\) of \(1, 2, 7\), got \[\(1, 2, 7\)\]",
        ),
        (
            lambda: Recurrent("gru", 5, 7)(torch.zeros(2, 4, 5), None, torch.tensor([0, 4])),
            ValueError,
            "in 1 to 4, got 0 to 4",
        ),
        (
            lambda: Recurrent("gru", 5, 7)(torch.zeros(2, 4, 5), None, torch.tensor([4])),
            ValueError,
            "must be 2 integers",
        ),
        (lambda: RecurrentModel(9, 2)(torch.zeros(2, 4)), ValueError, "integer token ids"),
        (
            lambda: RecurrentModel(9, 2)(torch.full((2, 4), 9)),
            ValueError,
            "in 0 to 8, got 9 to 9",
        ),
        (
            lambda: RecurrentModel(9, 2)(torch.ones(2, 4).long(), torch.tensor([5, 1])),
            ValueError,
            "in 1 to 4, got 1 to 5",
        ),
        (lambda: RecurrentModel(9, 2, read="first"), ValueError, "read 'first' is not known"),
    ],
)
def test_wrong_use(call, error, phrase):
    with pytest.raises(error, match=phrase):
        call()
