"""What SAM makes of the template, since AWS gets that and not what we wrote."""

from __future__ import annotations

from typing import Any

import pytest

from tests.template import load as load_source
from tests.transformed import deployed, load, resources


def ref(value: Any) -> str:
    """The logical id that a !Ref or !GetAtt names."""
    if "Ref" in value:
        return str(value["Ref"])
    return str(value["Fn::GetAtt"][0])


def test_the_api_has_one_stage_and_it_is_throttled() -> None:
    # Without OpenApiVersion, SAM deploys a second stage named "Stage", which no setting applies to.
    for deployment in resources("AWS::ApiGateway::Deployment").values():
        assert "StageName" not in deployment
        assert "StageDescription" not in deployment
    ((_, stage),) = resources("AWS::ApiGateway::Stage").items()
    assert stage["StageName"] == "prod"
    (settings,) = stage["MethodSettings"]
    assert (settings["ResourcePath"], settings["HttpMethod"]) == ("/*", "*")
    assert settings["ThrottlingRateLimit"] == {"Ref": "RequestsPerSecond"}
    assert settings["ThrottlingBurstLimit"] == {"Ref": "RequestBurst"}


def test_every_method_of_the_api_goes_to_the_function_with_binary_files() -> None:
    (api,) = resources("AWS::ApiGateway::RestApi").values()
    body = api["Body"]
    assert body["openapi"] == "3.0.1"
    assert body["x-amazon-apigateway-binary-media-types"] == ["multipart/form-data"]
    ((path, methods),) = body["paths"].items()
    assert path == "/{proxy+}"
    assert set(methods) == {"get", "post", "put", "patch", "delete", "head", "options"}
    for method in methods.values():
        integration = method["x-amazon-apigateway-integration"]
        assert integration["type"] == "aws_proxy"
        assert "ApiFunction.Arn" in integration["uri"]["Fn::Sub"]
    source = next(iter(resources_of_source("AWS::Serverless::Api")))
    assert set(body["x-amazon-apigateway-gateway-responses"]) == set(source["GatewayResponses"])


def test_only_our_own_triggers_may_invoke_a_function() -> None:
    invokers = {
        (ref(permission["FunctionName"]), permission["Principal"])
        for permission in resources("AWS::Lambda::Permission").values()
    }
    assert invokers == {
        ("ApiFunction", "apigateway.amazonaws.com"),
        ("ProcessorFunction", "s3.amazonaws.com"),
        ("DeadLetterFunction", "events.amazonaws.com"),
    }
    for permission in resources("AWS::Lambda::Permission").values():
        assert permission["Action"] == "lambda:InvokeFunction"
        assert "SourceArn" in permission or "SourceAccount" in permission


def test_sam_adds_no_role_and_no_policy() -> None:
    source = {name for name, r in load_source()["Resources"].items() if "IAM" in r["Type"]}
    assert {name for name, r in load()["Resources"].items() if "IAM" in r["Type"]} == source
    for role in resources("AWS::IAM::Role").values():
        assert "ManagedPolicyArns" not in role


SIDS = {
    "ApiFunction": """WriteOwnLog FindKeys RecordAndReadImports ListImports AnswerOnce StoreUploads ReadReports
        TellMissingReports""",
    "ProcessorFunction": """WriteOwnLog ReadUploads TellMissingUploads TellOfMisplacedFiles RecordClaimAndStartImports
        CreateTags SendRowBatches HandOverFailures""",
    "RowBatchFunction": "WriteOwnLog TakeRowBatches PutOffRowBatches ReadAndWriteContacts CountRows",
    "DeadLetterFunction": """WriteOwnLog TakeDeadLetters PutOffDeadLetters ReadContacts CountRowsAndEndImports FindOverdueImports
        EndPartitions""",
    "ImportEndedFunction": """WriteOwnLog FollowImports ReadImportsAndNoteReports ReadFiles CopyReports WriteReports BreakOffReports
        RemoveOutdatedReports TellMissingFiles HandOverFailures TellOfEnds""",
}
"""The statements of each function's role; tests/simulation/test_permissions.py holds what each allows."""


def statements(**parameters: str) -> dict[str, list[str]]:
    """The Sids that each function has when the template is deployed with parameters."""
    template = deployed(**parameters)["Resources"]
    found = {}
    for name, function in template.items():
        if function["Type"] != "AWS::Lambda::Function":
            continue
        role = ref(function["Properties"]["Role"])
        policies = list(template[role]["Properties"]["Policies"])
        policies += [
            one["Properties"]
            for one in template.values()
            if one["Type"] == "AWS::IAM::Policy" and {"Ref": role} in one["Properties"]["Roles"]
        ]
        found[name] = [
            statement["Sid"]
            for policy in policies
            for statement in policy["PolicyDocument"]["Statement"]
        ]
    return found


def test_every_function_has_its_statements_and_no_other() -> None:
    assert statements() == {name: sids.split() for name, sids in SIDS.items()}
    more = statements(Tracing="true", KmsKeyArn="arn:aws:kms:us-east-1:111111111111:key/1")
    assert more == {name: [*sids.split(), "UseKey", "SendTraces"] for name, sids in SIDS.items()}


def test_every_function_has_a_role_of_its_own_that_only_lambda_may_take() -> None:
    functions = resources("AWS::Lambda::Function").values()
    roles = [ref(function["Role"]) for function in functions]
    assert len(set(roles)) == len(roles)
    for role in roles:
        (trust,) = resources("AWS::IAM::Role")[role]["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}


@pytest.mark.parametrize("mapping", resources("AWS::Lambda::EventSourceMapping"))
def test_what_an_event_source_gives_up_is_kept(mapping: str) -> None:
    properties = resources("AWS::Lambda::EventSourceMapping")[mapping]
    queues = resources("AWS::SQS::Queue")
    source = ref(properties["EventSourceArn"])
    if source in queues:
        target = ref(queues[source]["RedrivePolicy"]["deadLetterTargetArn"])
        assert bool(queues[target].get("FifoQueue")) == bool(queues[source].get("FifoQueue"))
    else:
        target = ref(properties["DestinationConfig"]["OnFailure"]["Destination"])
    assert target in queues


def test_the_last_queues_have_an_alarm_and_the_longest_retention() -> None:
    queues = resources("AWS::SQS::Queue")
    consumed = {
        ref(mapping["EventSourceArn"])
        for mapping in resources("AWS::Lambda::EventSourceMapping").values()
    }
    last = queues.keys() - consumed
    assert last
    alarms = {
        ref(dimension["Value"]): alarm
        for alarm in resources("AWS::CloudWatch::Alarm").values()
        for dimension in alarm.get("Dimensions", [])
        if dimension["Name"] == "QueueName"
    }
    assert last <= alarms.keys()
    for queue in last:
        assert queues[queue]["MessageRetentionPeriod"] == 1_209_600
        alarm = alarms[queue]
        assert alarm["Namespace"] == "AWS/SQS"
        assert alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
        assert alarm["TreatMissingData"] == "notBreaching"
        assert alarm["Threshold"] == 0
        assert alarm["ComparisonOperator"] == "GreaterThanThreshold"


def test_who_hands_over_what_failed_may_send_it() -> None:
    roles = resources("AWS::IAM::Role")
    functions = resources("AWS::Lambda::Function")
    handed_over = [
        (ref(config["FunctionName"]), ref(config["DestinationConfig"]["OnFailure"]["Destination"]))
        for kind in ("AWS::Lambda::EventInvokeConfig", "AWS::Lambda::EventSourceMapping")
        for config in resources(kind).values()
        if "DestinationConfig" in config
    ]
    assert len(handed_over) == 2
    for function, queue in handed_over:
        role = roles[ref(functions[function]["Role"])]
        assert any(
            statement["Action"] == "sqs:SendMessage" and ref(statement["Resource"]) == queue
            for policy in role["Policies"]
            for statement in policy["PolicyDocument"]["Statement"]
        )


def resources_of_source(kind: str) -> list[dict[str, Any]]:
    return [r["Properties"] for r in load_source()["Resources"].values() if r["Type"] == kind]


@pytest.mark.parametrize("function", ["ProcessorFunction", "ImportEndedFunction"])
def test_functions_that_read_files_know_the_version_of_their_layer(function: str) -> None:
    """It is a new resource for each change of the layer, so the version changes without anybody raising it."""
    properties = resources("AWS::Lambda::Function")[function]
    (layer,) = properties["Layers"]
    assert properties["Environment"]["Variables"]["LAYER_VERSION"] == layer
    assert layer["Ref"] in resources("AWS::Lambda::LayerVersion")
    assert layer["Ref"] != "ContactImportsLayer"
