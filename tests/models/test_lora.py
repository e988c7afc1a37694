import copy
import json

import pytest
import torch
from torch import nn

from utils.models.lora import (
    LoRAConfig,
    LoRALinear,
    add_lora,
    count_parameters,
    load_lora,
    lora_layers,
    merge_lora,
    remove_lora,
    save_lora,
    unmerge_lora,
)

peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

TOKENS = torch.arange(24).reshape(2, 12) % 50
TARGETS = ("q_proj", "v_proj", "embed_tokens")


def llama():
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=50,
        tie_word_embeddings=False,
    )
    return transformers.LlamaForCausalLM(config).eval()


def randomize_adapters_(model):
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if "lora_" in name:
                parameter.normal_(std=0.3)
    return model


def with_peft(targets=TARGETS, **options):
    targets = targets if isinstance(targets, str) else list(targets)
    config = peft.LoraConfig(target_modules=targets, **options)
    return randomize_adapters_(peft.get_peft_model(llama(), config)).eval()


def logits(model):
    return model(TOKENS).logits


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("targets", "rslora"),
    [(TARGETS, False), (TARGETS, True), (r".*layers\.1\..*(up|down)_proj", False)],
)
def test_loads_what_peft_saved_and_equals_it(targets, rslora, tmp_path):
    reference = with_peft(targets, r=4, lora_alpha=6, use_rslora=rslora)
    reference.save_pretrained(tmp_path)
    model = llama()
    config = load_lora(model, tmp_path)
    assert (config.rank, config.alpha, config.rslora) == (4, 6, rslora)
    assert (logits(model) - logits(llama())).abs().max() > 0.01
    torch.testing.assert_close(logits(model), logits(reference), rtol=1e-5, atol=1e-5)
    assert count_parameters(model) == reference.get_nb_trainable_parameters()

    logits(model).square().mean().backward()
    logits(reference).square().mean().backward()
    theirs = {
        name.removeprefix("base_model.model.").replace(".default", ""): p
        for name, p in reference.named_parameters()
    }
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    assert {name for name, _ in trained} == {n for n, p in theirs.items() if p.requires_grad}
    for name, parameter in trained:
        torch.testing.assert_close(
            parameter.grad, theirs[name].grad, rtol=1e-4, atol=1e-6, msg=name
        )


@pytest.mark.filterwarnings("ignore")
def test_peft_loads_what_we_saved(tmp_path):
    config = LoRAConfig(TARGETS, rank=3, alpha=5, rslora=True)
    model = llama()
    add_lora(model, config)
    randomize_adapters_(model)
    save_lora(model, config, tmp_path / "adapter")
    reference = peft.PeftModel.from_pretrained(llama(), tmp_path / "adapter").eval()
    torch.testing.assert_close(logits(reference), logits(model), rtol=1e-5, atol=1e-5)


def test_saves_the_adapters_only(tmp_path):
    from safetensors.torch import load_file

    config = LoRAConfig(("q_proj",), rank=2)
    model = llama()
    names = add_lora(model, config)
    randomize_adapters_(model)
    save_lora(model, config, tmp_path)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    expected = {f"base_model.model.{n}.lora_{part}.weight" for n in names for part in "AB"}
    assert set(saved) == expected
    assert sum(t.numel() for t in saved.values()) == count_parameters(model)[0] == 2 * 2 * 64
    again = llama()
    assert load_lora(again, tmp_path) == config
    torch.testing.assert_close(logits(again), logits(model), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_merge_and_unmerge_are_exact_to_rounding(dtype):
    model = llama().to(dtype)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    add_lora(model, LoRAConfig(TARGETS, rank=4))
    randomize_adapters_(model)
    adapted = logits(model)
    weights = [layer.base_layer.weight.clone() for _, layer in lora_layers(model)]
    merge_lora(model)
    merge_lora(model)  # a second time changes nothing
    unit = torch.finfo(dtype).eps
    for weight, (_, layer) in zip(weights, lora_layers(model), strict=True):
        exact = weight.double() + layer.delta().double()
        error = (layer.base_layer.weight.double() - exact).abs()
        largest = weight.double().abs() + layer.delta().double().abs()
        assert (error <= 2 * unit * largest).all()
    scale = adapted.abs().max().item()
    torch.testing.assert_close(logits(model), adapted, rtol=0, atol=32 * unit * scale)
    unmerge_lora(model)
    unmerge_lora(model)
    for name, parameter in model.named_parameters():
        old = before.get(name.replace(".base_layer", ""))
        if old is not None:
            bound = 2 * unit * (old.abs().max() + 4).item()
            torch.testing.assert_close(parameter, old, rtol=0, atol=bound)
    torch.testing.assert_close(logits(model), adapted, rtol=0, atol=32 * unit * scale)


def test_remove_gives_a_plain_model_back():
    model = llama()
    names = set(model.state_dict())
    add_lora(model, LoRAConfig(TARGETS))
    randomize_adapters_(model)
    adapted = logits(model)
    remove_lora(model)
    assert set(model.state_dict()) == names
    assert not list(lora_layers(model))
    torch.testing.assert_close(logits(model), adapted, rtol=1e-4, atol=1e-4)


def test_starts_from_the_base_model_and_trains_the_adapters_only():
    model = llama()
    before = logits(model)
    add_lora(model, LoRAConfig(("q_proj", "down_proj", "embed_tokens"), rank=2))
    torch.testing.assert_close(logits(model), before, rtol=0, atol=0)
    frozen = {n: p.clone() for n, p in model.named_parameters() if not p.requires_grad}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        logits(model).square().mean().backward()
        optimizer.step()
    assert (logits(model) - before).abs().max() > 1e-4
    for name, value in frozen.items():
        torch.testing.assert_close(model.get_parameter(name), value, rtol=0, atol=0)


def test_dropout_acts_on_the_adapters_input_in_training():
    torch.manual_seed(0)
    base = nn.Linear(64, 8)
    layer = LoRALinear(copy.deepcopy(base), LoRAConfig("x", rank=4, dropout=0.5))
    nn.init.normal_(layer.lora_B.weight)
    x = torch.randn(1, 64)
    layer.eval()
    exact = layer(x)
    torch.testing.assert_close(exact, base(x) + x @ layer.delta().T)
    layer.train()
    samples = torch.stack([layer(x) for _ in range(4000)])
    assert samples.std(0).min() > 0.1
    standard_error = samples.std(0) / 4000**0.5
    assert ((samples.mean(0) - exact).abs() < 5 * standard_error).all()


def test_gradients_in_float64():
    torch.manual_seed(0)
    layer = LoRALinear(nn.Linear(5, 3).double(), LoRAConfig("x", rank=2))
    nn.init.normal_(layer.lora_B.weight)
    x = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x)


def test_adapters_of_a_bfloat16_model_are_float32():
    model = llama().to(torch.bfloat16)
    add_lora(model, LoRAConfig(TARGETS))
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    assert logits(model).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("options", "error", "phrase"),
    [
        ({"targets": ("q",), "rank": 0}, ValueError, "rank must be at least 1"),
        ({"targets": ("q",), "rank": 2.0}, TypeError, "rank must be an integer"),
        ({"targets": ("q",), "alpha": -1}, ValueError, "alpha must be"),
        ({"targets": ("q",), "dropout": 1}, ValueError, r"dropout must be in \[0, 1\)"),
        ({"targets": ()}, ValueError, "targets is empty"),
    ],
)
def test_bad_configuration(options, error, phrase):
    with pytest.raises(error, match=phrase):
        LoRAConfig(**options)


def test_wrong_use(tmp_path):
    model = llama()
    with pytest.raises(ValueError, match=r"no module matches \('query',\); .*'q_proj'"):
        add_lora(model, LoRAConfig(("query",)))
    with pytest.raises(ValueError, match=r"is a LlamaMLP; LoRA adapts nn\.Linear"):
        add_lora(model, LoRAConfig(("mlp",)))
    for function in (merge_lora, unmerge_lora, remove_lora):
        with pytest.raises(ValueError, match="no LoRA layers"):
            function(model)
    config = LoRAConfig(("q_proj",), rank=2)
    add_lora(model, config)
    with pytest.raises(ValueError, match="has LoRA layers already"):
        add_lora(model, config)
    save_lora(model, config, tmp_path)
    with pytest.raises(FileNotFoundError):
        load_lora(llama(), tmp_path / "nowhere")

    tied = nn.ModuleDict({"table": nn.Embedding(5, 4), "out": nn.Linear(4, 5, bias=False)})
    tied["out"].weight = tied["table"].weight
    add_lora(tied, LoRAConfig(("table",)))
    with pytest.raises(ValueError, match=r"share the weights of \['table'\]"):
        merge_lora(tied)


def test_adapters_that_do_not_fit(tmp_path):
    config = LoRAConfig(("q_proj",), rank=2)
    model = llama()
    add_lora(model, config)
    save_lora(model, config, tmp_path)
    path = tmp_path / "adapter_config.json"
    saved = json.loads(path.read_text(encoding="utf-8"))

    def load_with(**changes):
        path.write_text(json.dumps(saved | changes), encoding="utf-8")
        model = llama()
        try:
            load_lora(model, tmp_path)
        except ValueError:
            assert not list(lora_layers(model))
            raise

    load_with()
    with pytest.raises(ValueError, match=r"lora_A\.weight is \(2, 32\), not \(3, 32\)"):
        load_with(r=3)
    with pytest.raises(ValueError, match=r"missing .*v_proj"):
        load_with(target_modules=["q_proj", "v_proj"])
    with pytest.raises(ValueError, match=r"extra .*layers\.1.*q_proj"):
        load_with(target_modules=r".*layers\.0\..*q_proj")
    for changes in ({"use_dora": True}, {"peft_type": "IA3"}, {"bias": "all"}):
        with pytest.raises(ValueError, match="not plain LoRA"):
            load_with(**changes)
