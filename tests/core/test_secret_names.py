"""Which names say that a value is secret."""

from __future__ import annotations

import pytest

from pytest_mlflow_check.core.secret_names import is_secret

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    "name",
    [
        "DB_PASS",
        "MYSQL_PWD",
        "HF_AUTH",
        "SLACK_WEBHOOK_URL",
        "TOKEN",
        "TOKEN_PROD",
        "SECRET_2",
        "API_KEY_V2",
        "PGPASSWORD",
        "SSHPASS",
        "REDIS_AUTH",
        "FOO_KEY",
        "SECRET_OPENAI",
        "PASSWORD_DB",
        "DB_PASSWORD_PROD",
        "SECRET_KEY_BASE",
        "STORAGE_SAS",
        "AZURE_STORAGE_CONNECTION_STRING",
        "GITHUB_PAT",
        "SENTRY_DSN",
        "AWS_SECRET_ACCESS_KEY",
        "DISCORD_WEBHOOK",
        "OPENAI_API_KEY_2",
        "db_pass",
        "db_password",
        "password",
        "dbPassword",
        "apiKey",
        "hf_token",
        "cfg_api_key",
        "model.api_key",
        "client-secret",
        "smtp/password",
        "credentials",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name, "hunter2")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("token_count", "512"),
        ("max_tokens", "1024"),
        ("num_tokens", "many2"),
        ("tokenizer", "bert-base-uncased"),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("pad_token", "<pad>"),
        ("eos_token", "</s>"),
        ("think_token", "<think>"),
        ("token", "word"),
        ("token_type", "bearer1"),
        ("key", "image"),
        ("key", SHA),
        ("label_key", "target_1"),
        ("cache_key", SHA * 2),
        ("PRIMARY_KEY", "customer_1d"),
        ("author", "Anna Maria 2"),
        ("pass_through", "yes1"),
        ("bypass", "gate2"),
        ("compass", "north1"),
        ("low_pass", "0.5Hz"),
        ("password_length", "12x"),
        ("password_policy", "strict1"),
        ("secret_santa", "Anna2"),
        ("SECRET_SANTA", "Anna"),
        ("auth", "basic"),
        ("api_auth", "oauth2"),
        ("use_auth_token", "True"),
        ("file_pat", "data-2024*.csv"),
        ("api_key_name", "main1"),
        ("secret_path", "prod/db1"),
        ("webhook_timeout", "30s"),
        ("git_sha", SHA),
        ("run_id", SHA[:32]),
        ("checksum", f"sha256:{SHA[:32]}{SHA[:32]}"),
        ("uuid", "8d7f1ba2-1c2d-4e5f-8a9b-0c1d2e3f4a5b"),
        ("token", "8d7f1ba2-1c2d-4e5f-8a9b-0c1d2e3f4a5b"),
        ("PWD", "/gone/data1"),
        ("KEYBOARD", "qwerty12"),
        ("password", "None"),
        ("password", ""),
        ("password", "123"),
        ("", "hunter2"),
    ],
)
def test_names_and_values_of_none(name: str, value: str) -> None:
    assert not is_secret(name, value)


@pytest.mark.parametrize("name", ["key", "token", "mixed_key", "some_pass", "authorization"])
def test_a_doubtful_name_needs_a_random_value(name: str) -> None:
    assert is_secret(name, "Zk9wQ2x7LmT4vBn1")
    assert not is_secret(name, "resnet50")


def test_a_number_may_be_a_password() -> None:
    assert is_secret("DB_PASS", "19870412")
    assert not is_secret("token_count", "19870412")
