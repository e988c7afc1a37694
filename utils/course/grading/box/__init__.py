"""The side of the grader that a learner's code can see. It knows no answers.

The three modules here are copied, without the rest of the course, into the process that runs
a submission; they import nothing from ``utils`` but the learner's side of ``utils.check``.
"""
