"""Each parameter of the template, on the transformed template, with its default and with another value."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import count, pairwise
from typing import Any

import pytest

from contact_imports.api.cors import CONSOLE_ORIGIN
from contact_imports.aws.event_bus import SOURCE
from local.stack import ROOT
from tests.transformed import deployed, deployed_resources, load, transform

KEY = "arn:aws:kms:us-east-1:111111111111:key/1234abcd-12ab-34cd-56ef-1234567890ab"
WEB_ACL = "arn:aws:wafv2:us-east-1:111111111111:regional/webacl/api/1234abcd"
CERTIFICATE = "arn:aws:acm:us-east-1:111111111111:certificate/1234abcd"
WEBHOOK = {"WebhookUrl": "https://crm.example.com/imports", "WebhookSecret": "s" * 32}
DOMAIN = {"DomainName": "api.example.com", "CertificateArn": CERTIFICATE}
ORIGIN = "https://console.example.com"
WRITERS = "222222222222,arn:aws:iam::333333333333:role/crm"

SETS: dict[str, dict[str, str]] = {
    "defaults": {},
    "x86_64": {"Architecture": "x86_64"},
    "traces": {"Tracing": "true"},
    "log level": {"LogLevel": "DEBUG"},
    "access log": {"AccessLog": "true"},
    "alarm e-mail": {"AlarmEmail": "ops@example.com"},
    "webhook": WEBHOOK,
    "key": {"KmsKeyArn": KEY},
    "writers": {"DropBucketWriters": WRITERS},
    "domain": DOMAIN,
    "base path": {**DOMAIN, "BasePath": "crm"},
    "console": {"ConsoleOrigin": ORIGIN},
    "firewall": {"WebAclArn": WEB_ACL},
}
SETS["all"] = {name: value for one in SETS.values() for name, value in one.items()}


def references(part: Any) -> Iterator[str]:
    """The names that a part of a template refers to."""
    match part:
        case {"Ref": name}:
            yield name
        case {"Fn::GetAtt": [name, _]}:
            yield name
        case {"Fn::Sub": [str(text), dict(local)]}:
            yield from set(references({"Fn::Sub": text})) - local.keys()
            yield from references(local)
        case {"Fn::Sub": str(text)}:
            yield from re.findall(r"\$\{(\w[\w:]*)", text)
        case dict():
            for value in part.values():
                yield from references(value)
        case list():
            for value in part:
                yield from references(value)


def only(kind: str, **parameters: str) -> dict[str, Any]:
    """The properties of the only resource of a type."""
    (properties,) = deployed_resources(kind, **parameters).values()
    return properties


def statements(kind: str, **parameters: str) -> dict[str, dict[str, Any]]:
    """Sid to statement of the policies of a type."""
    return {
        statement["Sid"]: statement
        for properties in deployed_resources(kind, **parameters).values()
        for statement in properties["PolicyDocument"]["Statement"]
    }


@pytest.mark.parametrize("name", SETS)
def test_what_is_deployed_refers_to_what_is_deployed(name: str) -> None:
    template = deployed(**SETS[name])
    there = set(template["Resources"])
    used = set(references(template["Resources"])) | set(references(template["Outputs"]))
    assert {name for name in used - there if not name.startswith("AWS::")} == set()
    assert "Fn::If" not in json.dumps(template["Resources"])
    assert "AWS::NoValue" not in json.dumps(template["Resources"])


@pytest.mark.parametrize("name", SETS)
def test_the_values_of_these_tests_are_allowed(name: str) -> None:
    parameters = load()["Parameters"]
    for parameter, value in SETS[name].items():
        declared = parameters[parameter]
        for one in value.split(",") if declared["Type"] == "CommaDelimitedList" else [value]:
            assert one in declared.get("AllowedValues", [one])
            assert re.fullmatch(declared.get("AllowedPattern", ".*"), one)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("AlarmEmail", "ops"),
        ("WebhookUrl", "http://crm.example.com"),
        ("WebhookSecret", "short"),
        ("KmsKeyArn", "alias/imports"),
        ("DropBucketWriters", "*"),
        ("DomainName", "https://api.example.com"),
        ("CertificateArn", "1234abcd"),
        ("BasePath", "a/b"),
        ("ConsoleOrigin", "https://console.example.com/"),
        ("ConsoleOrigin", "*"),
        ("WebAclArn", "arn:aws:wafv2:us-east-1:111111111111:global/webacl/api/1"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_a_reason(parameter: str, value: str) -> None:
    declared = load()["Parameters"][parameter]
    assert not re.fullmatch(declared["AllowedPattern"], value)
    assert declared["ConstraintDescription"].startswith(parameter)


def test_what_belongs_together_is_given_together() -> None:
    for rule in load()["Rules"].values():
        assert all(
            one["AssertDescription"].endswith(("Secret.", "Arn.", "Name."))
            for one in rule["Assertions"]
        )
    needed = {name: set(references(rule)) for name, rule in load()["Rules"].items()}
    assert needed == {
        "Webhook": {"WebhookUrl", "WebhookSecret"},
        "Domain": {"DomainName", "CertificateArn"},
        "NoDomain": {"DomainName", "BasePath"},
    }


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_functions_and_layer_have_one_architecture(architecture: str) -> None:
    parameters = {} if architecture == "arm64" else {"Architecture": architecture}
    for function in deployed_resources("AWS::Lambda::Function", **parameters).values():
        assert function["Architectures"] == [architecture]
    layer = only("AWS::Lambda::LayerVersion", **parameters)
    assert layer["CompatibleArchitectures"] == [architecture]


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_the_log_level_is_every_functions(level: str) -> None:
    parameters = {} if level == "INFO" else {"LogLevel": level}
    for function in deployed_resources("AWS::Lambda::Function", **parameters).values():
        assert function["Environment"]["Variables"]["POWERTOOLS_LOG_LEVEL"] == level
    # The alarms on logs count messages of this level.
    assert load()["Parameters"]["LogLevel"]["AllowedValues"][-1] == "ERROR"


def test_traces_are_sent_only_if_they_are_asked_for() -> None:
    for parameters, mode in (({}, "PassThrough"), ({"Tracing": "true"}, "Active")):
        functions = deployed_resources("AWS::Lambda::Function", **parameters)
        assert {function["TracingConfig"]["Mode"] for function in functions.values()} == {mode}
        stage = only("AWS::ApiGateway::Stage", **parameters)
        assert stage["TracingEnabled"] is (mode == "Active")
    assert deployed_resources("AWS::IAM::Policy") == {}
    policy = only("AWS::IAM::Policy", Tracing="true")
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    assert roles_of(policy) == roles_of_functions()


def roles_of(policy: dict[str, Any]) -> set[str]:
    return set(references(policy["Roles"]))


def roles_of_functions() -> set[str]:
    functions = deployed_resources("AWS::Lambda::Function").values()
    return {role for function in functions for role in references(function["Role"])}


def test_the_access_log_has_the_requests_id_and_no_key() -> None:
    assert "AccessLogSetting" not in only("AWS::ApiGateway::Stage")
    assert "ApiAccessLogs" not in deployed()["Resources"]
    on = {"AccessLog": "true", "KmsKeyArn": KEY}
    setting = only("AWS::ApiGateway::Stage", **on)["AccessLogSetting"]
    assert setting["DestinationArn"] == {"Fn::GetAtt": ["ApiAccessLogs", "Arn"]}
    log = deployed_resources("AWS::Logs::LogGroup", **on)["ApiAccessLogs"]
    assert log["RetentionInDays"] == 30
    assert log["KmsKeyId"] == KEY
    line = json.loads(setting["Format"])
    assert line["request_id"] == "$context.requestId"
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html:
    # only variables of $context can be logged, and none of these has a header, a query or a body.
    assert set(line.values()) <= {
        "$context.requestId",
        "$context.requestTime",
        "$context.identity.sourceIp",
        "$context.httpMethod",
        "$context.path",
        "$context.status",
        "$context.responseLength",
        "$context.responseLatency",
        "$context.integration.latency",
        "$context.error.responseType",
    }


def test_every_alarm_is_sent_if_there_is_an_address() -> None:
    for alarm in deployed_resources("AWS::CloudWatch::Alarm", **WEBHOOK).values():
        assert not alarm.keys() & {"AlarmActions", "OKActions", "InsufficientDataActions"}
    assert deployed_resources("AWS::SNS::Topic") == {}
    assert deployed_resources("AWS::SNS::TopicPolicy") == {}
    on = {"AlarmEmail": "ops@example.com", **WEBHOOK}
    alarms = deployed_resources("AWS::CloudWatch::Alarm", **on)
    assert len(alarms) > 3
    for alarm in alarms.values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlarmTopic"}]
    topic = only("AWS::SNS::Topic", **on)
    assert topic["Subscription"] == [{"Protocol": "email", "Endpoint": "ops@example.com"}]


def test_only_the_stacks_alarms_may_use_the_topic() -> None:
    policy = statements("AWS::SNS::TopicPolicy", AlarmEmail="ops@example.com")
    assert policy["TlsOnly"]["Effect"] == "Deny"
    allowed = [one for one in policy.values() if one["Effect"] == "Allow"]
    assert [one["Principal"] for one in allowed] == [{"Service": "cloudwatch.amazonaws.com"}]
    condition = allowed[0]["Condition"]
    assert condition["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    (arn,) = condition["ArnLike"].values()
    assert arn["Fn::Sub"].endswith(":alarm:${AWS::StackName}-*")
    # The names that CloudFormation gives begin so.
    assert all(
        "AlarmName" not in one for one in deployed_resources("AWS::CloudWatch::Alarm").values()
    )


def test_everything_that_is_stored_is_encrypted_with_the_key() -> None:
    on = {"KmsKeyArn": KEY, "AlarmEmail": "ops@example.com", "AccessLog": "true", **WEBHOOK}
    off = {name: value for name, value in on.items() if name != "KmsKeyArn"}
    assert KEY not in json.dumps(deployed(**off))
    rule = only("AWS::S3::Bucket", **on)["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == [
        {
            "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY},
            "BucketKeyEnabled": True,
        }
    ]
    for table in deployed_resources("AWS::DynamoDB::Table", **on).values():
        assert table["SSESpecification"] == {
            "SSEEnabled": True,
            "SSEType": "KMS",
            "KMSMasterKeyId": KEY,
        }
    queues = deployed_resources("AWS::SQS::Queue", **on)
    assert "WebhookFailuresQueue" in queues
    for queue in queues.values():
        # SQS takes one of the two.
        assert (queue["SqsManagedSseEnabled"], queue["KmsMasterKeyId"]) == (False, KEY)
    for log in deployed_resources("AWS::Logs::LogGroup", **on).values():
        assert log["KmsKeyId"] == KEY
    assert only("AWS::SNS::Topic", **on)["KmsMasterKeyId"] == KEY


def test_without_a_key_awss_own_keys_encrypt() -> None:
    bucket = only("AWS::S3::Bucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert bucket == [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    for table in deployed_resources("AWS::DynamoDB::Table").values():
        assert table["SSESpecification"] == {"SSEEnabled": True}
    for queue in deployed_resources("AWS::SQS::Queue", **WEBHOOK).values():
        assert queue["SqsManagedSseEnabled"] is True
        assert "KmsMasterKeyId" not in queue
    for log in deployed_resources("AWS::Logs::LogGroup", AccessLog="true").values():
        assert "KmsKeyId" not in log


def test_every_function_may_use_the_key_and_no_other() -> None:
    policy = only("AWS::IAM::Policy", KmsKeyArn=KEY)
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert statement["Resource"] == KEY
    # Each of them reads or writes a table, a queue or the bucket.
    assert roles_of(policy) == roles_of_functions()


def test_the_documented_key_policy_lets_each_service_use_the_key_that_needs_it() -> None:
    policy = json.loads((ROOT / "docs" / "kms-key-policy.json").read_text())
    named = {
        statement["Principal"]["Service"]
        for statement in policy["Statement"]
        if "Service" in statement["Principal"]
    }
    on = {"AlarmEmail": "ops@example.com", **WEBHOOK}
    writers = {
        statement["Principal"]["Service"]
        for kind in ("AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy")
        for statement in statements(kind, **on).values()
        if statement["Effect"] == "Allow"
    }
    # Log groups have no policy; their service writes for the functions.
    assert named == writers | {"logs.REGION.amazonaws.com"}
    for statement in policy["Statement"]:
        if statement["Sid"] != "Account":
            assert "kms:Decrypt" in statement["Action"]
            assert any("kms:GenerateDataKey" in action for action in statement["Action"])


def test_others_may_only_put_files_under_drop() -> None:
    assert "WritersMayDropFiles" not in statements("AWS::S3::BucketPolicy")
    policy = statements("AWS::S3::BucketPolicy", DropBucketWriters=WRITERS)
    allowed = [one for one in policy.values() if one["Effect"] == "Allow"]
    assert len(allowed) == 1
    assert allowed[0]["Principal"] == {"AWS": WRITERS.split(",")}
    assert allowed[0]["Action"] == "s3:PutObject"
    assert allowed[0]["Resource"]["Fn::Sub"].endswith("/drop/*")
    # The objects are the bucket owner's, so that the functions may read them.
    bucket = only("AWS::S3::Bucket", DropBucketWriters=WRITERS)
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}


def test_the_bucket_takes_nothing_older_than_tls_1_2() -> None:
    policy = statements("AWS::S3::BucketPolicy")
    assert policy["TlsOnly"]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert policy["NewTlsOnly"]["Condition"] == {"NumericLessThan": {"s3:TlsVersion": "1.2"}}
    for sid in ("TlsOnly", "NewTlsOnly"):
        assert policy[sid]["Effect"] == "Deny"
        assert policy[sid]["Principal"] == "*"
        assert policy[sid]["Action"] == "s3:*"
        assert [one["Fn::Sub"][-2:] == "/*" for one in policy[sid]["Resource"]] == [False, True]


def test_the_api_has_a_domain_of_its_own_if_there_is_one() -> None:
    assert deployed_resources("AWS::ApiGateway::DomainName") == {}
    assert deployed_resources("AWS::ApiGateway::BasePathMapping") == {}
    assert "DomainTarget" not in deployed()["Outputs"]
    domain = only("AWS::ApiGateway::DomainName", **DOMAIN)
    assert domain["DomainName"] == "api.example.com"
    assert domain["RegionalCertificateArn"] == CERTIFICATE
    assert domain["EndpointConfiguration"] == {"Types": ["REGIONAL"]}
    assert domain["SecurityPolicy"] == "TLS_1_2"
    mapping = only("AWS::ApiGateway::BasePathMapping", **DOMAIN)
    assert "BasePath" not in mapping
    # With the stage, so that it is made before the mapping.
    stages = deployed_resources("AWS::ApiGateway::Stage")
    assert set(references(mapping["Stage"])) == set(stages)
    assert deployed(**DOMAIN)["Outputs"]["DomainTarget"]["Value"] == {
        "Fn::GetAtt": ["ApiDomain", "RegionalDomainName"]
    }


@pytest.mark.parametrize(
    ("parameters", "url", "switched_off"),
    [
        ({}, "execute-api", False),
        (DOMAIN, "https://api.example.com", True),
        ({**DOMAIN, "BasePath": "crm"}, "https://api.example.com/crm", True),
    ],
)
def test_the_api_has_one_address(parameters: dict[str, str], url: str, switched_off: bool) -> None:
    api_url = deployed(**parameters)["Outputs"]["ApiUrl"]["Value"]
    assert url in api_url["Fn::Sub"] if url == "execute-api" else api_url == url
    (server,) = only("AWS::ApiGateway::RestApi", **parameters)["Body"]["servers"]
    settings = server["x-amazon-apigateway-endpoint-configuration"]
    # The address at execute-api accepts TLS 1.0:
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-custom-domain-tls-version.html
    assert settings == {"disableExecuteApiEndpoint": switched_off}


def test_a_base_path_is_the_mappings() -> None:
    assert only("AWS::ApiGateway::BasePathMapping", **SETS["base path"])["BasePath"] == "crm"


def test_every_deployment_takes_the_api_as_the_parameters_make_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # https://github.com/aws/serverless-application-model/blob/develop/docs/internals/generated_resources.rst:
    # the id of a deployment is a hash of the template's text, and the text does not have the values of parameters. With
    # AlwaysDeploy, it is a hash of the second.
    seconds = count(1_000)
    monkeypatch.setattr("samtranslator.model.apigateway.time.time", lambda: next(seconds))
    ids = {
        name
        for template in (transform(), transform())
        for name, one in template["Resources"].items()
        if one["Type"] == "AWS::ApiGateway::Deployment"
    }
    assert len(ids) == 2


def test_a_browser_may_call_from_the_console_alone() -> None:
    assert "CorsConfiguration" not in only("AWS::S3::Bucket")
    assert "Access-Control" not in json.dumps(only("AWS::ApiGateway::RestApi"))
    on = {"ConsoleOrigin": ORIGIN}
    responses = only("AWS::ApiGateway::RestApi", **on)["Body"][
        "x-amazon-apigateway-gateway-responses"
    ]
    for response in responses.values():
        header = response["responseParameters"][
            "gatewayresponse.header.Access-Control-Allow-Origin"
        ]
        assert header == f"'{ORIGIN}'"
    functions = deployed_resources("AWS::Lambda::Function", **on)
    variables = {
        name: function["Environment"]["Variables"].get(CONSOLE_ORIGIN)
        for name, function in functions.items()
    }
    assert variables == {**dict.fromkeys(functions), "ApiFunction": ORIGIN}
    upload, download = only("AWS::S3::Bucket", **on)["CorsConfiguration"]["CorsRules"]
    assert (upload["AllowedOrigins"], upload["AllowedMethods"]) == ([ORIGIN], ["POST"])
    assert (download["AllowedOrigins"], download["AllowedMethods"]) == (["*"], ["GET"])


def test_a_firewall_is_the_stages() -> None:
    assert deployed_resources("AWS::WAFv2::WebACLAssociation") == {}
    association = only("AWS::WAFv2::WebACLAssociation", WebAclArn=WEB_ACL)
    assert association["WebACLArn"] == WEB_ACL
    stages = set(deployed_resources("AWS::ApiGateway::Stage"))
    assert stages <= set(references(association["ResourceArn"]))


def test_a_webhook_gets_the_ends_of_imports_with_the_secret() -> None:
    for kind in ("AWS::Events::Connection", "AWS::Events::ApiDestination"):
        assert deployed_resources(kind) == {}
    assert "WebhookRole" not in deployed_resources("AWS::IAM::Role")
    connection = only("AWS::Events::Connection", **WEBHOOK)
    assert connection["AuthorizationType"] == "API_KEY"
    assert connection["AuthParameters"]["ApiKeyAuthParameters"] == {
        "ApiKeyName": "X-Webhook-Key",
        "ApiKeyValue": WEBHOOK["WebhookSecret"],
    }
    assert load()["Parameters"]["WebhookSecret"]["NoEcho"] is True
    destination = only("AWS::Events::ApiDestination", **WEBHOOK)
    assert destination["InvocationEndpoint"] == WEBHOOK["WebhookUrl"]
    assert destination["HttpMethod"] == "POST"
    assert set(references(destination["ConnectionArn"])) == {"WebhookConnection"}
    # No other resource has the secret.
    template = deployed(**WEBHOOK)
    holders = [
        name
        for name, one in template["Resources"].items()
        if WEBHOOK["WebhookSecret"] in json.dumps(one)
    ]
    assert holders == ["WebhookConnection"]


def test_the_webhooks_rule_tries_for_a_day_and_keeps_what_failed() -> None:
    rules = deployed_resources("AWS::Events::Rule", **WEBHOOK)
    rule = rules["WebhookRule"]
    assert rule["EventPattern"]["source"] == [SOURCE]
    # Stacks of an account share the bus.
    assert rule["EventPattern"]["resources"] == [{"Fn::Sub": "stack/${AWS::StackName}"}]
    reporter = deployed_resources("AWS::Lambda::Function")["ImportEndedFunction"]
    assert reporter["Environment"]["Variables"]["STACK_NAME"] == {"Ref": "AWS::StackName"}
    (target,) = rule["Targets"]
    assert set(references(target["Arn"])) == {"WebhookDestination"}
    assert set(references(target["RoleArn"])) == {"WebhookRole"}
    assert target["RetryPolicy"] == {
        "MaximumEventAgeInSeconds": 86400,
        "MaximumRetryAttempts": 185,
    }
    assert set(references(target["DeadLetterConfig"])) == {"WebhookFailuresQueue"}
    policy = statements("AWS::SQS::QueuePolicy", **WEBHOOK)["RuleMaySend"]
    assert policy["Principal"] == {"Service": "events.amazonaws.com"}
    assert policy["Condition"] == {
        "ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["WebhookRule", "Arn"]}}
    }


def test_the_webhooks_role_may_only_call_the_webhook() -> None:
    role = deployed_resources("AWS::IAM::Role", **WEBHOOK)["WebhookRole"]
    (policy,) = role["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == "events:InvokeApiDestination"
    assert statement["Resource"] == {"Fn::GetAtt": ["WebhookDestination", "Arn"]}
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "events.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_the_sets_of_these_tests_have_every_optional_parameter() -> None:
    optional = {
        name
        for name, parameter in load()["Parameters"].items()
        if parameter["Default"] in ("", "none", "false")
    }
    assert optional <= SETS["all"].keys()
    assert all(first != second for first, second in pairwise(SETS.values()))
