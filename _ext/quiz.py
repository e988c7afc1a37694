"""``:::{quiz} Question``: a question whose every answer is explained.

The body is a list; ``- [x]`` marks a right answer, ``- [ ]`` a wrong one, and the one
nested item says why. In a notebook this stays readable text. On the page each answer is a
disclosure: opening it shows the verdict and the explanation. That needs no script, works
by keyboard and is announced by screen readers.
"""

from __future__ import annotations

from docutils import nodes
from sphinx.util.docutils import SphinxDirective


class Quiz(SphinxDirective):
    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self):
        box = nodes.container(classes=["quiz"])
        question, messages = self.state.inline_text(self.arguments[0], self.lineno)
        paragraph = nodes.paragraph("", "", *question, classes=["quiz-question"])
        box += paragraph
        body = nodes.container()
        self.state.nested_parse(self.content, self.content_offset, body)
        answers = body.children[0] if body.children else None
        if not isinstance(answers, nodes.bullet_list):
            raise self.error("the body of a quiz is a list of answers, - [x] right or - [ ] wrong")
        for item in answers.children:
            box += self._answer(item)
        return [box, *messages]

    def _answer(self, item):
        text = item.children[0]
        mark = text.astext()[:3]
        nested = [child for child in item.children if isinstance(child, nodes.bullet_list)]
        if mark not in ("[x]", "[ ]") or not nested:
            raise self.error("each answer begins with [x] or [ ] and has one nested item: why")
        _strip_mark(text)
        right = mark == "[x]"
        answer = nodes.container(classes=["quiz-answer", "right" if right else "wrong"])
        answer += nodes.raw("", "<details><summary>", format="html")
        answer += nodes.inline("", "", *text.children)
        answer += nodes.raw("", "</summary>", format="html")
        why = nodes.paragraph("", "", nodes.strong("", "Right. " if right else "Not so. "))
        why += list(nested[0].children[0].children[0].children)
        answer += why
        answer += nodes.raw("", "</details>", format="html")
        return answer


def _strip_mark(paragraph):
    first = paragraph.children[0]
    paragraph.replace(first, nodes.Text(first.astext()[3:].lstrip()))


def setup(app):
    app.add_directive("quiz", Quiz)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
