"""Runs what students hand in, where it can harm nobody.

For each submission there is one disposable container (`walls`): made by bubblewrap, by Docker or
by Podman. A notebook's cells run in it, and otter's tests on what they define (`inside`). From
outside somebody watches the clock (`attempts`), and many are graded side by side (`pool`).
"""
