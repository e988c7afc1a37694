"""The computation graph on the static page: stepped by keyboard, mouse and touch, and announced."""

import re

import pytest

from utils.explore.backprop_graph import BackpropGraph

pytestmark = pytest.mark.browser

PAGE = "chapters/algorithms/backpropagation.html"
SHIFT = """() => new Promise((resolve) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => resolve(sum), 600);
})"""
LAST = 13


def explorable(page, book):
    page.goto(f"{book.as_uri()}/{PAGE}")
    box = page.locator('.explorable[data-name="BackpropGraph"]')
    box.locator("svg").wait_for()
    return box


def said(box) -> str:
    return box.locator("[aria-live=polite]").inner_text()


def button(box, name):
    return box.get_by_role("button", name=name, exact=True)


def drawn(box) -> list[str]:
    return box.locator("svg text").all_text_contents()


def test_it_steps_by_keyboard_alone_and_says_so(book, view):
    page = view()
    box = explorable(page, book)
    assert "Step 0 of 13" in said(box)
    button(box, "Step").focus()
    page.keyboard.press("Enter")
    assert "Step 1 of 13, forward: p₁ = w₁ x₁ = 0.800." in said(box)
    page.keyboard.press("ArrowRight")
    assert "Step 2 of 13" in said(box)
    page.keyboard.press("ArrowLeft")
    assert "Step 1 of 13" in said(box)
    page.keyboard.press("End")
    assert f"Step {LAST} of 13, backward through p₁ = w₁ x₁" in said(box)
    page.keyboard.press("Enter")  # there is no step after the last
    assert f"Step {LAST} of 13" in said(box)
    assert button(box, "Step").get_attribute("aria-disabled") == "true"
    page.keyboard.press("Home")
    assert "Step 0 of 13" in said(box)


def test_values_come_on_the_way_forward_and_gradients_on_the_way_back(book, view):
    page = view()
    box = explorable(page, book)
    assert drawn(box).count("·") == 6 and not any("∂" in text for text in drawn(box))
    button(box, "Step").focus()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    assert "L = e² = 2.14" in said(box)
    assert "·" not in drawn(box) and not any("∂" in text for text in drawn(box))
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    assert "e gets 1.00 × 2.92 = 2.92" in said(box)
    assert [text for text in drawn(box) if "∂" in text] == ["∂ 2.92", "∂ 1.00"]
    assert "×2.9" in drawn(box)


def test_the_question_is_answered_by_moving(book, view):
    page = view()
    box = explorable(page, book)
    button(box, "End").click()
    before = gradient(said(box))
    box.get_by_role("slider", name="b", exact=False).nth(0).focus()
    page.keyboard.press("End")
    assert box.get_by_role("slider", name="b").get_attribute("aria-valuetext") == "2.0"
    assert gradient(said(box)) < before / 20
    assert "×0.027" in drawn(box)


def gradient(sentence: str) -> float:
    return float(re.search(r"w₁ gets .*? = ([\d.]+)", sentence)[1])


def test_it_steps_and_slides_by_mouse(book, view):
    page = view()
    box = explorable(page, book)
    for _ in range(3):
        button(box, "Step").click()
    assert "z = p₁+p₂+b = 0.500" in said(box)
    button(box, "Back").click()
    assert "Step 2 of 13" in said(box)
    slider = box.get_by_role("slider", name="w₂")
    slider.scroll_into_view_if_needed()
    place = slider.bounding_box()
    middle = place["y"] + place["height"] / 2
    page.mouse.move(place["x"] + place["width"] * 0.65, middle)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] - 1, middle, steps=5)
    page.mouse.up()
    assert "p₂ = w₂ x₂ = −1.00" in said(box)


def test_it_steps_and_slides_by_touch(book, view):
    page = view(390, has_touch=True)
    box = explorable(page, book)
    button(box, "Step").tap()
    assert "Step 1 of 13" in said(box)
    slider = box.get_by_role("slider", name="x₁")
    slider.scroll_into_view_if_needed()
    place = slider.bounding_box()
    page.touchscreen.tap(place["x"] + place["width"] * 0.05, place["y"] + place["height"] / 2)
    assert "p₁ = w₁ x₁ = −1" in said(box)


def test_a_weight_used_twice_gets_a_sum(book, view):
    page = view()
    box = explorable(page, book)
    button(box, "End").click()
    box.get_by_role("radio", name="w₂, its own").focus()
    page.keyboard.press("ArrowRight")
    assert "which with −1.18 makes 1.18" in said(box)
    assert "w₂" not in drawn(box)
    assert not box.locator("label", has_text="w₂").first.is_visible()


def test_a_screen_reader_finds_name_picture_buttons_and_table(book, view):
    page = view()
    box = explorable(page, book)
    assert "Computation graph" in box.get_attribute("aria-label")
    button(box, "Step").click()
    assert said(box) in box.locator("svg").get_attribute("aria-label")
    assert box.get_by_role("group", name="Step through the graph").count() == 1
    box.get_by_text("The same as a table").click()
    assert box.get_by_role("columnheader").count() == 4
    assert box.get_by_role("row").count() == 13


@pytest.mark.parametrize("width", [1280, 390])
def test_it_keeps_its_size(book, view, width):
    page = view(width)
    box = explorable(page, book)
    assert page.evaluate(SHIFT) < 0.02
    height = "e => e.getBoundingClientRect().height"
    before = box.evaluate(height)
    button(box, "Step").focus()
    for _ in range(LAST):
        page.keyboard.press("ArrowRight")
        assert box.evaluate(height) == before


def test_nothing_is_too_small_to_hit_or_cut_off_on_a_phone(book, view):
    page = view(390)
    box = explorable(page, book)
    for name in ("Start", "Back", "Step", "End"):
        place = button(box, name).bounding_box()
        assert place["height"] >= 24 and place["width"] >= 24
    assert box.evaluate("e => e.scrollWidth <= e.clientWidth")
    size = "e => e.getBoundingClientRect().width / e.viewBox.baseVal.width"
    assert box.locator("svg").evaluate(size) * 12 > 10


def test_it_follows_the_page_into_the_dark(book, view):
    page = view(scheme="dark")
    box = explorable(page, book)
    value = box.locator("svg text[font-weight=bold]").first
    color = "e => getComputedStyle(e).fill"
    assert value.evaluate(color) == "rgb(86, 180, 233)"
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    assert value.evaluate(color) == "rgb(0, 114, 178)"


def test_nothing_moves_by_itself(book, view):
    page = view(reduced_motion="reduce")
    box = explorable(page, book)
    before = said(box), drawn(box)
    page.wait_for_timeout(1000)
    assert (said(box), drawn(box)) == before
    assert box.locator("animate, animateTransform").count() == 0


LIVE = """async ([source, state]) => {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const module = (await import(url)).default;
  const listeners = new Map();
  const saved = [];
  const model = {
    get: (key) => state[key],
    set(key, value) {
      state[key] = value;
      for (const f of listeners.get(`change:${key}`) ?? []) f();
    },
    on: (event, f) => listeners.set(event, [...(listeners.get(event) ?? []), f]),
    off: (event, f) => listeners.set(event, listeners.get(event).filter((g) => g !== f)),
    save_changes: () => saved.push({ ...state }),
  };
  const el = document.body.appendChild(document.createElement("div"));
  const clean = module.render({ model, el });
  const said = () => el.querySelector("[aria-live]").textContent;
  model.set("step", 3);
  const first = said();
  model.set("b", 1.5);
  const second = said();
  [...el.querySelectorAll("button")].find((b) => b.textContent === "Step").click();
  clean();
  return { first, second, saved, left: [...listeners.values()].flat().length };
}"""


def test_in_a_notebook_it_follows_python_and_tells_python(view):
    page = view()
    widget = BackpropGraph()
    result = page.evaluate(LIVE, [widget._esm, widget.state()])
    assert "z = p₁+p₂+b = 0.500" in result["first"]
    assert "z = p₁+p₂+b = 2.00" in result["second"]
    assert [state["step"] for state in result["saved"]] == [4]
    assert result["left"] == 0
