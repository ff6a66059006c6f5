"""Every limit on what is imported, with the limit of the store that it comes from."""

from __future__ import annotations

MAX_UPLOAD_BYTES = 4_500_000
"""A multipart upload's whole body. Lambda takes 6 MB (6,291,556 bytes) of request payload; base64 makes
4.5 million bytes 6.0 million, and the rest is for headers. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

MAX_FILE_BYTES = 5 * 1024**3
"""A file that is uploaded to S3, and what a gzip file may unpack to. S3 takes 5 GiB in one request.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html"""

MAX_GZIP_RATIO = 200
"""What a gzip file may unpack to, by its size; contacts pack 3 to 20 times, a bomb up to 1,032 times."""

MAX_GZIP_RATIO_FROM_BYTES = 16 * 1024 * 1024
"""Unpacked bytes that any gzip file may have, whatever its ratio."""

MAX_IDEMPOTENCY_KEY_CHARS = 100

MAX_FIELD_BYTES = 65_536
"""One field of the form other than `file`."""

MAX_COLUMNS = 1_000
"""Columns of a file."""

MAX_ROWS = 100_000_000
"""Rows of one file. The processor reads and sends the rows of one within the 15 minutes that Lambda gives, on a CPU
that is half as slow again as the one that measured it (`python -m bench.giants`; docs/cost-and-speed.md has the figures).
https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html"""

MAX_CELL_CHARS = 1_000_000
"""One cell of a file. A larger one fails the file; usually a quote was never closed."""

MAX_LINE_BYTES = 8 * 1024 * 1024
"""Bytes of a file without a line end. With more, it is not a CSV and fails."""

MAX_ROW_BYTES = 65_536
"""The mapped cells of one row, as JSON in UTF-8: a row travels in an SQS message (1 MiB at most)."""

MAX_CUSTOM_FIELDS = 1_000
"""Custom fields of one column map: as many as a file may have columns."""

MAX_CUSTOM_FIELD_KEY_CHARS = 128

MAX_COLUMN_MAP_BYTES = 65_536
"""A column map as it is stored, as JSON in UTF-8, whichever way it came: in a form, in JSON, in an object's
metadata, or matched from a file's header. It is the one part of an import's record that could grow without
bound; a DynamoDB item is 400 KB at most, so that a record always has room for the import's end.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

MAX_REPORTED_ROWS = 10_000_000
"""Failed rows that a report has: as many as can be written in half of the 15 minutes that Lambda gives
(`make test-long` measures a million). https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html"""

MAX_CONTACT_BYTES = 262_144
"""What a contact may grow to by merging, keys and values in UTF-8: a DynamoDB item is 400 KB at most.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

MAX_TAGS = 50
MAX_TAG_CHARS = 100

MAX_EMAIL_CHARS = 254
"""RFC 5321, 4.5.3.1.3."""

MAX_VALUE_CHARS = {
    "firstName": 256,
    "lastName": 256,
    "name": 512,
    "phone": 64,
    "country": 128,
    "language": 64,
}
"""Standard fields but the email."""

MAX_CUSTOM_VALUE_CHARS = 8_192
