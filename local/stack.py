"""The real template on an embedded AWS: built and deployed by the SAM CLI, as on AWS."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from local import sam
from local.deployed import outputs_of
from local.emulator import ROOT, Emulator, clean_environment, free_port
from local.sam import ARCHITECTURE, RUNTIME, STACK_NAME

sys.path.insert(0, str(ROOT / "layers" / "contact_imports"))

from contact_imports.aws.api_keys_table import ApiKeyTable, Scope

__all__ = ["PROJECT_ID", "ROOT", "LocalStack", "free_port"]

PROJECT_ID = "demo"

NOT_HERE = {"LogQueries": "false"}
"""The template's parameters that leave out what the embedded AWS does not have: it refuses a template with a resource of
a type that it does not know."""


@dataclass
class LocalStack(Emulator):
    """An embedded AWS with the template deployed onto it; `outputs` are the stack's."""

    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def build_folder(self) -> Path:
        """Where this stack's functions are built: each stack has its own, so that several can be built at once."""
        return self.state / "build"

    @property
    def api_url(self) -> str:
        """The API's URL by its path; its host name does not resolve everywhere."""
        return f"{self.endpoint}/restapis/{self.outputs['ApiId']}/prod/_user_request_"

    def forget(self) -> None:
        """Deletes the data and the build of a stack that has stopped, but not its logs."""
        super().forget()
        shutil.rmtree(self.build_folder, ignore_errors=True)

    def build(self) -> None:
        """Builds functions and layer for this machine and its Python; raises StackError."""
        log = self._fresh_log("sam-build.log")
        sam.build(self.build_folder, RUNTIME, ARCHITECTURE, log)

    def deploy(self) -> None:
        """Deploys what was built, and reads the stack's outputs; raises StackError."""
        environment = {**clean_environment(), **self.aws_environment}
        parameters = [f"{name}={value}" for name, value in NOT_HERE.items()]
        log = self._fresh_log("sam-deploy.log")
        sam.deploy(
            self.build_folder, STACK_NAME, RUNTIME, ARCHITECTURE, parameters, environment, log
        )
        self.outputs = outputs_of(self.client("cloudformation"), STACK_NAME)

    def make_key(self, *scopes: Scope, projects: tuple[str, ...] = (PROJECT_ID,)) -> str:
        """A new API key's text; with every scope where none is named."""
        keys = ApiKeyTable(self.client("dynamodb"), self.outputs["ApiKeysTableName"])
        return keys.create(scopes or tuple(Scope), projects, datetime.now(UTC))

    def _fresh_log(self, name: str) -> Path:
        log = self.state / name
        log.unlink(missing_ok=True)
        return log
