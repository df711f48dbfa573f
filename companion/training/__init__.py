"""How models are trained, on one machine and on several."""

__all__: list[str] = []
