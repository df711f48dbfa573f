"""Grades a folder of notebooks: ``python -m assign grade dist/ submissions/``.

What was handed in is found (`collect`), cut into steps (`steps`), run in containers
(`assign.sandbox`), and told: a table (`table`) and a page for each student (`feedback`).
"""
