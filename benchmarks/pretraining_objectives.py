"""Four ways to pretrain on sentences of a known grammar, and what each model can then do.

    python benchmarks/pretraining_objectives.py [--seeds 4] [--steps 1500]

Causal, masked (15 %, as BERT), masked at any rate, and spans (T5: encoder and decoder) read the
same number of sentences, drawn anew for each batch, with one learning rate for all. All seeds of
a way train side by side. Judged against the grammar's exact probabilities: filling a blank,
continuing, writing, scoring, and what a linear probe reads off.
"""

import time

import torch
from common import RESULTS, experiment, write_record
from pretraining_tasks import TEST, continue_, fill, probe, score, write
from torch import Tensor
from torch.func import functional_call, stack_module_state
from torch.nn import functional as F
from tqdm import tqdm

from utils.data.sentences import END, LENGTH, MASK, SENTINEL, SPECIAL, START, VOCAB_SIZE, sentences
from utils.intervals import t_interval
from utils.models.config import TransformerConfig
from utils.models.transformer import Transformer
from utils.pretraining import IGNORED, corrupt_spans, mask_tokens, random_spans

WAYS = ("causal", "masked", "any rate", "spans")
RESULT = RESULTS / "pretraining_objectives.json"
RATE, B, STEPS = 0.005, 48, 1500
SIZE = {"vocab_size": VOCAB_SIZE, "context_length": 16, "d_model": 32, "num_heads": 4}
START_STD, PARTS = 0.1, 30
SENTINELS = [SENTINEL, SENTINEL + 1, SENTINEL + 2]


class Ensemble:
    """Models of one shape, one a seed, that run side by side."""

    def __init__(self, way: str, seeds: list[int]):
        spans = {"encoder_layers": 1, "num_layers": 1}
        shape = spans if way == "spans" else {"num_layers": 2}
        causal = way in ("causal", "spans")
        models = []
        for seed in seeds:
            torch.manual_seed(seed)
            model = Transformer(TransformerConfig.of("gpt2", causal=causal, **SIZE, **shape))
            for weight in (p for p in model.parameters() if p.ndim == 2):
                weight.data *= START_STD / 0.02  # 0.02 is for widths of hundreds
            models.append(model)
        self.way, self.base, self.seeds = way, models[0], len(seeds)
        self.weights, self.buffers = stack_module_state(models)
        self.parameters = sum(p.numel() for p in self.base.parameters())

    def __call__(self, tokens: Tensor, source: Tensor | None = None) -> Tensor:
        """Token numbers (seeds, N, T) to logits (seeds, N, T, V)."""
        given = (tokens,) if source is None else (tokens, source)

        def one(weights, buffers, *given):
            more = {} if source is None else {"source": given[1], "source_mask": given[1] != END}
            return functional_call(self.base, (weights, buffers), given[:1], more)

        return torch.vmap(one)(self.weights, self.buffers, *given)

    def single(self, seed: int) -> Transformer:
        """The model of one seed."""
        self.base.load_state_dict({name: w[seed].detach() for name, w in self.weights.items()})
        return self.base


def batch(way: str, rows: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Inputs and labels of `rows` new sentences, (rows, T); for spans a source as well."""
    seed = int(torch.randint(2**40, (1,), generator=generator))
    x = sentences(rows, seed)
    if way == "causal":
        return {"tokens": F.pad(x[:, :-1], (1, 0), value=START), "labels": x}
    if way != "spans":
        # at any rate, as uniform as a share of twelve can be; at least one word is asked for
        rate = 0.15 if way == "masked" else torch.rand(rows, 1, generator=generator)
        words = (len(SPECIAL), VOCAB_SIZE)
        shares = {} if way == "masked" else {"replace": 1.0, "random": 0.0}
        made = mask_tokens(x, MASK, words, rate=rate, generator=generator, **shares)
        return {"tokens": made.inputs, "labels": made.labels}
    noise = int(torch.randint(1, 7, (1,), generator=generator))
    spans = int(torch.randint(1, min(noise, 3) + 1, (1,), generator=generator))
    hidden = random_spans(rows, LENGTH, noise, spans, generator)
    pairs = [
        corrupt_spans(row, mask, SENTINELS, END)
        for row, mask in zip(x.tolist(), hidden.tolist(), strict=True)
    ]
    source, target = (torch.tensor(part) for part in zip(*pairs, strict=True))
    begin = torch.full((rows, 1), START)
    return {"source": source, "tokens": torch.cat([begin, target[:, :-1]], 1), "labels": target}


def train(way: str, seeds: list[int], steps: int) -> tuple[Ensemble, Tensor, Tensor]:
    """Models, their losses (seeds, steps), and how many tokens a step asks for (steps,)."""
    models = Ensemble(way, seeds)
    optimizer = torch.optim.AdamW(models.weights.values(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    draw = torch.Generator().manual_seed(seeds[0])
    losses, asked = torch.empty(len(seeds), steps), torch.empty(steps)
    for step in range(steps):
        made = batch(way, B * len(seeds), draw)
        made = {name: part.unflatten(0, (len(seeds), B)) for name, part in made.items()}
        labels = made.pop("labels")
        z = models(**made)
        each = F.cross_entropy(z.flatten(0, 2), labels.flatten(), reduction="none")
        counted = (labels != IGNORED).flatten(1)
        loss = each.view(len(seeds), -1).sum(1) / counted.sum(1).clamp_min(1)
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        schedule.step()
        losses[:, step], asked[step] = loss.detach(), counted.sum() / len(seeds)
    return models, losses, asked


def one_way(way: str, seeds: int, steps: int, bar) -> dict:
    """Train and judge one way."""
    start, seeds = time.process_time(), list(range(seeds))
    models, losses, asked = train(way, seeds, steps)
    seconds = time.process_time() - start
    bar.update()
    found = {"last_loss": losses[:, -max(1, steps // 10) :].mean(1)}
    with torch.no_grad():
        found["probe_untrained"] = probe(Ensemble(way, seeds))["probe_first"]
        for task in (fill, continue_, write, score, probe):
            torch.manual_seed(0)
            found |= task(models)
            bar.update()
    return {
        "parameters": models.parameters,
        "labels_a_sentence": round(asked.mean().item() / B, 3),
        "processor_seconds_for_all_seeds": round(seconds, 1),
        "losses": summary(losses.unflatten(1, (PARTS, -1)).mean(2)),
        **{name: summary(value) for name, value in found.items()},
    }


def summary(runs: Tensor) -> dict:
    """Values (seeds, ...) with mean and 95 % t interval over the seeds, in five digits."""
    parts = (*t_interval(runs.double()), runs)
    short = [torch.as_tensor(part).double().mul(1e5).round().div(1e5).tolist() for part in parts]
    return dict(zip(("mean", "low", "high", "runs"), short, strict=True))


def main(words: list[str] | None = None) -> int:
    """Train and judge all ways and write the record."""
    smoke = f"{PARTS} steps, two seeds"
    settings = experiment(words, __doc__, seeds=4, smoke=smoke, steps=STEPS, at_least=2)
    seeds, steps = (2, PARTS) if settings.smoke else (settings.seeds, settings.steps)
    if steps < PARTS or steps % PARTS:
        raise SystemExit(f"--steps {steps}: expected a multiple of {PARTS}")
    figures = {}
    with tqdm(total=6 * len(WAYS), unit="part") as bar:
        for way in WAYS:
            figures[way] = one_way(way, seeds, steps, bar)
    for way, row in figures.items():
        print(way, row["processor_seconds_for_all_seeds"], "seconds", end=" ")
        print({name: row[name]["mean"] for name in ("last_loss", "fill", "continue")})
    write_record(
        settings.output or RESULT,
        figures,
        script=__file__,
        used=["benchmarks/pretraining_tasks.py", "utils/pretraining.py", "utils/data/sentences.py"],
        packages=[],
        seeds=range(seeds),
        settings={"steps": steps, "batch_size": B, "rate": RATE, "test_sentences": TEST},
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
