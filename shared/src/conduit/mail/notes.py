"""Remarks on a mail: what had to be left out or guessed while it was read."""

MAX_NOTES = 50  # each is one line for a person; whoever needs more looks at the raw mail


class Notes:
    """Distinct remarks in the order of their first occurrence, the first MAX_NOTES of them."""

    def __init__(self) -> None:
        self._notes: dict[str, None] = {}

    def add(self, note: str) -> None:
        """Remember a remark, unless it has been made before."""
        if len(self._notes) < MAX_NOTES:
            self._notes[note] = None

    def all(self) -> tuple[str, ...]:
        """The remarks so far."""
        return tuple(self._notes)
