"""How checks read an answer: as it comes, exact or rounded.

One rule holds in every assignment: numbers are exact or rounded to three decimals, and a list, an
array and a tensor are the same, in single precision or double. The functions are part of the
package, from which a student's notebook imports them.
"""

from companion.notebook._assignments import array, close, parts, text

__all__ = ["array", "close", "parts", "text"]
