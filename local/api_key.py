"""Makes and revokes API keys of a stack, local or deployed: whichever the AWS environment points at.

python -m local.api_key create --project acme --scope audience:write --scope audience:read
python -m local.api_key revoke ci_0123456789ab_...
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local.deployed import outputs_of
from local.emulator import ROOT
from local.sam import STACK_NAME

sys.path.insert(0, str(ROOT / "layers" / "contact_imports"))

from contact_imports.aws.api_keys_table import ApiKeyTable, Scope, key_id_of


def main() -> None:
    parser = argparse.ArgumentParser(description="Make and revoke API keys.")
    parser.add_argument("--stack-name", default=STACK_NAME)
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="make a key; it is shown once")
    create.add_argument("--project", action="append", required=True, help="may be repeated")
    create.add_argument("--scope", action="append", choices=[s.value for s in Scope])
    revoke = commands.add_parser("revoke", help="take a key out of use at once")
    revoke.add_argument("key", help="the key, or its id: the 12 digits after ci_")
    arguments = parser.parse_args()
    try:
        outputs = outputs_of(boto3.client("cloudformation"), arguments.stack_name)
        keys = ApiKeyTable(boto3.client("dynamodb"), outputs["ApiKeysTableName"])
        if arguments.command == "create":
            scopes = [Scope(scope) for scope in arguments.scope or Scope]
            print(keys.create(scopes, arguments.project, datetime.now(UTC)))
        elif keys.revoke(key_id_of(arguments.key)):
            print("Revoked.")
        else:
            sys.exit("There is no such key.")
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS answered: {error}")


if __name__ == "__main__":
    main()
