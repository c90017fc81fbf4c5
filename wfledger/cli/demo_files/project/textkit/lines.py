"""Lines of a text."""


def dedent_all(text: str) -> str:
    """Remove all white space at the start of each line."""
    return "\n".join(line.lstrip() for line in text.splitlines())


def longest(text):
    return max(text.splitlines(), key=len, default="")
