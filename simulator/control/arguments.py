"""Reading a command's words, with an error that says which one was expected."""


class ArgumentError(Exception):
    """Why a command cannot be obeyed; the text after `nack`."""


class Arguments:
    def __init__(self, line: str) -> None:
        self._words = line.split()
        self.connection: int | None = None  # `… on K`, counted from 1 in the order of subscription
        if len(self._words) > 2 and self._words[-2] == "on":
            self.connection = _integer(self._words.pop(), "K of `on K`")
            self._words.pop()

    def text(self, what: str, default: str | None = None) -> str:
        if self._words:
            return self._words.pop(0)
        if default is None:
            raise ArgumentError(f"{what} expected")
        return default

    def integer(self, what: str, default: int | None = None) -> int:
        return _integer(self.text(what, None if default is None else str(default)), what)

    def count(self, what: str) -> int:
        number = self.integer(what)
        if number < 1:
            raise ArgumentError(f"{what} must be 1 or more")
        return number

    def retry_after_s(self, default: int | None = None) -> int | None:
        """Whole seconds, or `none` for an answer that does not say."""
        word = self.text("RETRY_AFTER", "none" if default is None else str(default))
        return None if word == "none" else _integer(word, "RETRY_AFTER")

    def number(self, what: str, default: float | None = None) -> float:
        word = self.text(what, None if default is None else str(default))
        try:
            number = float(word)
        except ValueError:
            raise ArgumentError(f"{what} expected, not {word}") from None
        if not 0 <= number < float("inf"):
            raise ArgumentError(f"{what} must be 0 or more")
        return number

    def end(self) -> None:
        if self._words:
            raise ArgumentError(f"unexpected: {' '.join(self._words)}")


def _integer(word: str, what: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise ArgumentError(f"{what} expected, not {word}") from None
