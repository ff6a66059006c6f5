"""What DynamoDB may answer to a read that is not strongly consistent: each item as it was a few writes ago.

That holds for every GetItem, BatchGetItem and Query without ConsistentRead, and for every Query of an index: "a global
secondary index supports eventual consistency only". Each item is as late as it likes, in every answer anew.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.ReadConsistency.html
"""

from __future__ import annotations

import random
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

Item = dict[str, Any]
Key = tuple[str, ...]

MOST_WRITES_BEHIND = 4
"""How many writes of one item a read may be behind. DynamoDB says that reads are consistent again "usually within one
second or less", in which few rows or batches write the same item."""

READS = frozenset({"BatchGetItem", "GetItem", "Query", "Scan", "TransactGetItems"})
"""The operations that read items."""

_CLAUSE = re.compile(
    r"begins_with\((?P<prefixed>\S+), (?P<prefix>\S+)\)|(?P<name>\S+) (?P<is>\S+) (?P<value>\S+)"
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
}


class StaleReads:
    """Remembers what items were like before they were written, and answers reads with it."""

    def __init__(self, dynamodb: Any, chance: random.Random) -> None:
        self._dynamodb = dynamodb
        self._chance = chance
        self._tables: dict[str, _Table] = {}
        self._past: dict[str, dict[Key, deque[Item | None]]] = defaultdict(
            partial(defaultdict, partial(deque, maxlen=MOST_WRITES_BEHIND))
        )

    def just_created(self, table: str, key: Item) -> None:
        """Says that an item was created a moment ago, by something that the simulation does not see."""
        self._past[table][self._of(table).key(key)].append(None)

    def before(self, operation: str, arguments: dict[str, Any]) -> None:
        """Remembers items before a call that writes them."""
        written: dict[str, list[Item]] = defaultdict(list)
        for name, item in _written(operation, arguments):
            table = self._of(name)
            written[name].append({part: item[part] for part in table.key_names})
        for name, keys in written.items():
            table = self._of(name)
            request = {name: {"Keys": keys, "ConsistentRead": True}}
            found = self._dynamodb.batch_get_item(RequestItems=request)["Responses"][name]
            now = {table.key(item): item for item in found}
            for key in map(table.key, keys):
                past = self._past[name][key]
                if not past or past[-1] != now.get(key):
                    past.append(now.get(key))

    def answer(
        self, operation: str, arguments: dict[str, Any], answer: dict[str, Any], share: float
    ) -> Any:
        """The answer to a read, in which a `share` of the items is late."""
        match operation:
            case "GetItem":
                table = self._of(arguments["TableName"])
                item = self._late(table, table.key(arguments["Key"]), answer.get("Item"), share)
                rest = {name: value for name, value in answer.items() if name != "Item"}
                return rest if item is None else rest | {"Item": item}
            case "BatchGetItem":
                ((name, request),) = arguments["RequestItems"].items()
                table = self._of(name)
                # What was left unread is not answered.
                left = answer.get("UnprocessedKeys", {}).get(name, {}).get("Keys", [])
                now = {table.key(item): item for item in answer["Responses"].get(name, [])}
                keys = [table.key(key) for key in request["Keys"] if key not in left]
                seen = [self._late(table, key, now.get(key), share) for key in keys]
                items = [item for item in seen if item is not None]
                return answer | {"Responses": {name: items}}
            case "Query":
                return self._query(arguments, answer, share)
            case _:
                raise NotImplementedError(f"{operation} is not simulated")

    def _late(self, table: _Table, key: Key, item: Item | None, share: float) -> Item | None:
        past = self._past[table.name].get(key)
        if past and self._chance.random() < share:
            return self._chance.choice(past)
        return item

    def _query(self, arguments: dict[str, Any], answer: dict[str, Any], share: float) -> Any:
        """A page that DynamoDB would make of late items: they may be in another place, or in no place yet."""
        table = self._of(arguments["TableName"])
        index = table.indexes[arguments["IndexName"]] if "IndexName" in arguments else table
        every = {k: v for k, v in arguments.items() if k not in ("Limit", "ExclusiveStartKey")}
        pages = self._dynamodb.get_paginator("query").paginate(**every)
        now = {table.key(item): item for page in pages for item in page["Items"]}
        seen = []
        for key in sorted({*now, *self._past[table.name]}):
            item = self._late(table, key, now.get(key), share)
            if item is not None and _matches(item, arguments):
                seen.append(index.projected(item))
        descending = arguments.get("ScanIndexForward") is False
        seen.sort(key=index.order, reverse=descending)
        if start := arguments.get("ExclusiveStartKey"):
            after = index.order(start)
            seen = [
                item
                for item in seen
                if (index.order(item) < after if descending else index.order(item) > after)
            ]
        items = seen[: arguments.get("Limit")]
        rest = {name: value for name, value in answer.items() if name != "LastEvaluatedKey"}
        if len(items) < len(seen):
            rest["LastEvaluatedKey"] = {name: items[-1][name] for name in index.order_names}
        return rest | {"Items": items, "Count": len(items)}

    def _of(self, table: str) -> _Table:
        if table not in self._tables:
            described = self._dynamodb.describe_table(TableName=table)["Table"]
            self._tables[table] = _Table(table, described)
        return self._tables[table]


class _Table:
    """A table's keys, or those of one of its indexes."""

    def __init__(
        self, name: str, described: Mapping[str, Any], index: Mapping[str, Any] | None = None
    ) -> None:
        self.name = name
        self.key_names = [part["AttributeName"] for part in described["KeySchema"]]
        of_index = [part["AttributeName"] for part in index["KeySchema"]] if index else []
        self.order_names = list(dict.fromkeys([*of_index, *self.key_names]))
        kind = index["Projection"]["ProjectionType"] if index else "ALL"
        self._names = self.order_names if kind == "KEYS_ONLY" else None
        self.indexes = {
            one["IndexName"]: _Table(name, described, one)
            for one in ([] if index else described.get("GlobalSecondaryIndexes", []))
        }

    def key(self, item: Mapping[str, Any]) -> Key:
        return tuple(item[name]["S"] for name in self.key_names)

    def order(self, item: Mapping[str, Any]) -> list[Any]:
        return [_value(item[name]) for name in self.order_names]

    def projected(self, item: Item) -> Item:
        return item if self._names is None else {name: item[name] for name in self._names}


def _written(operation: str, arguments: dict[str, Any]) -> Iterable[tuple[str, Item]]:
    """Table and key of each item that a call writes; the key may have other attributes with it."""
    match operation:
        case "PutItem":
            yield arguments["TableName"], arguments["Item"]
        case "UpdateItem" | "DeleteItem":
            yield arguments["TableName"], arguments["Key"]
        case "TransactWriteItems":
            for one in arguments["TransactItems"]:
                yield from _written("PutItem" if "Put" in one else "UpdateItem", *one.values())
        case "BatchExecuteStatement":
            for one in arguments["Statements"]:
                values = one["Parameters"]
                insert = one["Statement"].startswith("INSERT")
                pk, sk = values[:2] if insert else values[-3:-1]
                table = re.search('"([^"]+)"', one["Statement"])
                assert table is not None
                yield table[1], {"pk": pk, "sk": sk}


def _matches(item: Item, arguments: dict[str, Any]) -> bool:
    """Whether an item is one that a query asks for by its key."""
    names = arguments.get("ExpressionAttributeNames", {})
    values = arguments["ExpressionAttributeValues"]
    for clause in arguments["KeyConditionExpression"].split(" AND "):
        parsed = _CLAUSE.fullmatch(clause)
        assert parsed is not None, clause
        name = parsed["name"] or parsed["prefixed"]
        attribute = item.get(names.get(name, name))
        if attribute is None:
            return False
        if parsed["prefix"]:
            if not _value(attribute).startswith(_value(values[parsed["prefix"]])):
                return False
        elif not _COMPARE[parsed["is"]](_value(attribute), _value(values[parsed["value"]])):
            return False
    return True


def _value(attribute: Mapping[str, Any]) -> Any:
    return int(attribute["N"]) if "N" in attribute else attribute["S"]
