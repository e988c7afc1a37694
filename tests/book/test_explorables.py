"""Explorables on the static page: driven by mouse, keyboard and touch, and announced."""

import re

import pytest

pytestmark = pytest.mark.browser

PAGE = "chapters/math/probability-losses.html"
SHIFT = """() => new Promise((resolve) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => resolve(sum), 600);
})"""


def explorable(page, book):
    page.goto(f"{book.as_uri()}/{PAGE}")
    box = page.locator(".explorable").first
    box.locator("svg").first.wait_for()
    return box


def logit(box) -> float:
    """The logit that the box announces."""
    said = box.locator("[aria-live=polite]").inner_text()
    return float(re.search(r"At z = (-?[\d.]+)", said)[1])


def test_it_moves_by_keyboard_alone_and_says_so(book, view):
    page = view()
    box = explorable(page, book)
    slider = box.get_by_label("Logit z")
    slider.focus()
    before = logit(box)
    page.keyboard.press("ArrowRight")
    assert logit(box) == pytest.approx(before + 0.1)
    page.keyboard.press("Home")
    assert logit(box) == -8
    assert "gradient -1.00" in box.locator("[aria-live=polite]").inner_text()


def test_the_label_is_chosen_by_keyboard(book, view):
    page = view()
    box = explorable(page, book)
    box.get_by_role("radio", name="1").focus()
    page.keyboard.press("ArrowLeft")
    assert box.get_by_role("radio", name="0").is_checked()
    assert "the label is 0" in box.locator("[aria-live=polite]").inner_text()


def test_it_moves_by_mouse(book, view):
    page = view()
    box = explorable(page, book)
    slider = box.get_by_label("Logit z")
    slider.scroll_into_view_if_needed()
    place = slider.bounding_box()
    middle = place["y"] + place["height"] / 2
    page.mouse.move(place["x"] + place["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] - 1, middle, steps=5)
    page.mouse.up()
    assert logit(box) > 7


def test_it_moves_by_touch(book, view):
    page = view(390, has_touch=True)
    box = explorable(page, book)
    slider = box.get_by_label("Logit z")
    slider.scroll_into_view_if_needed()
    place = slider.bounding_box()
    page.touchscreen.tap(place["x"] + place["width"] * 0.9, place["y"] + place["height"] / 2)
    assert logit(box) > 4


def test_a_screen_reader_finds_name_picture_and_table(book, view):
    page = view()
    box = explorable(page, book)
    assert len(box.get_attribute("aria-label")) > 10
    for picture in box.locator("svg").all():
        assert "At z =" in picture.get_attribute("aria-label")
    box.get_by_text("The same as a table").click()
    assert box.get_by_role("columnheader").count() == 5
    assert box.get_by_role("row").count() == 10


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_does_not_jump_while_it_loads(book, view, width):
    page = view(width)
    explorable(page, book)
    assert page.evaluate(SHIFT) < 0.02


def test_it_follows_the_page_into_the_dark(book, view):
    page = view(scheme="dark")
    box = explorable(page, book)
    card = "e => getComputedStyle(e.closest('.text_html')).backgroundColor"
    assert box.evaluate(card) == "rgba(0, 0, 0, 0)"
    line = box.locator("svg path").first
    color = "e => getComputedStyle(e).stroke"
    assert line.evaluate(color) == "rgb(86, 180, 233)"
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    assert line.evaluate(color) == "rgb(0, 114, 178)"
