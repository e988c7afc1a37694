"""The checks of the notebooks, each seen to fail on a planted fault."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from utils.course import anatomy, check, numbers
from utils.course.fingerprint import fingerprint
from utils.course.normalize import normalize
from utils.course.notebooks import dumps
from utils.record import MIME

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
QUIZ = (
    ":::{{quiz}} Question {}?\n- [x] yes\n  - Because it is.\n"
    "- [ ] no\n  - Because it is not.\n:::\n\n"
)  # fmt: skip
EXERCISE = ":::{{exercise}} Title (★)\n:label: ex-{0}\n\nDo it.\n:::\n\n"
SOLUTION = ":::{{solution}} ex-{0}\n:class: dropdown\n\nDone.\n:::\n\n"


def text_cells() -> list[str]:
    exercises = "".join(EXERCISE.format(n) + SOLUTION.format(n) for n in "abc") + EXERCISE.format(
        "d"
    )
    return [
        "# Title\n\nAfter this page you can do it.\n\n:::{admonition} Goals\n:class: goals\n\n"
        "- Do one\n- Do two\n- Do three\n\n**Time:** 5 minutes.\n\n**Before this:** nothing.\n:::",
        "## Mathematics\n\n$$\ny = x\n$$ (eq-one)",
        ":::{admonition} Predict\n:class: predict\n\nWhat?\n:::",
        "The accuracy is 97.2 %<!-- =accuracy ±0.5 -->.",
        ':::{admonition} Claim check 1: "so"\n:class: claim\n\nThe test.\n:::\n\n'
        "**Verdict.** The claim does not hold.",
        ":::{admonition} Takeaways\n:class: takeaways\n\n- One.\n:::",
        "## Quiz\n\n" + "".join(QUIZ.format(n) for n in (1, 2, 3)),
        "## Exercises\n\n" + exercises,
        "## Further reading\n\n" + "".join(f"- {{cite:t}}`k{n}`: good.\n" for n in range(3)),
    ]


@pytest.fixture
def page(tmp_path):
    """A small page that passes every check, with a write-back function."""
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils" / "__init__.py").write_text("")
    (tmp_path / "utils" / "helper.py").write_text("VALUE = 1\n")
    path = tmp_path / "chapters" / "math" / "page.ipynb"
    path.parent.mkdir(parents=True)
    code = new_code_cell("from utils.helper import VALUE\nprint(VALUE)")
    code.outputs = [new_output("stream", name="stdout", text="1\n")]
    drawn = new_code_cell("draw()")
    drawn.metadata["mystnb"] = {"image": {"alt": "A line that rises from 0 to 1 " * 2}}
    drawn.metadata["mystnb"]["figure"] = {"caption": "A line.", "name": "fig-line"}
    drawn.outputs = [new_output("display_data", data={"image/png": PNG})]
    recorded = new_code_cell("record(accuracy=0.9722)")
    recorded.outputs = [new_output("display_data", data={MIME: {"accuracy": 0.9722}})]
    nb = new_notebook(cells=[*map(new_markdown_cell, text_cells()), code, drawn, recorded])
    nb.cells.insert(1, nb.cells.pop(-3))

    def write(refresh=True):
        if refresh:
            stamp = {"date": "2026-01-01", "seconds": 3.0, "processor": "p", "versions": {}}
            nb.metadata["lmm"] = {"fingerprint": fingerprint(nb, tmp_path), "stamp": stamp}
            normalize(nb, tmp_path)
        path.write_text(dumps(nb), encoding="utf-8")
        return check.check_page(path, tmp_path)

    return nb, path, tmp_path, write


def test_a_good_page_passes(page):
    assert page[3]() == []


def cell_with(nb, phrase):
    return next(cell for cell in nb.cells if phrase in cell.source)


TEXT_FAULTS = [
    ("# Title", "Title", "open with a title"),
    (":class: goals", ":class: note", "no part: goals"),
    ("- Do three\n", "", "2 goals"),
    ("**Time:**", "Time", "do not say"),
    (":class: predict", ":class: tip", "no part: a prediction"),
    (":class: takeaways", ":class: tip", "no part: takeaways"),
    (QUIZ.format(1), "", "2 quiz questions"),
    ("- [x] yes", "- [ ] yes", "no right answer"),
    ("- [ ] no", "- [x] no", "no wrong answer"),
    ("  - Because it is not.\n", "", "unexplained"),
    (EXERCISE.format("d"), "", "3 exercises"),
    ("(★)", "", "not rated"),
    (SOLUTION.format("b"), "", "ex-b has no folded solution"),
    ("- {cite:t}`k0`: good.\n", "", "2 works"),
    ("**Verdict.**", "Verdict:", "1 claims, 0 verdicts"),
    ("does not hold", "is what it is", "whether the claim holds"),
    (":::{admonition} Predict", "```{admonition} Predict", "shows as code"),
    ("97.2 %", "99.2 %", "the text says 99.2"),
    ("=accuracy ±0.5", "=precision ±0.5", "no cell records 'precision'"),
    ("=accuracy ±0.5", "=accuracy about 0.5", "cannot read the mark"),
    ("The accuracy is 97.2 %", "The accuracy is high", "no number stands"),
]


@pytest.mark.parametrize(("old", "new", "message"), TEXT_FAULTS)
def test_faults_in_the_text_are_found(page, old, new, message):
    nb, _, _, write = page
    cell = cell_with(nb, old)
    cell.source = cell.source.replace(old, new)
    found = write()
    assert any(message in problem for problem in found), found


def add_error(nb, root):
    cell_with(nb, "draw()").outputs.append(
        new_output("error", ename="ValueError", evalue="no", traceback=["no"])
    )


def add_stderr(nb, root):
    cell_with(nb, "draw()").outputs.append(new_output("stream", name="stderr", text="Warning: x\n"))


def drop_alt(nb, root):
    cell_with(nb, "draw()").metadata["mystnb"]["image"]["alt"] = "line"


def drop_caption(nb, root):
    del cell_with(nb, "draw()").metadata["mystnb"]["figure"]


def lengthen(nb, root):
    cell_with(nb, "draw()").source = "\n".join(f"x = {n}" for n in range(26))


def drop_figure(nb, root):
    cell_with(nb, "draw()").outputs = []


def markdown_image(nb, root):
    cell_with(nb, "**Verdict.**").source += "\n\n![](picture.png)"


FAULTS = [
    (add_error, "ends in ValueError"),
    (add_stderr, "writes to stderr"),
    (drop_alt, "no alternative text"),
    (drop_caption, "no caption"),
    (lengthen, "26 lines"),
    (drop_figure, "has no figure"),
    (markdown_image, "without alternative text"),
]


@pytest.mark.parametrize(("fault", "message"), FAULTS)
def test_faults_in_cells_are_found(page, fault, message):
    nb, _, root, write = page
    fault(nb, root)
    found = write()
    assert any(message in problem for problem in found), found


def test_code_newer_than_its_outputs_is_found(page):
    nb, _, _, write = page
    assert write() == []
    cell_with(nb, "print(VALUE)").source += "\nprint(2)"
    assert any("older than its code" in problem for problem in write(refresh=False))


def test_a_helper_newer_than_the_outputs_is_found(page):
    _, path, root, write = page
    assert write() == []
    (root / "utils" / "helper.py").write_text('"""Only a docstring."""\nVALUE = 1  # same\n')
    assert check.check_page(path, root) == []
    (root / "utils" / "helper.py").write_text("VALUE = 12\n")
    assert any("older than its code" in problem for problem in check.check_page(path, root))


def test_a_notebook_that_was_never_run_is_found(page):
    nb, path, root, write = page
    write()
    del nb.metadata["lmm"]
    cell_with(nb, "draw()").execution_count = None
    path.write_text(dumps(nb), encoding="utf-8")
    found = check.check_page(path, root)
    assert any("never run" in problem for problem in found)
    assert any("was not run" in problem for problem in found)


def test_a_slow_page_and_a_slow_course_are_found(page):
    nb, path, root, write = page
    write()
    nb.metadata["lmm"]["stamp"]["seconds"] = 61.0
    path.write_text(dumps(nb), encoding="utf-8")
    assert any("takes 61.0 s" in problem for problem in check.check_page(path, root))
    assert any("in the mean" in problem for problem in check.check_course([path] * 5, root))


def test_what_differs_between_machines_is_found(page):
    nb, path, root, write = page
    write()
    cell_with(nb, "draw()").outputs.append(
        new_output("stream", name="stdout", text=f"{root}/file <f at 0x7f0011223344>\n")
    )
    path.write_text(dumps(nb), encoding="utf-8")
    assert any("not in the stored form" in problem for problem in check.check_page(path, root))
    assert "0x7f" not in dumps(normalize(nb, root))
    assert str(root) not in dumps(nb)


def test_a_big_notebook_and_a_big_picture_are_found(page):
    nb, path, root, write = page
    write()
    cell_with(nb, "draw()").outputs[0].data["image/png"] = PNG[:-4] + "A" * 1_400_000
    path.write_text(dumps(nb), encoding="utf-8")
    found = check.check_page(path, root)
    assert any("a picture of" in problem for problem in found), found
    assert any("the limit is 1,000,000" in problem for problem in found), found


def test_what_is_no_notebook_is_refused(page):
    _, path, root, _ = page
    path.write_text("{", encoding="utf-8")
    assert any("not a valid notebook" in problem for problem in check.check_page(path, root))


def test_normalizing_twice_changes_nothing(page):
    nb, _, root, write = page
    write()
    once = dumps(nb)
    assert dumps(normalize(nbformat.reads(once, as_version=4), root)) == once


@pytest.mark.parametrize(
    ("prose", "value", "right"),
    [
        ("97.2 %<!-- =v -->", 0.9722, True),
        ("97.2 %<!-- =v -->", 0.9733, False),
        ("1,234<!-- =v -->", 1234, True),
        ("1,234<!-- =v -->", 1235, False),
        ("2.3 ms<!-- =v x1000 ±10% -->", 0.0024, True),
        ("2.3 ms<!-- =v x1000 ±1% -->", 0.0024, False),
        ("175 billion<!-- =v -->", 174_604_259_328, True),
        ("174 billion<!-- =v -->", 174_604_259_328, False),
        ("−0.30<!-- =v -->", -0.2963, True),
        ("0.30<!-- =v -->", -0.2963, False),
        ("3.1 × 10²³<!-- =v -->", 3.14e23, True),
        ("$3.1 \\times 10^{23}$ operations<!-- =v -->", 3.14e23, True),
        ("3.2 × 10²³<!-- =v -->", 3.14e23, False),
    ],
)
def test_marked_numbers(prose, value, right):
    cell = new_code_cell("record(v=1)")
    cell.outputs = [new_output("display_data", data={MIME: {"v": value}})]
    nb = new_notebook(cells=[new_markdown_cell(f"It is {prose}."), cell])
    assert (numbers.problems(nb) == []) is right, numbers.problems(nb)


def test_only_content_pages_have_the_full_anatomy(tmp_path):
    assert anatomy.is_content_page(tmp_path / "chapters/math/x.ipynb", tmp_path)
    assert not anatomy.is_content_page(tmp_path / "chapters/start/x.ipynb", tmp_path)
