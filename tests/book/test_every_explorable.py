"""What every explorable on every page must do: move by keyboard, say so, offer its numbers."""

import re

import pytest

pytestmark = pytest.mark.browser

PAGES = {
    "index.html": ["AttentionWeights"],
    "chapters/start/explorables.html": [
        "AttentionWeights",
        "SamplingFilter",
    ],
    "chapters/math/linear-algebra.html": ["LinearMap"],
    "chapters/math/probability-losses.html": ["LogitLoss"],
    "chapters/algorithms/neural-networks.html": ["Neuron"],
    "chapters/algorithms/backpropagation.html": ["BackpropGraph"],
    "chapters/algorithms/optimizers.html": ["OptimizerRace"],
    "chapters/algorithms/initialization-normalization.html": ["DepthVariance"],
    "chapters/algorithms/convolutional-networks.html": ["KernelOverImage"],
    "chapters/algorithms/attention.html": ["AttentionWeights"],
    "chapters/algorithms/transformer.html": ["BlockPath"],
    "chapters/algorithms/modern-transformer.html": ["RopeAngles", "ExpertRouting"],
    "chapters/algorithms/tokenization.html": ["BpeMerges"],
    "chapters/algorithms/pretraining-objectives.html": ["MaskPredict"],
    "chapters/algorithms/alignment.html": ["KlReward"],
    "chapters/math/optimization.html": ["StepSize"],
    "chapters/math/attention.html": ["OnlineSoftmax"],
    "chapters/math/generalization.html": ["DegreeNoise"],
    "chapters/math/arithmetic-of-scale.html": ["ParallelismPlanner"],
    "chapters/concepts/large-models.html": ["ScaleCalculator"],
    "chapters/concepts/lifecycle.html": ["ThresholdCost"],
    "chapters/concepts/scaling-laws.html": ["Isoflop"],
}
CASES = [(page, name) for page, names in PAGES.items() for name in names]
BOX = re.compile(r'<div[^>]*class="explorable"[^>]*data-name="(\w+)"')


def opened(page, book, file, name):
    page.goto(f"{book.as_uri()}/{file}")
    box = page.locator(f'.explorable[data-name="{name}"]')
    box.locator("svg").first.wait_for()
    return box


def test_the_list_above_is_complete(book):
    found = {}
    for path in book.rglob("*.html"):
        names = BOX.findall(path.read_text(encoding="utf-8"))
        if names:
            found[path.relative_to(book).as_posix()] = sorted(names)
    assert found == {page: sorted(names) for page, names in PAGES.items()}


@pytest.mark.parametrize(("file", "name"), CASES)
def test_it_moves_by_keyboard_and_says_so(book, view, file, name):
    page = view()
    box = opened(page, book, file, name)
    live = box.locator("[aria-live=polite]").first
    before = live.inner_text()
    # A slider may stand at either end, so both directions are tried.
    steps = box.get_by_role("button", name="Step")
    sliders = box.locator("input[type=range], [role=slider]")
    controls = steps if steps.count() else sliders if sliders.count() else box.locator("select")
    controls.first.focus()
    said = {before}
    for key in ("ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowDown", "Enter", "End"):
        page.keyboard.press(key)
        said.add(live.inner_text())
    assert len(said) > 1
    outline = "e => getComputedStyle(e).outlineStyle"
    assert page.locator(":focus").evaluate(outline) != "none"


@pytest.mark.parametrize(("file", "name"), CASES)
def test_a_screen_reader_finds_names_pictures_and_a_table(book, view, file, name):
    page = view(390)
    box = opened(page, book, file, name)
    assert box.get_attribute("role") == "group" and len(box.get_attribute("aria-label")) > 10
    for picture in box.locator("svg[role]").all():
        assert len(picture.get_attribute("aria-label")) > 20
    for control in box.locator("input, select, button").all():
        named = control.evaluate(
            "e => e.ariaLabel || e.labels?.[0]?.textContent || e.textContent || ''"
        )
        assert named.strip(), control.evaluate("e => e.outerHTML")
    box.locator("summary").last.click()
    assert box.get_by_role("columnheader").count() >= 3
    assert box.get_by_role("row").count() >= 4
    assert "Question." in box.inner_text()


@pytest.mark.parametrize(("file", "name"), CASES)
def test_it_keeps_its_place_and_its_size(book, view, file, name):
    """The height kept while it loads is neither too small nor wasteful."""
    for width in (1280, 390):
        page = view(width)
        box = opened(page, book, file, name)
        drawn = box.locator("> div").bounding_box()["height"]
        kept = box.bounding_box()["height"]
        assert drawn + 10 <= kept <= drawn + 120, (width, drawn, kept)
