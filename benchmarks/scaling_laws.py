"""A family of tiny language models: how the loss falls with parameters and with tokens.

    python benchmarks/scaling_laws.py [--seeds 3] [--minutes 4.5]

Six sizes, each with twice the parameters of the one before, on five or six amounts of fresh
text, each twice the one before: so a diagonal of the grid costs the same number of operations,
6 N D. Each size has the best of six learning rates: by the loss, summed over three amounts of
text, of a seed and on windows that are not reported. Each run has a schedule of its own that ends
at its last token. A seventh size is held out: no fit sees it. Three sizes also repeat a short
text.

The run is made in parts: after ``--minutes`` of processor time the program keeps what it has
beside the record and ends; started again, it goes on. The record is written when all is done.
"""

import json
import time
from pathlib import Path

import torch
from common import RESULTS, experiment, write_record
from scaling_family import SHAPES, B, T, V, blocks, evaluate, size, train, windows

RESULT = RESULTS / "scaling_laws.json"
RATES, TUNING_SEED, TUNED = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08), 1000, (0, 1, 2)
SMALLEST, AMOUNTS, SIZES, HELD_OUT = 2**15, 6, 6, 6
REPEATED, EPOCHS = (0, 2, 4), (4, 16)
TEST_WINDOWS, TUNING_WINDOWS = 1024, 512
MORE = [("--minutes", {"type": float, "default": 4.5, "help": "processor time of a part"})]


def jobs(smallest: int) -> list[dict]:
    """All trainings: kind, size, tokens, unique tokens; the short ones first in each kind."""
    amounts = [smallest * 2**j for j in range(AMOUNTS)]
    made = [("tuning", i, amounts[j], None) for i in range(SIZES) for j in TUNED]
    made += [("tuning", HELD_OUT, amounts[TUNED[-1]], None)]
    made += [
        ("grid", i, tokens, None)
        for i in range(SIZES)
        for tokens in amounts[: AMOUNTS if i < 3 else AMOUNTS - 1]
    ]
    made += [("held_out", HELD_OUT, amounts[j], None) for j in (2, 4)]
    made += [("repeats", i, smallest * times, smallest) for i in REPEATED for times in EPOCHS]
    return [dict(zip(("kind", "size", "tokens", "unique"), job, strict=True)) for job in made]


def chosen(done: list[dict], i: int) -> float:
    """The rate of size ``i``: the lowest sum of losses over the amounts that were tried."""
    tried = torch.tensor([d["losses"] for d in done if d["kind"] == "tuning" and d["size"] == i])
    return RATES[int(tried.nan_to_num(torch.inf).sum(0).argmin())]


def run(job: dict, done: list[dict], seeds: int, data: dict[str, torch.Tensor]) -> dict:
    """Train a job's runs side by side; its entry in the record."""
    begin, tuning = time.process_time(), job["kind"] == "tuning"
    if tuning:
        runs, rates = [TUNING_SEED] * len(RATES), list(RATES)
    else:
        runs, rates = list(range(seeds)), [chosen(done, job["size"])] * seeds
    weights = train(job["size"], job["tokens"], runs, rates, data["train"], job["unique"])
    losses = evaluate(weights, data["tuning" if tuning else "test"])
    more = {} if tuning else {"rate": rates[0]}
    if job["unique"]:  # the windows that all runs have seen differ: those of the first one
        seen = torch.randperm(len(data["train"]), generator=torch.Generator().manual_seed(0))
        first = {name: x[:1] for name, x in weights.items()}
        more["train_loss"] = evaluate(first, data["train"][seen[: job["unique"] // T]])[0]
    seconds = round(time.process_time() - begin, 2)
    losses = [round(x, 5) for x in losses]
    return job | more | {"losses": losses, "processor_seconds": seconds}


def read_data(smoke: bool) -> dict[str, torch.Tensor]:
    """Windows (W, T + 1): all of train; of validation some to tune by and others to test on."""
    held = windows("validation")
    mixed = held[torch.randperm(len(held), generator=torch.Generator().manual_seed(0))]
    test, tuning = (8, 8) if smoke else (TEST_WINDOWS, TUNING_WINDOWS)
    return {"train": windows("train"), "test": mixed[:test], "tuning": mixed[test : test + tuning]}


def figures(done: list[dict]) -> dict:
    """What pages read."""
    sizes = [
        {"width": M, "inner": inner, "N": size(i), "blocks": blocks(i), "rate": chosen(done, i)}
        for i, (M, inner) in enumerate(SHAPES)
    ]
    kinds = ("tuning", "grid", "held_out", "repeats")
    kept = {
        kind: [
            {key: v for key, v in d.items() if key != "kind" and v is not None}
            for d in done
            if d["kind"] == kind
        ]
        for kind in kinds
    }
    total = round(sum(d["processor_seconds"] for d in done), 1)
    return {"sizes": sizes, **kept, "processor_seconds": total}


def main(words: list[str] | None = None) -> int:
    """Train what is not done yet, for so many minutes; write the record when nothing is left."""
    smoke = "two to sixty-four steps, one seed"
    settings = experiment(words, __doc__, seeds=3, smoke=smoke, more=MORE)
    seeds, smallest = (1, 2 * B * T) if settings.smoke else (settings.seeds, SMALLEST)
    output = settings.output or RESULT
    parts = Path(output).with_suffix(".parts.json")
    done = json.loads(parts.read_text(encoding="utf-8")) if parts.exists() else []
    data, wanted = read_data(settings.smoke), jobs(smallest)
    while len(done) < len(wanted):
        if time.process_time() > 60 * settings.minutes and not settings.smoke:
            print(f"{len(done)} of {len(wanted)} are done and kept; start again to go on")
            return 0
        done.append(run(wanted[len(done)], done, seeds, data))
        parts.parent.mkdir(parents=True, exist_ok=True)
        parts.write_text(json.dumps(done), encoding="utf-8")
        print(done[-1], flush=True)
    write_record(
        output,
        figures(done),
        script=__file__,
        used=["benchmarks/scaling_family.py", "utils/data/text.py", "utils/schedules.py"],
        packages=["sympy"],
        seeds=range(seeds),
        settings={"batch": B, "context": T, "vocabulary": V, "rates": RATES},
    )
    parts.unlink()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
