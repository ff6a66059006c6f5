"""The meant mutations: each takes away one guard of exactness, and says what would then go wrong.

A mutation is a snippet of the source, which occurs there once, and what is there instead. Any blanks in a snippet stand
for any other, so it survives formatting. In what is there instead, a line has the indentation of the first line and
its own.
"""

from __future__ import annotations

from typing import NamedTuple


class Meant(NamedTuple):
    """What goes wrong, a snippet of the source, and what replaces it. `survives` explains why no test can tell."""

    breaks: str
    old: str
    new: str
    survives: str = ""


CORE = "layers/contact_imports/contact_imports"

MEANT: dict[str, tuple[Meant, ...]] = {
    f"{CORE}/aws/progress_records.py": (
        Meant(
            "the progress of a partition is read as it was some time ago",
            "Key=record_key(import_id, partition_record(partition)), ConsistentRead=True,",
            "Key=record_key(import_id, partition_record(partition)), ConsistentRead=False,",
        ),
        Meant(
            "an overdue import's partitions are read as they were some time ago",
            '":partition": PARTITION_PREFIX}), ConsistentRead=True,',
            '":partition": PARTITION_PREFIX}), ConsistentRead=False,',
        ),
        Meant(
            "the reasons of failed rows are read as they were some time ago",
            "ConsistentRead=True, PaginationConfig",
            "ConsistentRead=False, PaginationConfig",
        ),
        Meant(
            "a batch that somebody counted in the meantime is counted again",
            "if known.is_closed_for(batch.seq): return known after",
            "after",
        ),
        Meant(
            "reasons are there of a batch that was not counted",
            'self._client.transact_write_items( TransactItems=[{"Update": update}, '
            "self._errors_put(batch, errors)] )",
            'self._client.put_item(**self._errors_put(batch, errors)["Put"])\n'
            "self._client.update_item(**update)",
        ),
        Meant(
            "a batch is counted whose reasons are lost by a crash",
            'self._client.transact_write_items( TransactItems=[{"Update": update}, '
            "self._errors_put(batch, errors)] )",
            "self._client.update_item(**update)\n"
            'self._client.put_item(**self._errors_put(batch, errors)["Put"])',
        ),
        Meant(
            "what another writer left is not looked at",
            "known = self._partition_on_conflict(error, batch) or known",
            "self._partition_on_conflict(error, batch)",
        ),
        Meant(
            "the partition after a batch is told as it was before",
            "if known.gaps else after",
            "if known.gaps else known",
        ),
        Meant(
            "of two callers that fill a gap and count the last batch, neither ends the import",
            "return self.get(batch.import_id, batch.partition) if known.gaps else after",
            "return after",
        ),
        Meant(
            "gaps of an overdue import stay open for ever",
            "forgetting = forget_gaps and bool(self.get(import_id, partition).gaps)",
            "forgetting = False",
        ),
        Meant(
            "gaps are forgotten by every end of a partition",
            "forgetting = forget_gaps and bool(",
            "forgetting = bool(",
        ),
        Meant(
            "a report does not know the rows of a lost gap",
            '", lost = if_not_exists(gaps, lost) REMOVE gaps"',
            '" REMOVE gaps"',
        ),
        Meant(
            "a lost gap can still be filled",
            '", lost = if_not_exists(gaps, lost) REMOVE gaps"',
            '", lost = if_not_exists(gaps, lost)"',
        ),
        Meant(
            "lost gaps cannot be given up again where the first answer was lost",
            '", lost = if_not_exists(gaps, lost) REMOVE gaps"',
            '", lost = gaps REMOVE gaps"',
        ),
        Meant(
            "a transaction that was throttled fails the batch",
            'if any(reason["Code"] in TRANSIENT_CODES for reason in reasons):',
            "if False:",
        ),
        Meant(
            "reasons that an earlier release wrote are not read",
            'if "packed" in values: return unpack(values["packed"])',
            'return unpack(values["packed"])',
        ),
        Meant(
            "a gap is filled twice",
            'condition = "contains(gaps, :seq)"',
            'condition = "(contains(gaps, :seq) OR attribute_exists(importId))"',
        ),
        Meant(
            "a gap that is filled stays open",
            "SET expiresAt = :expires DELETE gaps :filled",
            "SET expiresAt = :expires ADD gaps :filled",
        ),
        Meant(
            "a batch counts after its partition has ended",
            'condition = "attribute_not_exists(ended) AND "',
            'condition = ""',
        ),
        Meant(
            "a batch counts although another one moved the partition",
            'condition += "nextSeq = :known"',
            'condition += "(nextSeq = :known OR attribute_exists(nextSeq))"',
        ),
        Meant(
            "a batch counts that another has already overtaken",
            'condition += "nextSeq = :known"',
            'condition += "nextSeq >= :known"',
        ),
        Meant(
            "two batches are a partition's first",
            'condition += "attribute_not_exists(nextSeq)"',
            'condition += "attribute_not_exists(lost)"',
        ),
        Meant(
            "a partition does not end with its last batch",
            "if after.ended: values",
            "if False:\n    values",
        ),
        Meant(
            "batches that were overtaken are not waited for",
            "overtaken = after.gaps - known.gaps",
            "overtaken: frozenset[int] = frozenset()",
        ),
        Meant(
            "a refused write does not tell how far the partition is",
            '"ReturnValuesOnConditionCheckFailure": "ALL_OLD"',
            '"ReturnValuesOnConditionCheckFailure": "NONE"',
        ),
        Meant(
            "a refused transaction does not tell how far the partition is",
            "for reason in reasons): return self.get(batch.import_id, batch.partition)",
            "for reason in reasons):\n    return None",
        ),
        Meant(
            "two transactions that meet fail the batch",
            "in TRANSIENT_CODES for reason in reasons):",
            'in TRANSIENT_CODES - {"TransactionConflict"} for reason in reasons):',
        ),
        Meant(
            "the reasons of a partition's batches overwrite each other",
            '"record": errors_record(batch.partition, batch.seq)',
            '"record": errors_record(batch.partition, 0)',
        ),
        Meant(
            "the reasons of one batch are not in file order",
            "errors.sort(key=lambda error: error.row)",
            "pass",
        ),
        Meant(
            "the reasons of several partitions are not in file order",
            "key=lambda error: error.row, )",
            "key=lambda error: error.code,\n)",
        ),
        Meant(
            "a partition's gaps are not read",
            'frozenset(values.get("gaps", ()))',
            "frozenset()",
        ),
        Meant(
            "a partition's lost batches are not read",
            'frozenset(values.get("lost", ()))',
            "frozenset()",
        ),
        Meant(
            "a partition's end is not read",
            'values.get("ended", False)',
            "False",
        ),
        Meant(
            "only the first partition's rows are counted",
            "for counter in counters)",
            "for counter in counters[:1])",
        ),
    ),
    f"{CORE}/aws/imports_table.py": (
        Meant(
            "an import replaces another of the same id",
            'ConditionExpression="attribute_not_exists(importId)"',
            'ConditionExpression="attribute_not_exists(nothing)"',
        ),
        Meant(
            "an import that waits for its upload is failed while the upload may still come",
            "PENDING_DEADLINE_SECONDS if pending else UPLOAD_DEADLINE_SECONDS",
            "UPLOAD_DEADLINE_SECONDS",
        ),
        Meant(
            "an object that was dropped once has two imports",
            "SET madeImport = if_not_exists(madeImport, :id)",
            "SET madeImport = :id",
        ),
        Meant(
            "a list shows counts of an import under way from an index that may be late",
            "job if job.end_is_shown(now) else self.get(job.id) for job in found",
            "job for job in found",
        ),
        Meant(
            "an import that does not exist is claimed",
            "attribute_exists(importId) AND #open = :open",
            "#open = :open",
            survives="An item that does not exist has no attribute `open`, so the second term refuses it too. "
            "The first one says it to the reader.",
        ),
        Meant(
            "an import that has ended is claimed",
            "attribute_exists(importId) AND #open = :open",
            "attribute_exists(importId) AND (#open = :open OR attribute_exists(importId))",
        ),
        Meant(
            "an import is claimed for a second object",
            "OR objectVersion = :version)",
            "OR attribute_exists(objectVersion))",
        ),
        Meant(
            "a processor that died cannot claim its object again",
            "(attribute_not_exists(objectVersion) OR objectVersion = :version)",
            "attribute_not_exists(objectVersion)",
        ),
        Meant(
            "an import that is being stopped is claimed",
            "AND attribute_not_exists(failure)",
            "",
        ),
        Meant(
            "a second processor records another split than the first, whose rows are under way",
            '"#encoding": "encoding"}, condition="attribute_not_exists(partitionCount)",',
            '"#encoding": "encoding"},',
        ),
        Meant(
            "an import is failed with no counts although its rows are under way",
            'now, condition="attribute_not_exists(partitionCount)",',
            "now,",
        ),
        Meant(
            "an import that has ended is changed",
            'condition="#open = :open" + (',
            'condition="(#open = :open OR attribute_exists(importId))" + (',
        ),
        Meant(
            "an import is failed before its rows can end it",
            '":deadline": int(now.timestamp()) + IMPORT_DEADLINE_SECONDS',
            '":deadline": int(now.timestamp()) + UPLOAD_DEADLINE_SECONDS',
        ),
        Meant(
            "an import ends with its first partition",
            "if sum(partition.done for partition in partitions) < job.partition_count:",
            "if not any(partition.done for partition in partitions):",
        ),
        Meant(
            "an import ends while a partition has a gap",
            "if sum(partition.done for partition in partitions)",
            "if sum(partition.ended for partition in partitions)",
        ),
        Meant(
            "rows that were never sent are not counted as failed",
            "failed=counts.failed + missing",
            "failed=counts.failed",
        ),
        Meant(
            "an import of which rows are missing is completed",
            "Status.FAILED if missing else Status.COMPLETED",
            "Status.COMPLETED",
        ),
        Meant(
            "two callers are told that they ended the import",
            "if not self._end(import_id, status, counts, error, now): return None",
            "self._end(import_id, status, counts, error, now)",
        ),
        Meant(
            "an import is overdue before its deadline",
            '{":open": state, ":now": int(now.timestamp())}',
            '{":open": state, ":now": int(now.timestamp()) + 60}',
        ),
        Meant(
            "an import that has ended is postponed",
            'condition="#open = :open AND deadline <> :deadline",',
            'condition="deadline <> :deadline AND (#open = :open OR attribute_exists(importId))",',
        ),
        Meant(
            "a sweep counts twice where the first answer was lost",
            'condition="#open = :open AND deadline <> :deadline",',
            'condition="#open = :open",',
        ),
        Meant(
            "an end that everything has followed is followed again",
            'condition="#open = :reporting AND deadline <> :deadline",',
            'condition="deadline <> :deadline AND (#open = :reporting OR attribute_exists(importId))",',
        ),
        Meant(
            "an end is followed once less where the first answer was lost",
            'condition="#open = :reporting AND deadline <> :deadline",',
            'condition="#open = :reporting",',
        ),
        Meant(
            "the note of a report makes an item of an import that was deleted",
            '{}, condition="attribute_exists(importId)",',
            '{},\ncondition="attribute_not_exists(nothing)",',
        ),
        Meant(
            "the note of an end's followers makes an item of an import that was deleted",
            'remove=("#open", "deadline"), condition="attribute_exists(importId)",',
            'remove=("#open", "deadline"),\ncondition="attribute_not_exists(nothing)",',
        ),
        Meant(
            "an end is followed again for ever",
            '{"#open": "open"}, remove=("#open", "deadline"),',
            '{},\nremove=("deadline",),',
        ),
        Meant(
            "an import and its partitions are read as they were some time ago",
            '":import": IMPORT}), ConsistentRead=True,',
            '":import": IMPORT}),\nConsistentRead=False,',
        ),
        Meant(
            "an import whose item is full can never end",
            'if not is_item_too_large(error) or "columnMap" in assignments:',
            "if True:",
        ),
        Meant(
            "an import that has ended is open",
            '"open": _REPORTING,',
            '"open": _OPEN,',
        ),
        Meant(
            "an end starts nothing that follows it",
            '"report": REPORT_DUE,',
            '"report": _REPORT_DONE,',
        ),
        Meant(
            "objects of a bucket with versions are told apart by their content only",
            "return upload.version_id or upload.etag",
            "return upload.etag",
        ),
        Meant(
            "an absurd number of partitions makes as many calls",
            "if not 1 <= stored <= MAX_PARTITIONS:",
            "if False:",
        ),
        Meant(
            "an import that was begun with other limits is split by those before they were recorded",
            'values.get("batchRows", LIMITS_NOT_RECORDED.rows)',
            "LIMITS_NOT_RECORDED.rows",
        ),
        Meant(
            "a split's digest is not recorded",
            '":digest": split.digest,',
            '":digest": "",',
        ),
        Meant(
            "a split's digest is not read",
            'values.get("splitDigest", "")',
            '""',
        ),
        Meant(
            "a report does not know which version of the code has split the file",
            'values.get("layerVersion", "")',
            '""',
        ),
        Meant(
            "it is not noted how many batches were sent",
            '"sentBatches = :sent", {":sent": batches}',
            '"sentBatches = :sent", {":sent": 0}',
        ),
        Meant(
            "a batch counts as sent that was not",
            '"sentBatches = :sent", {":sent": batches}',
            '"sentBatches = :sent", {":sent": batches + 1}',
        ),
        Meant(
            "each try sends all batches again",
            'values.get("sentBatches", 0)',
            "0",
        ),
        Meant(
            "a report that is there is made again by each try of the event",
            'reported="reportedAt" in values or',
            "reported=",
        ),
        Meant(
            "a long reason does not fit into an item that is nearly full",
            "if error is None or len(error) <= _MAX_ERROR_CHARS:",
            "if True:",
        ),
    ),
    f"{CORE}/aws/contacts_table.py": (
        Meant(
            "contacts are read as they were some time ago where it matters",
            '"ConsistentRead": consistent,',
            '"ConsistentRead": False,',
        ),
        Meant(
            "contacts of a batch that is given up are read as they were some time ago",
            "emails: Iterable[str], *, consistent: bool = True, ) ->",
            "emails: Iterable[str],\n*,\nconsistent: bool = False,\n) ->",
        ),
        Meant(
            "a contact is overwritten that another import has changed",
            'WHERE pk=? AND sk=? AND "version"=?',
            'WHERE pk=? AND sk=? AND "version">=?',
        ),
        Meant(
            "a contact that another import has created fails the batch",
            '_CONFLICTS = {"DuplicateItem", "ConditionalCheckFailed"}',
            '_CONFLICTS = {"ConditionalCheckFailed"}',
        ),
        Meant(
            "a contact that another import has changed fails the batch",
            '_CONFLICTS = {"DuplicateItem", "ConditionalCheckFailed"}',
            '_CONFLICTS = {"DuplicateItem"}',
        ),
        Meant(
            "a contact counts as written although another writer was faster",
            "conflicts.add(contact.contact.email)",
            "pass",
        ),
        Meant(
            "a contact counts as written although the write was throttled",
            "unprocessed.append(contact)",
            "pass",
        ),
        Meant(
            "a contact whose write was throttled fails its batch",
            "elif code in TRANSIENT_CODES:",
            "elif False:",
        ),
        Meant(
            "writes that stay throttled count as made",
            'raise StillUnprocessedError("contacts could not be written")',
            "return conflicts",
        ),
        Meant(
            "contacts that stay unread count as new",
            'raise StillUnprocessedError("contacts could not be read")',
            "return contacts",
        ),
        Meant(
            "contacts that were written are written again with those that were throttled",
            "pending = unprocessed",
            "pass",
        ),
        Meant(
            "contacts that were left unread count as new",
            'if not response.get("UnprocessedKeys"): return contacts',
            "return contacts",
        ),
        Meant(
            "a contact that DynamoDB refuses is left out",
            "raise ContactWriteError(code)",
            "continue",
        ),
        Meant(
            "a batch is answered while its writes go on",
            "wait(calls) return",
            "return",
        ),
        Meant(
            "a contact is written on the condition of its new version",
            '{"N": str(stored.version - 1)}]',
            '{"N": str(stored.version)}]',
        ),
        Meant(
            "a row of a dry run whose contact it made before is a conflict for ever",
            "self._written |= written.keys()",
            "pass",
        ),
        Meant(
            "a contact's second batch is forgotten where the first created it",
            "if stored.version > 1 or not _is_only_created(stored):",
            "if not _is_only_created(stored):",
        ),
        Meant(
            "the last row of a batch that created a contact is forgotten",
            "and batches[0].row == stored.created_by.row",
            "",
        ),
        Meant(
            "the failed rows of a batch that created a contact are forgotten",
            "and not batches[0].failed",
            "",
        ),
        Meant(
            "what other imports did to a contact is forgotten",
            "len(stored.applied) == len(batches) == 1",
            "len(batches) == 1",
            survives="A contact that is created has one import in `applied`: only a contact of version 1 gets here.",
        ),
        Meant(
            "a field that a row cleared stays",
            "changes += [f'REMOVE \"{name}\"' for name in sorted(emptied)]",
            "pass",
        ),
    ),
    f"{CORE}/aws/project_writes.py": (
        Meant(
            "a project seems quiet by an old note",
            "TableName=self._table, Key=_key(project_id), ConsistentRead=True",
            "TableName=self._table, Key=_key(project_id), ConsistentRead=False",
        ),
        Meant(
            "a project counts as quiet while a batch of it may be writing",
            "QUIET_AFTER = timedelta(minutes=10)",
            "QUIET_AFTER = timedelta(minutes=2)",
        ),
        Meant(
            "a note that failed counts as made",
            "return self._client.update_item(",
            "return\nself._noted[project_id] = now\nself._client.update_item(",
        ),
        Meant(
            "a project's first write is its last note",
            "if noted is not None and now - noted < _NOTED_EVERY:",
            "if noted is not None:",
        ),
        Meant(
            "a project that was written to is quiet",
            'wrote_at is None or int(wrote_at["N"]) <',
            'wrote_at is None or int(wrote_at["N"]) >',
        ),
    ),
    f"{CORE}/aws/packed_errors.py": (
        Meant(
            "two reasons of one code are one",
            "(error.code, error.message, error.field)",
            "(error.code, error.code, error.field)",
        ),
        Meant(
            "rows that failed by one reason are lost unless they come in file order",
            "_distances(sorted(numbers))",
            "_distances(numbers[:1])",
        ),
        Meant(
            "all rows that failed by one reason are near the first row",
            "row += distance",
            "row = distance",
        ),
    ),
    f"{CORE}/aws/received_messages.py": (
        Meant(
            "a throttled batch hides its partition for minutes",
            "passes=is_transient(error)",
            "passes=False",
        ),
        Meant(
            "a message that fails for good becomes a dead letter in a minute",
            "passes=is_transient(error)",
            "passes=True",
        ),
        Meant(
            "a batch becomes a dead letter although AWS only throttles for hours",
            "FIRST_THROTTLED_SECONDS * 2 ** min(receives - 1, _MAX_DOUBLINGS)",
            "FIRST_THROTTLED_SECONDS",
        ),
        Meant(
            "a throttled batch waits longer than SQS can hide it",
            "longest = min(LONGEST_THROTTLED_SECONDS, doubled)",
            "longest = doubled",
        ),
        Meant(
            "a message that cannot be put off is deleted",
            "with suppress(Exception):",
            "if True:",
        ),
    ),
    f"{CORE}/aws/retry.py": (
        Meant(
            "a throttled call fails its invocation",
            'http.status_code in _TRANSIENT_STATUS or _code(parsed) in TRANSIENT_CODES',
            "http.status_code in _TRANSIENT_STATUS",
        ),
        Meant(
            "a call that AWS failed fails its invocation",
            'http.status_code in _TRANSIENT_STATUS or _code(parsed) in TRANSIENT_CODES',
            "_code(parsed) in TRANSIENT_CODES",
        ),
        Meant(
            "a call whose answer was lost fails its invocation",
            'isinstance(event["caught_exception"], _LOST)',
            "False",
        ),
        Meant(
            "what AWS refuses for good is tried until the deadline",
            "return _wait(attempts) if passes and _may_retry(attempts) else None",
            "return _wait(attempts) if _may_retry(attempts) else None",
        ),
        Meant(
            "calls are retried until Lambda kills the invocation",
            "return _wait(attempts) if passes and _may_retry(attempts) else None",
            "return _wait(attempts) if passes else None",
        ),
        Meant(
            "what a call leaves undone is tried until Lambda kills the invocation",
            "if not _may_retry(attempt): return",
            "pass",
        ),
        Meant(
            "calls are retried for seconds only, whatever time the invocation has",
            "return attempt < _ATTEMPTS if _deadline is None else time.monotonic() < _deadline",
            "return attempt < _ATTEMPTS",
        ),
        Meant(
            "a limit within a limit is longer than it",
            "_deadline = limit if before is None else min(before, limit)",
            "_deadline = limit",
        ),
        Meant(
            "the deadline of one invocation is that of the next",
            "finally: _deadline = before",
            "finally:\n    pass",
        ),
        Meant(
            "an invocation retries until it has no time to answer",
            "context.get_remaining_time_in_millis() / 1000 - RESERVED_SECONDS",
            "context.get_remaining_time_in_millis() / 1000",
        ),
        Meant(
            "a handler retries longer than it may",
            "with time_limit(min(left, longest)):",
            "with time_limit(left):",
        ),
        Meant(
            "a throttled batch waits as long as one that can never be applied",
            "return _code(error.response) in TRANSIENT_CODES or status in _TRANSIENT_STATUS",
            "return status in _TRANSIENT_STATUS",
        ),
        Meant(
            "what stays unprocessed waits as long as what can never be applied",
            "(StillUnprocessedError, *_LOST)",
            "_LOST",
        ),
    ),
    f"{CORE}/aws/row_queue.py": (
        Meant(
            "the batches of a partition arrive in any order",
            "MessageGroupId=group,",
            'MessageGroupId=f"{group}:{name}",',
        ),
        Meant(
            "SQS drops the batches of all partitions but one",
            'MessageDeduplicationId=f"{group}:{name}"',
            'MessageDeduplicationId=f"{import_id}:{name}"',
        ),
        Meant(
            "a batch is sent before the one ahead of it is accepted",
            "before.result() self._room",
            "pass\nself._room",
        ),
        Meant(
            "a batch does not wait for the one ahead of it",
            "self._last_of[partition] = sending",
            "self._last_of.setdefault(partition, sending)",
        ),
        Meant(
            "an import counts as sent although its last batch was refused",
            "sent.result()",
            "pass",
        ),
        Meant(
            "a failed processor's messages are still being sent while the next one starts",
            "self._threads.shutdown(wait=True)",
            "self._threads.shutdown(wait=False)",
        ),
    ),
    f"{CORE}/jobs/apply_row_batch.py": (
        Meant(
            "a batch that was counted is applied again",
            "if not partition.is_closed_for(seq):",
            "if True:",
        ),
        Meant(
            "a batch that was overtaken is applied after its successors",
            "if give_up or seq in partition.gaps:",
            "if give_up:",
        ),
        Meant(
            "a batch that is given up is applied",
            "if give_up or seq in partition.gaps:",
            "if seq in partition.gaps:",
        ),
        Meant(
            "an import does not end where the last batch was counted and its invocation died",
            "if partition.done else None",
            "if partition.done and outcomes else None",
        ),
        Meant(
            "a dry run changes contacts",
            "if not batch.dry_run: return stores.contacts",
            "if True:\n    return stores.contacts",
        ),
        Meant(
            "a batch with an email that cannot be a key can never be given up",
            "{email for email in emails.values() if _can_be_key(email)}",
            "set(emails.values())",
        ),
        Meant(
            "what a batch did is not seen when it is given up",
            "last=batch.rows[-1].number)",
            "last=batch.rows[0].number)",
        ),
        Meant(
            "what an earlier batch did is taken for this one's",
            "BatchRows(first=batch.rows[0].number,",
            "BatchRows(first=0,",
            survives="The rows of a partition's earlier batches have lower numbers, so none of them is taken for one of "
            "this batch. The first number says it to the reader.",
        ),
        Meant(
            "a batch that overtakes others does not remember its predecessors",
            "partition.next_seq < batch.seq or bool(partition.gaps)",
            "bool(partition.gaps)",
        ),
        Meant(
            "a batch behind a gap does not remember its predecessors",
            "partition.next_seq < batch.seq or bool(partition.gaps)",
            "partition.next_seq < batch.seq",
        ),
        Meant(
            "what an overtaken batch did is forgotten by all that follow",
            "overtaking=self._overtaking,",
            "overtaking=False,",
        ),
        Meant(
            "a row that changes nothing by a stale read is not looked at again",
            "self._quiet = batch.dry_run or stores.writes.is_quiet(batch.project_id, now)",
            "self._quiet = True",
        ),
        Meant(
            "a batch is answered while its slices go on",
            "with time_limit(PATIENCE_SECONDS), ThreadPoolExecutor(_SLICES_AT_A_TIME) as threads:",
            "threads = ThreadPoolExecutor(_SLICES_AT_A_TIME)\nwith time_limit(PATIENCE_SECONDS):",
        ),
        Meant(
            "the second read may be stale as well",
            "expects_new, consistent = False, True",
            "expects_new, consistent = False, False",
        ),
        Meant(
            "contacts are written before anybody is told that reads may be stale",
            "if not batch.dry_run: self._writes.note(batch.project_id, self._now) "
            "to_repeat |= self._contacts.write(batch.project_id, writes)",
            "to_repeat |= self._contacts.write(batch.project_id, writes)\n"
            "if not batch.dry_run:\n"
            "    self._writes.note(batch.project_id, self._now)",
        ),
        Meant(
            "rows that changed nothing by a stale read are forgotten where others conflict",
            "to_repeat |= self._contacts.write(",
            "to_repeat = self._contacts.write(",
        ),
        Meant(
            "a batch that comes again takes its own contacts for new",
            "partition.mostly_new and not batch.dry_run and not again",
            "partition.mostly_new and not batch.dry_run",
        ),
        Meant(
            "no batch is known to come again",
            "again=receives > 1",
            "again=False",
        ),
        Meant(
            "a dry run takes contacts for new that it made itself",
            "partition.mostly_new and not batch.dry_run and not again",
            "partition.mostly_new and not again",
        ),
        Meant(
            "a throttled batch keeps its slot of the function until the invocation's deadline",
            "with time_limit(PATIENCE_SECONDS), ThreadPoolExecutor",
            "with ThreadPoolExecutor",
        ),
        Meant(
            "rows count as often as they are tried",
            "if email not in to_repeat: results",
            "if True:\n    results",
        ),
        Meant(
            "rows that the processor rejected are not counted",
            "results = _rejected(self._batch)",
            "results = RowResults(Counter(), [])",
        ),
        Meant(
            "rows that the processor rejected are not counted where their batch is given up",
            "results = _rejected(batch)",
            "results = RowResults(Counter(), [])",
        ),
    ),
    f"{CORE}/jobs/split_upload.py": (
        Meant(
            "an object of one project is imported into another",
            "if job is None or job.project_id != project_id:",
            "if job is None:",
        ),
        Meant(
            "two processors send different splits of one file",
            "if job.split.digest != split.split.digest: split =",
            "if False:\n    split =",
        ),
        Meant(
            "a file that is split otherwise by now is mixed with what it was begun with",
            "_check_same_split(job, split) sent",
            "sent",
        ),
        Meant(
            "another split with as many rows is mixed with what the import was begun with",
            "(recorded or split.split.digest) != split.split.digest or job.counts.total != split.rows",
            "job.counts.total != split.rows",
        ),
        Meant(
            "another split of an import without a digest is mixed with what it was begun with",
            "(recorded or split.split.digest) != split.split.digest or job.counts.total != split.rows",
            "(recorded or split.split.digest) != split.split.digest",
        ),
        Meant(
            "an import that was begun without a digest can never be finished",
            "(recorded or split.split.digest) != split.split.digest",
            "recorded != split.split.digest",
        ),
        Meant(
            "a file that a newer version refuses is failed although its rows are under way",
            "if job is not None and job.split is not None: raise SplitChangedError from error",
            "pass",
        ),
        Meant(
            "a split's digest is not given to its import",
            "split=replace(begun, digest=digest.hexdigest()),",
            "split=begun,",
        ),
        Meant(
            "a batch's rows are not in the split's digest",
            "digest.add(batch)",
            "pass",
        ),
        Meant(
            "the first batch that was not sent is skipped",
            "if sent >= job.sent_batches:",
            "if sent > job.sent_batches:",
        ),
        Meant(
            "each try of a processor sends all batches again, and none comes to the end",
            "if sent >= job.sent_batches:",
            "if True:",
        ),
        Meant(
            "the next try does not know what this one has sent",
            "imports.set_sent(import_id, sent) raise",
            "raise",
        ),
        Meant(
            "an import of which not all was sent is left to its deadline",
            'raise NotAllSentError(f"{sent} of {split.batch_count} row batches are sent")',
            "pass",
        ),
        Meant(
            "a processor is killed while it sends",
            "if not time.to_send(): break",
            "pass",
        ),
        Meant(
            "a file of any number of rows is read",
            "if rows > limits.MAX_ROWS:",
            "if False:",
        ),
        Meant(
            "a file with as many rows as it may have is refused",
            "if rows > limits.MAX_ROWS:",
            "if rows >= limits.MAX_ROWS:",
        ),
        Meant(
            "an import whose rows are under way is failed where a later try is slower",
            "if job.split is not None: # Rows may have been sent, and the next try may have enough time. raise",
            "pass",
        ),
        Meant(
            "the import of a dropped object that is gone waits for its deadline",
            "import_id = id_of_dropped(upload, uploads.bucket, imports, now) stopped = "
            "stop_import(import_id, GONE, imports, queue, now)",
            "stopped, import_id = False, None",
        ),
        Meant(
            "an import that was recorded with another number of partitions is split anew",
            "begun = job.split or Split(",
            "begun = Split(",
        ),
        Meant(
            "batches of a try with another encoding are sent",
            "file.truncate()",
            "pass",
        ),
        Meant(
            "an import whose object is gone waits for its deadline",
            "except UploadGoneError: stop_import(import_id, GONE, imports, queue, now)",
            "except UploadGoneError:\n    imports.fail(import_id, GONE, now)",
        ),
        Meant(
            "a dry run makes tags",
            "if not job.options.dry_run: tags",
            "if True:\n    tags",
        ),
        Meant(
            "a full disk fails for ever",
            "if error.errno != errno.ENOSPC or",
            "if True or",
        ),
        Meant(
            "a file's first batches are not sent",
            "self._bodies.seek(0) self._hashes.seek(0)",
            "self._hashes.seek(0)",
        ),
    ),
    f"{CORE}/jobs/end_import.py": (
        Meant(
            "an import that was started since it was read waits for its deadline",
            "# It has been started, or has ended, since we read it. job = imports.get(import_id)",
            "",
        ),
        Meant(
            "an import that is being stopped can be claimed until it has ended",
            "imports.set_failure(import_id, reason) for partition in range(job.partition_count): "
            "queue.send_partition_end(import_id, job.project_id, partition)",
            "for partition in range(job.partition_count):\n"
            "    queue.send_partition_end(import_id, job.project_id, partition)\n"
            "imports.set_failure(import_id, reason)",
        ),
        Meant(
            "a partition of an import that is stopped does not end",
            "for partition in range(job.partition_count): queue",
            "for partition in range(1, job.partition_count):\n    queue",
        ),
        Meant(
            "an overdue import does not say why it failed",
            "imports.set_failure(import_id, OVERDUE)",
            "pass",
        ),
        Meant(
            "an overdue import waits for gaps for ever",
            "forget_gaps=True",
            "forget_gaps=False",
        ),
        Meant(
            "a partition that has begun is not ended at the deadline",
            "if partition not in known or not known[partition].done:",
            "if partition not in known:",
        ),
        Meant(
            "a partition that has not begun is not ended at the deadline",
            "if partition not in known or not known[partition].done:",
            "if partition in known and not known[partition].done:",
        ),
        Meant(
            "the sweep starts an import that it has no time to end",
            "for import_id in imports.overdue(now): if not has_time(): return",
            "for import_id in imports.overdue(now):\n    pass",
        ),
        Meant(
            "an import that cannot be ended is the sweep's first one for ever",
            "swept = imports.postpone(import_id, now + SWEPT_AGAIN_AFTER)",
            "swept = 0",
        ),
        Meant(
            "an import whose rows are being counted loses its counts",
            "and result.error != NOT_DONE",
            "",
        ),
        Meant(
            "an end that cannot be followed is tried for ever",
            "if tries > FOLLOW_TRIES:",
            "if False:",
        ),
    ),
    f"{CORE}/jobs/report_import.py": (
        Meant(
            "an event is sent again for each record of the stream",
            "if job is None or not job.ended or job.followed:",
            "if job is None or not job.ended:",
        ),
        Meant(
            "an import that has not ended is reported",
            "if job is None or not job.ended or job.followed:",
            "if job is None or job.followed:",
        ),
        Meant(
            "a crash loses the event",
            "stores.bus.import_ended(job, now) stores.imports.set_followed(import_id)",
            "stores.imports.set_followed(import_id)\nstores.bus.import_ended(job, now)",
        ),
        Meant(
            "a call that AWS refused for now costs the report",
            "except (BotoCoreError, ClientError, StillUnprocessedError): raise except",
            "except",
        ),
        Meant(
            "a report does not have the rows that were never sent",
            "if job.status is Status.FAILED or split.layer != stores.layer:",
            "if split.layer != stores.layer:",
        ),
        Meant(
            "the report of another version of the code has other rows",
            "if job.status is Status.FAILED or split.layer != stores.layer:",
            "if job.status is Status.FAILED:",
        ),
        Meant(
            "a report shows other rows where the file is split otherwise by now",
            "if (split.digest or lost.digest) != lost.digest or lost.total != job.counts.total:",
            "if lost.total != job.counts.total:",
        ),
        Meant(
            "a report of an import without a digest shows other rows",
            "if (split.digest or lost.digest) != lost.digest or lost.total != job.counts.total:",
            "if (split.digest or lost.digest) != lost.digest:",
        ),
        Meant(
            "a report reads the file by the limits of new imports",
            "of_all, split.limits)",
            "of_all)",
        ),
        Meant(
            "the failed rows of an earlier try are beside a result that has none",
            "reports.delete_result(errors_key)",
            "pass",
        ),
        Meant(
            "the event comes before the import is shown as ended",
            "stores.imports.set_reported(import_id, now) stores.bus.import_ended(job, now)",
            "pass\nstores.bus.import_ended(job, now)\nstores.imports.set_reported(import_id, now)",
        ),
    ),
    f"{CORE}/jobs/create_dropped_import.py": (
        Meant(
            "an open import without the object's options can be started",
            "Status.FAILED, ImportOptions(None, delimiter=None)",
            "Status.PROCESSING, ImportOptions(None, delimiter=None)",
        ),
        Meant(
            "one of two values of an option is ignored",
            "if values.setdefault(field, value) != value:",
            "if values.setdefault(field, value) is None:",
        ),
        Meant(
            "metadata that looks like an option is ignored",
            "if meant is not None: message",
            "if False:\n    message",
        ),
    ),
    f"{CORE}/messages/row_messages.py": (
        Meant(
            "a message of a newer version is handled as an old one",
            "if message.version > VERSION:",
            "if False:",
        ),
        Meant(
            "a message of a newer version with other fields is taken for no message",
            "_refuse_newer(_version_decoder.decode(body)) raise",
            "raise",
        ),
        Meant(
            "a message can name any item as its import",
            '"^[0-9a-f]{24}$"',
            '""',
        ),
        Meant(
            "a message can name a partition that no import has",
            "msgspec.Meta(ge=0, lt=MAX_PARTITIONS)",
            "msgspec.Meta(ge=0)",
        ),
        Meant(
            "a message can make a million gaps",
            "msgspec.Meta(ge=0, lt=MAX_BATCHES)",
            "msgspec.Meta(ge=0)",
        ),
        Meant(
            "a batch number can be negative",
            "msgspec.Meta(ge=0, lt=MAX_BATCHES)",
            "msgspec.Meta(lt=MAX_BATCHES)",
        ),
        Meant(
            "SQS refuses a batch with U+FFFE",
            r'(b"\xef\xbf\xbe", b"\\ufffe"), ',
            "",
        ),
        Meant(
            "SQS refuses a batch with U+FFFF",
            r', (b"\xef\xbf\xbf", b"\\uffff"))',
            ",)",
        ),
    ),
    f"{CORE}/messages/s3_event.py": (
        Meant(
            "an object with a blank in its key is not found",
            "key = unquote_plus(found.key)",
            "key = found.key",
        ),
        Meant(
            "a key that no item can have fails the processor and its dead letter",
            "if longest > _MAX_NAME_BYTES:",
            "if False:",
        ),
        Meant(
            "an object of a bucket with versions is read as it is now",
            "return Upload(key, found.e_tag, found.size, found.version_id)",
            "return Upload(key, found.e_tag, found.size)",
        ),
    ),
    f"{CORE}/messages/sqs_event.py": (
        Meant(
            "of two messages that failed, one is deleted",
            "for record in records]}",
            "for record in records[:1]]}",
        ),
        Meant(
            "a message is handled although the one ahead of it failed",
            "if record.group not in errors:",
            "if True:",
        ),
        Meant(
            "a message that failed is deleted",
            "put_off(record, errors[record.group]) failed.append(record)",
            "put_off(record, errors[record.group])",
        ),
        Meant(
            "a message behind a failed one is deleted",
            "if record.group not in errors: try:",
            "if record.group in errors:\n    continue\nif True:\n    try:",
        ),
        Meant(
            "a message that fails fails all that came with it",
            "errors[record.group] = error",
            "raise",
        ),
        Meant(
            "a message that failed waits for the queue's own time",
            "put_off(record, errors[record.group]) failed",
            "failed",
        ),
        Meant(
            "every receive of a message is its first",
            "return int(self.attributes.approximate_receive_count)",
            "return 1",
        ),
        Meant(
            "messages of all partitions are one group",
            "return self.attributes.message_group_id",
            'return ""',
        ),
    ),
    f"{CORE}/model/import_job.py": (
        Meant(
            "another object under the same key is taken for the first",
            "(bucket, upload.key, upload.version_id or upload.etag)",
            "(bucket, upload.key)",
        ),
        Meant(
            "two keys that end and begin differently are one object",
            '"\\0".join(',
            '"".join(',
        ),
        Meant(
            "objects of a bucket with versions that have the same content are one",
            "upload.version_id or upload.etag)",
            "upload.etag)",
        ),
        Meant(
            "an import with failed rows has ended before its report is there",
            "waiting = bool(self.counts.failed) and not self.reported",
            "waiting = False",
        ),
        Meant(
            "an import whose report fails never ends",
            "return not waiting or now - self.completed_at > timedelta(seconds=REPORT_SECONDS)",
            "return not waiting",
        ),
        Meant(
            "an import is failed while SQS still keeps its rows",
            "IMPORT_DEADLINE_SECONDS = 26 * 3600",
            "IMPORT_DEADLINE_SECONDS = 24 * 3600",
        ),
        Meant(
            "the failed rows are not among those with a result",
            "return self.created + self.updated + self.skipped + self.failed",
            "return self.created + self.updated + self.skipped",
        ),
        Meant(
            "an import's id does not say when it was made",
            "int(now.timestamp()).to_bytes(_ID_TIME_BYTES",
            "(0).to_bytes(_ID_TIME_BYTES",
        ),
    ),
    f"{CORE}/model/identity.py": (
        Meant(
            "one person is the same contact in every project",
            'f"{project_id}\\n{identity}"',
            'f"{identity}"',
        ),
        Meant(
            "a project whose id ends as an address begins shares its contacts",
            'f"{project_id}\\n{identity}"',
            'f"{project_id}{identity}"',
        ),
    ),
    f"{CORE}/model/stored_contact.py": (
        Meant(
            "a contact forgets an import whose rows can still come",
            "_REMEMBERED = timedelta(seconds=2 * IMPORT_DEADLINE_SECONDS)",
            "_REMEMBERED = timedelta(seconds=IMPORT_DEADLINE_SECONDS // 2)",
        ),
    ),
    f"{CORE}/model/row_validation.py": (
        Meant(
            "a row that clears nothing clears",
            "if self._clears: cleared.append(name)",
            "cleared.append(name)",
        ),
        Meant(
            "an address that no item can have as a key is valid",
            "if len(email) > MAX_EMAIL_CHARS: return False",
            "if False:\n    return False",
        ),
        Meant(
            "the row's other fields shift by one",
            "for name in fields[1:]",
            "for name in fields[:-1]",
        ),
    ),
    "functions/row_batch/app.py": (
        Meant(
            "a batch is never known to come again",
            "datetime.now(UTC), record.receives)",
            "datetime.now(UTC))",
        ),
        Meant(
            "a batch retries until Lambda kills it",
            "@limits_retries(GIVEN_BACK_AFTER_SECONDS)",
            "",
        ),
        Meant(
            "a throttled batch keeps its slot of the function",
            "@limits_retries(GIVEN_BACK_AFTER_SECONDS)",
            "@limits_retries()",
        ),
        Meant(
            "a dry run's contacts are kept for ever",
            "ContactTable(dynamodb, names.DRY_RUN_CONTACTS_TABLE, DRY_RUN_LIFETIME)",
            "ContactTable(dynamodb, names.DRY_RUN_CONTACTS_TABLE)",
        ),
    ),
    "functions/dead_letter/app.py": (
        Meant(
            "a dead letter is applied",
            "datetime.now(UTC), give_up=True)",
            "datetime.now(UTC))",
        ),
        Meant(
            "a dead letter that is no message stays for ever",
            'logger.exception("dead letter is not a row batch") return',
            "raise",
        ),
        Meant(
            "a failure that names no upload stays for ever",
            'logger.exception("processor failure names no upload") return',
            "raise",
        ),
        Meant(
            "a dead letter that fails is put off in another queue",
            "names.PROCESSOR_FAILURES_QUEUE_URL if is_upload(record) else names.DEAD_LETTER_QUEUE_URL",
            "names.PROCESSOR_FAILURES_QUEUE_URL",
        ),
        Meant(
            "a dead letter retries until Lambda kills it",
            "@limits_retries()",
            "",
        ),
        Meant(
            "an import that was split otherwise does not say so",
            "SPLIT_CHANGED if error == SplitChangedError.__name__ else PROCESSOR_FAILED",
            "PROCESSOR_FAILED",
        ),
        Meant(
            "the sweep goes on until it is killed",
            "context.get_remaining_time_in_millis() > SWEEP_ENDS_BEFORE_TIMEOUT_MS",
            "True",
        ),
    ),
}  # fmt: skip
