"""How large what is stored may be. Longer texts are cut, and say so at their end."""

TITLE_BYTES = 400
TEXT_BYTES = 16 * 1024
WHY_BYTES = 1000
OWNER_BYTES = 400
SOURCE_BYTES = 500
MOST_SOURCES = 16
MOST_EDGES = 64
CUT = " …"


def fit(text: str, most: int) -> str:
    """The text in at most so many bytes of UTF-8; halves of surrogate pairs, which JSON cannot carry, replaced."""
    whole = text.encode("utf-8", "replace")
    if len(whole) <= most:
        return whole.decode()
    return whole[: most - len(CUT.encode())].decode("utf-8", "ignore") + CUT
