"""The words behind a command, taken one by one, with an error that says which word was expected."""


class ArgumentError(Exception):
    """A command that cannot be obeyed; the text is what stands behind `nack`."""


class Arguments:
    """The words of one command that are left to be taken.

    `… on K` at the end chooses one connection of a stream, counted from 1 in the order of subscription.
    """

    def __init__(self, line: str) -> None:
        self._left = line.split()
        self.connection: int | None = None  # `… on K`, counted from 1 in the order of subscription
        if len(self._left) > 2 and self._left[-2] == "on":
            self.connection = _integer(self._left.pop(), "K of `on K`")
            self._left.pop()

    def text(self, what: str, default: str | None = None) -> str:
        """Take the next word; `what` names it in the error where there is none and no default."""
        if self._left:
            return self._left.pop(0)
        if default is None:
            raise ArgumentError(f"{what} expected")
        return default

    def integer(self, what: str, default: int | None = None) -> int:
        """Take the next word as a whole number, of any sign."""
        return _integer(self.text(what, None if default is None else str(default)), what)

    def count(self, what: str) -> int:
        """Take the next word as a whole number of at least 1."""
        number = self.integer(what)
        if number < 1:
            raise ArgumentError(f"{what} must be 1 or more")
        return number

    def retry_after_s(self, default: int | None = None) -> int | None:
        """Take whole seconds, or `none` for an answer without the header Retry-After."""
        word = self.text("RETRY_AFTER", "none" if default is None else str(default))
        return None if word == "none" else _integer(word, "RETRY_AFTER")

    def number(self, what: str, default: float | None = None) -> float:
        """Take the next word as a number of at least 0, finite."""
        word = self.text(what, None if default is None else str(default))
        try:
            number = float(word)
        except ValueError:
            raise ArgumentError(f"{what} expected, not {word}") from None
        if not 0 <= number < float("inf"):
            raise ArgumentError(f"{what} must be 0 or more")
        return number

    def end(self) -> None:
        """Refuse words that nobody took."""
        if self._left:
            raise ArgumentError(f"unexpected: {' '.join(self._left)}")


def _integer(word: str, what: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise ArgumentError(f"{what} expected, not {word}") from None
