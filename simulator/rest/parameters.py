"""Parameters of a request, and the errors that the exchange answers to wrong ones."""

from collections.abc import Mapping

from simulator.server.http import HttpResponse, compact_json


class RestError(Exception):
    """An answer of the exchange with status 400 and a code: the request, not the exchange, is at fault."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.response = HttpResponse(400, compact_json({"code": code, "msg": text}).encode())


def not_valid(key: str) -> RestError:
    """Return the error (-1130) for a parameter whose value is not allowed."""
    return RestError(-1130, f"Data sent for parameter '{key}' is not valid.")


def integer(parameters: Mapping[str, str], key: str) -> int | None:
    """Return an integer parameter, None where it is missing; `RestError` (-1130) where it is none."""
    text = parameters.get(key)
    if text is None:
        return None
    if not text.isdecimal():
        raise not_valid(key)
    return int(text)
