"""What is masked in a text."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from pytest_mlflow_check.core.masking import Secrets

SECRET = "s3cr3t-of-Somebody!"

# Put together here, so that no scanner takes this file for a leak.
CREDENTIALS = {
    "AWS": "AKIA" + "Q3EG" * 4,
    "GitHub": "ghp_" + "a1B2" * 9,
    "GitHub, fine-grained": "github_pat_" + "a1" * 41,
    "GitLab": "glpat-" + "a1B2c" * 4,
    "Hugging Face": "hf_" + "aB" * 17,
    "Slack": "xoxb-" + "1" * 11 + "-" + "2" * 11 + "-" + "aB3" * 8,
    "Slack's webhook": "https://hooks.slack.com/services/" + "T0/" + "B0/" + "aB3d" * 10,
    "OpenAI": "sk-" + "a1B2" * 5 + "T3BlbkFJ" + "a1B2" * 5,
    "Anthropic": "sk-ant-api03-" + "a" * 93 + "AA",
    "Google": "AIza" + "aB3d5" * 7,
    "Databricks": "dapi" + "a1" * 16,
    "Stripe": "sk_live_" + "a1B2" * 6,
    "PyPI": "pypi-AgEIcHlwaS5vcmc" + "aB" * 30,
    "JWT": "eyJhbGciOiJIUzI1NiJ9aa." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "aB3d5" * 4,
    "a private key": "-----BEGIN PRIVATE " + f"KEY-----\n{'aB3d' * 20}\n-----END PRIVATE " + "KEY-----",
    "a password in a URL": "p4ss%2Fword",
}


@pytest.mark.parametrize("credential", CREDENTIALS.values(), ids=CREDENTIALS)
def test_a_credential_is_masked_wherever_it_comes_from(credential: str) -> None:
    text = f"postgresql://me:{credential}@host/db" if "%" in credential else f"logged {credential} as a param"
    masked = Secrets().masked(text)
    assert credential not in masked
    assert "***" in masked
    assert masked.startswith(("postgresql://me:***@host/db", "logged ***"))
    assert Secrets().masked(masked) == masked
    # In a variable with a harmless name it is looked for in other forms, too.
    known = Secrets.among({"CONFIG": text})
    assert base64.b64encode(credential.encode()).decode() not in known.masked(
        base64.b64encode(f"x{credential}".encode()).decode() + base64.b64encode(credential.encode()).decode()
    )


@pytest.mark.parametrize(
    "text",
    [
        "0123456789abcdef0123456789abcdef01234567",
        "0123456789abcdef" * 4,
        "sha256:" + "0123456789abcdef" * 4,
        "8d7f1ba2-1c2d-4e5f-8a9b-0c1d2e3f4a5b",
        "models:/m-0123456789abcdef0123456789abcdef",
        "http://127.0.0.1:5000/#/experiments/1",
        "git+ssh://git@example.org/team/project",
        "sqlite:////tmp/store/mlflow.db",
        "hf_hub_download",
        "sk_learn_pipeline_with_many_steps",
        "dapifier",
        "api-reference-of-the-project",
        "tokenizer=bert-base-uncased max_tokens=1024 author=Anna",
    ],
)
def test_what_looks_like_none(text: str) -> None:
    assert Secrets().masked(text) == text


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        SECRET.upper(),
        SECRET.lower(),
        repr({"a": SECRET}),
        json.dumps(SECRET),
        SECRET.encode().hex(),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        *(base64.b64encode(f"{user}:{SECRET}".encode()).decode() for user in ("a", "me", "you", "user")),
        base64.b64encode(f"{SECRET}\n".encode()).decode(),
    ],
)
@pytest.mark.parametrize("name", ["DB_PASS", "MYSQL_PWD", "HF_AUTH", "SLACK_WEBHOOK_URL"])
def test_a_secret_however_it_is_written(name: str, text: str) -> None:
    masked = Secrets.among({name: SECRET}).masked(f"<{text}>")
    assert "***" in masked
    # Of base64 the characters at both ends depend on their neighbours.
    assert len(masked) <= len("<***>") + 12
    assert not any(text[at : at + 8] in masked for at in range(6, len(text) - 14))


def test_a_short_secret_is_masked_as_a_word() -> None:
    secrets = Secrets.among({"DB_PASS": "hunter2"})
    assert (
        secrets.masked("psql://x?p=hunter2&q hunter2_rows 'hunter2'") == "psql://x?p=***&q hunter2_rows '***'"
    )


@pytest.mark.parametrize("value", ["0", "3", "root", "admin", "true", "test", "abc1"])
def test_a_short_and_plain_value_is_masked_in_no_text(value: str) -> None:
    variables = dict.fromkeys(("USER", "SEED", "CUDA_VISIBLE_DEVICES", "EPOCHS", "DB_PASS", "HOME"), value)
    assert Secrets.among(variables).masked(f"epoch {value}: {value}") == f"epoch {value}: {value}"


def test_a_word_is_not_masked_in_capitals() -> None:
    assert Secrets.among({"DB_PASS": "postgres"}).masked("POSTGRES at postgres") == "POSTGRES at ***"


def test_secrets_among_params_are_found_by_name() -> None:
    secrets = Secrets().including(
        [("db_password", "'correct horse'"), ("epochs", "10"), ("tokenizer", "bert-base-x")]
    )
    assert secrets.masked("correct horse of bert-base-x, 10") == "*** of bert-base-x, 10"


def test_a_file_that_holds_a_short_secret_is_told(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("it is hunter2.")
    assert Secrets.among({"DB_PASS": "hunter2"}).found_in([tmp_path / "log"])


def test_the_ends_of_a_secret_that_was_cut_are_masked() -> None:
    secret = "Tr0ub4dor-and-3-" + "x9" * 30
    secrets = Secrets.among({"DB_PASS": secret})
    cut = f"{secret[:20]}…{secret[-19:]}"
    assert secrets.masked(f'logged "{cut}", then "b"') == 'logged "***…***", then "b"'
    assert secrets.masked(f"{secret[:12]}…") == "***…"
    assert secrets.masked("Tr0ub…x9x9 is … what … remains") == "Tr0ub…x9x9 is … what … remains"
