"""Server-sent events out of bytes (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

MAX_EVENT_BYTES = 16 * 1024 * 1024


class EventTooLong(Exception):
    """An event of more than `MAX_EVENT_BYTES`."""


class EventDecoder:
    """Cuts a body into the data of its events. Comments, which keep a connection awake, yield nothing.

    Event names are not told: the OpenAI protocol has none. llama.cpp once sent failures as an `error` field;
    it is read as data.
    """

    def __init__(self) -> None:
        self._tail = b""
        self._data: list[bytes] = []

    def feed(self, received: bytes) -> list[bytes]:
        """The data of every event that these bytes complete. Raises `EventTooLong`."""
        lines = (self._tail + received).split(b"\n") if self._tail else received.split(b"\n")
        self._tail = lines.pop()
        if len(self._tail) > MAX_EVENT_BYTES:
            raise EventTooLong(f"an event of more than {MAX_EVENT_BYTES} bytes")
        events: list[bytes] = []
        for line in lines:
            if not line or line == b"\r":
                if self._data:
                    events.append(b"\n".join(self._data))
                    self._data.clear()
            else:
                self._take(line)
        return events

    def rest(self) -> bytes:
        """The data of a last event that no blank line ended."""
        self._take(self._tail)
        return b"\n".join(self._data)

    def _take(self, line: bytes) -> None:
        if line.startswith((b"data:", b"error:")):
            self._data.append(line.partition(b":")[2].strip())
