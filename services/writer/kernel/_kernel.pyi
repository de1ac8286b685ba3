INTERFACE: int

class Template:
    def __new__(
        cls,
        steps: tuple[tuple[bytes, int], ...],
        tail: bytes,
        cells: tuple[int | bytes, ...],
        extra: bytes,
        day: int,
        /,
    ) -> Template: ...
    def lines(
        self,
        seqs: list[int],
        stamps_ns: list[int],
        events: list[bytes],
        epoch: bytes,
        lines: list[bytes | None],
        days_ms: list[int | None],
        /,
    ) -> int: ...
