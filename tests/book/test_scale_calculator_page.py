"""The scale calculator on its page: driven by keyboard, mouse and touch, and announced."""

import re

import pytest

from utils.explore.scale_calculator import GPUS, scale_figures

pytestmark = pytest.mark.browser

PAGE = "chapters/concepts/large-models.html"
FIGURES = 17
SHIFT = """() => new Promise((resolve) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => resolve(sum), 600);
})"""


def explorable(page, book):
    page.goto(f"{book.as_uri()}/{PAGE}")
    box = page.locator(".explorable[data-name=ScaleCalculator]")
    box.locator("svg").first.wait_for()
    return box


def said(box) -> str:
    return box.locator("[aria-live=polite]").inner_text()


def gigabytes(box, name: str) -> float:
    return float(re.search(rf"{name} ([\d.]+) GB", said(box))[1])


def test_the_question_is_answered_by_keyboard_alone(book, view):
    page = view()
    box = explorable(page, book)
    box.get_by_role("slider", name="Context T").focus()
    assert gigabytes(box, "KV cache") < gigabytes(box, "weights")
    presses = 0
    while gigabytes(box, "KV cache") < gigabytes(box, "weights"):
        page.keyboard.press("ArrowRight")
        presses += 1
    assert presses == 4 and "131,072 tokens" in said(box)
    page.keyboard.press("Home")
    assert "128 tokens" in said(box)


def test_model_gpu_and_settings_are_chosen_by_keyboard(book, view):
    page = view()
    box = explorable(page, book)
    box.get_by_role("combobox", name="Model").focus()
    page.keyboard.press("Home")
    assert said(box).startswith("GPT-2 small, 1,024 tokens") and "(fits an H100)" in said(box)
    box.get_by_text("Precision, optimizer").focus()
    page.keyboard.press("Enter")
    box.get_by_role("radio", name="0", exact=True).focus()
    before = said(box)
    page.keyboard.press("ArrowRight")
    assert box.get_by_role("radio", name="1", exact=True).is_checked()
    assert said(box) != before


def test_a_shape_of_ones_own(book, view):
    page = view()
    box = explorable(page, book)
    box.get_by_text("Shape of the model").click()
    field = box.get_by_label("Key-value heads K")
    field.fill("9")  # the next number that divides 32 heads is 16
    field.press("Enter")
    assert field.input_value() == "16" and "with your changes" in said(box)
    expected = scale_figures(shape={"num_kv_heads": 16})["kv_cache"] / 1e9
    assert gigabytes(box, "KV cache") == pytest.approx(expected, rel=5e-3)
    field.fill("-3")
    field.press("Enter")
    assert field.input_value() == "16"


def test_it_moves_by_mouse(book, view):
    page = view()
    box = explorable(page, book)
    slider = box.get_by_role("slider", name="GPUs in training G")
    slider.scroll_into_view_if_needed()
    place = slider.bounding_box()
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    page.mouse.down()
    page.mouse.move(place["x"] + 1, place["y"] + place["height"] / 2, steps=5)
    page.mouse.up()
    assert "years" in said(box)


def test_it_moves_by_touch(book, view):
    page = view(390, has_touch=True)
    box = explorable(page, book)
    slider = box.get_by_role("slider", name="Context T")
    slider.scroll_into_view_if_needed()
    place = slider.bounding_box()
    page.touchscreen.tap(place["x"] + place["width"] - 3, place["y"] + place["height"] / 2)
    assert "1,048,576 tokens" in said(box)


def test_every_figure_tells_its_formula_and_the_table_holds_them(book, view):
    page = view()
    box = explorable(page, book)
    box.get_by_text("Each figure and its formula").click()
    cache = box.locator("summary", has_text="KV cache").first
    formula = cache.locator("xpath=following-sibling::p")
    assert not formula.is_visible()
    cache.click()
    assert "4 × 32 × 8 × 128 × 8,192 × 1" in formula.inner_text()
    box.get_by_text("The same as a table").click()
    assert box.get_by_role("columnheader").count() == 3
    rows = box.get_by_role("row")
    assert rows.count() == FIGURES + 1
    for row in rows.all()[1:]:
        assert all(len(cell.strip()) > 0 for cell in row.locator("td").all_inner_texts())


def test_presets_show_the_published_parameters(book, view):
    box = explorable(view(), book)
    model, first_row = box.get_by_role("combobox", name="Model"), box.locator("tbody tr").first
    values = "e => [...e.options].map((option) => option.value)"
    for name in model.evaluate(values):
        model.select_option(name)
        parameters = scale_figures(preset=name)["parameters"]
        assert first_row.locator("td").nth(1).text_content() == f"{parameters:,}"
    gpu = box.get_by_role("combobox", name="GPU", exact=True)
    assert gpu.evaluate(values) == list(GPUS)


def test_a_screen_reader_finds_names(book, view):
    box = explorable(view(), book)
    assert box.get_attribute("role") == "group" and len(box.get_attribute("aria-label")) > 10
    first, second = box.locator("svg").all()
    assert "KV cache" in first.get_attribute("aria-label")
    assert "on one GPU" in second.get_attribute("aria-label")


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_does_not_jump_while_it_loads(book, view, width):
    page = view(width)
    box = explorable(page, book)
    assert page.evaluate(SHIFT) < 0.02
    kept = box.evaluate("e => parseFloat(getComputedStyle(e).minHeight)")
    assert kept - 2 <= box.bounding_box()["height"] <= kept + 24


def test_it_follows_the_page_into_the_dark(book, view):
    page = view(scheme="dark")
    bar = explorable(page, book).locator("svg rect").first
    color = "e => getComputedStyle(e).fill"
    assert bar.evaluate(color) == "rgb(86, 180, 233)"
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    assert bar.evaluate(color) == "rgb(0, 114, 178)"
