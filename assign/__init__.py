"""Assignments: drawn from the exercises' masters, handed out, and graded.

``python -m assign list`` shows what there is, ``make`` draws an assignment, ``grade`` grades what
comes back, ``review`` shows what was written in words. The masters hold the solutions and the
hidden tests, so neither they nor this package are part of ``companion``, which every student
installs: the commands are run in a clone of the book's repository.

What ``make`` writes
--------------------
One folder, whole or not at all; ``NAME`` is the title as a file name, such as ``homework-2``::

    dist/
        student/NAME.ipynb    for the students: one file, runs on Colab and locally
        autograder.zip        for Gradescope, for ``otter run`` and for ``grade``
        solution/NAME.ipynb   the solution, run, with its outputs; not for the students
        rubric.md             points, what each check looks at, what is graded by hand
        assignment.json       the record from which the same folder can be drawn again

``autograder.zip`` has otter's standard layout. Everything in it is self-contained, given an
installed companion::

    otter_config.json         {"lang": "python", "pdf": false, ...}
    tests/q1.py, q2.py ...    one a question, in otter's exception-based format
    environment.yml, setup.sh, run_autograder, run_otter.py    for Gradescope's machine

A test file defines ``OK_FORMAT = False``, ``name = "q1"`` and one ``@test_case`` for each check,
with its points and with ``hidden`` true or false; the name of a test case is
``"q1 - 1: what it looks at"``. A check fails with ``AssertionError`` whose text is meant for the
student, never with anything else: a name that is missing, a function that raises and
``sys.exit`` in one are told as such. In otter's message of a failed test case the student's text
is what follows ``"AssertionError: "``. A question is worth the sum of its test cases; what is
graded by hand comes on top and is in the record.

The student's notebook
----------------------
One cell for each purpose, told apart by tags and by ids, which both survive a round trip through
Jupyter: ``introduction``, ``setup`` (folded: installs what is missing), ``imports``, ``q1`` (the
question, Markdown), ``q1-answer`` (tag ``answer``), ``q1-words`` (Markdown, tag ``words``, where
an explanation is asked for), ``q1-check`` (tag ``check``, folded: runs the visible checks) and
``hand-in``. A check cell has three lines: its title, ``check_q1 = "..."``, which is code that
defines the list ``CHECKS``, and ``report(check_q1, globals())``. What all checks share, `report`
too, is imported from ``companion.notebook._assignments``, and no name is ever taken away there. A
cell that does so is never run by ``grade``, nor is one that defines ``check_q1`` as a function, as
in notebooks of earlier versions. The check cell's metadata hold
``{"otter": {"tests": ["q1"]}}``, so that otter grades a question when its cell is reached, and
later cells cannot overwrite its names. Should the metadata be lost, otter grades it at the end. No
two exercises of the book ask for the same name. The notebook's metadata hold
``{"companion": {"assignment": ID}}``, the ``id`` of the record.

The record
----------
``assignment.json``::

    {
      "format": 1,
      "id": "homework-2-1f0c9a3b",       # tells nothing of the seed without the secret
      "name": "homework-2",
      "title": "Homework 2",
      "language": "en",                  # or "zh"
      "seed": 2027,
      "secret": "9f86d081884c7d65...",  # mixed in, so that the seed alone tells nothing
      "due": "2027-03-01",               # or null; as it was given
      "companion": "0.1.0",              # the version that drew it
      "exercises": ["attention:2", "attention:4"],   # what was asked for, in order
      "points": 7,                       # all of them
      "points_by_hand": 0,               # those that no check gives
      "words": "*Your explanation, ...*",   # what stands in a cell for words
      "questions": [
        {
          "name": "q1",                  # tests/q1.py
          "exercise": "attention-cache-by-hand",
          "title": "How many conversations fit?",
          "kind": "by hand",
          "minutes": 15,
          "points": 3,                   # with those by hand
          "points_by_hand": 0,
          "words": false,                # whether an explanation is asked for
          "good_answer": "...",          # the rubric for it
          "needs": ["bytes_per_token", "kv_heads", "tokens"],   # names an answer defines
          "variant": {"n_layers": 24, "...": "..."},            # what the seed drew
          "checks": [
            {"name": "q1 - 1: ...", "what": "...", "points": 0.75, "hidden": false}
          ]
        }
      ],
      "files": {"student/homework-2.ipynb": "sha256 ...", "autograder.zip": "sha256 ..."}
    }

The sum of ``checks[].points`` and ``points_by_hand`` is ``points``, for each question.

Grading
-------
``grade`` (`assign.grading`) runs each submission in a container of its own (`assign.sandbox`).
"""
