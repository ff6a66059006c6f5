"""Generated mutations that no test can tell from the source, each with the reason."""

from __future__ import annotations

_CLOSER_LOOK = "Both ways give the same row: it is only looked at more closely, which takes longer."
_FOR_TYPES = "It cannot be None here: rows of a new contact create it first. The clause is for the type checker."

EQUIVALENT: dict[str, str] = {
    "files/bit_set.py: BitSet.add: `1` → `2`": "One byte more than needed is made, which is empty.",
    "files/bit_set.py: BitSet.add: `missing > 0` → `missing >= 0`": "With no byte missing, none is added.",
    "files/split.py: mapped_cells: `len(record) > columns.width` → `len(record) >= columns.width`": (
        "A record as wide as the header has no cells beyond it, and a malformed one is always wider."
    ),
    "files/split.py: mapped_cells: `sum(map(len, cells)) * 6 > MAX_ROW_BYTES and "
    "len(dumps(cells)) > MAX_ROW_BYTES` → `((len(dumps(cells)) > MAX_ROW_BYTES))`": _CLOSER_LOOK,
    "files/split.py: mapped_cells: `sum(map(len, cells)) * 6 > MAX_ROW_BYTES` → "
    "`sum(map(len, cells)) * 6 >= MAX_ROW_BYTES`": _CLOSER_LOOK,
    "files/split.py: mapped_cells: `6` → `7`": _CLOSER_LOOK,
    "files/split.py: row_batches: `len(encoded) > MAX_ROW_BYTES` → `len(encoded) >= MAX_ROW_BYTES`": (
        _CLOSER_LOOK
    ),
    "files/split.py: row_batches: `True` → `False`": (
        "`identity_bytes` gives as many identities as it gets cells. `strict` says so."
    ),
    "files/split.py: row_batches: `count and len(batch.rows) + len(encoded) > max_bytes` → "
    "`((len(batch.rows) + len(encoded) > max_bytes))`": (
        "A row fits into every empty batch: MAX_ROW_BYTES is less than MAX_BATCH_BYTES."
    ),
    "model/identity.py: identity_bytes: `True` → `False`": (
        "There are as many lines as cells, which the line above asks. `strict` says so."
    ),
    'model/identity.py: readable_email: `at and "xn--" in domain` → `((at))`': (
        "A domain without `xn--` is decoded to itself, which takes longer."
    ),
    "model/identity.py: _unwrap: `len(text) > 1` → `len(text) >= 1`": (
        "One character that is its own counterpart is removed by the next branches."
    ),
    "model/stored_contact.py: merge_rows: `contact is None or created_by is None or (stored and contact == "
    "stored.contact)` → `((created_by is None) or (stored and contact == stored.contact))`": _FOR_TYPES,
    "model/stored_contact.py: merge_rows: `contact is None or created_by is None or (stored and contact == "
    "stored.contact)` → `((contact is None) or (stored and contact == stored.contact))`": _FOR_TYPES,
    "model/stored_contact.py: _applied_before: `stored is None or rows is None` → `((rows is None))`": (
        "A contact that is not stored has no batches that were applied. The clause is for the type checker."
    ),
}
