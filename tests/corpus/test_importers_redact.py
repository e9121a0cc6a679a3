"""Redaction protects: nothing that opens a door, and nobody's address, reaches an example."""

from __future__ import annotations

import pytest

from flowstudy.corpus.importers.redact import Redactor, is_secret_name

SECRETS = [
    (
        "https://prod-1.logic.azure.com/workflows/x/triggers/manual/paths/invoke?sp=%2F&sv=1.0&sig=q8aBcDeFgHiJ",
        "q8aBcDeFgHiJ",
    ),
    ("https://fn.azurewebsites.net/api/run?code=Zx81234567==&x=1", "Zx81234567"),
    ("https://hooks.slack.com/services/T0001/B0002/abcdefgh", "abcdefgh"),
    ("https://tenant.webhook.office.com/webhookb2/0a1b@2c3d/IncomingWebhook/77aa/88bb", "77aa"),
    ("https://discord.com/api/webhooks/12345/tok_en-abcdefgh", "tok_en-abcdefgh"),
    ("DefaultEndpointsProtocol=https;AccountName=a;AccountKey=abcd1234EFGH==;EndpointSuffix=x", "abcd1234EFGH"),
    ("Server=db;User Id=sa;Password=hunter22;", "hunter22"),
    ("Endpoint=sb://x/;SharedAccessKeyName=n;SharedAccessKey=s3cr3tvalue=", "s3cr3tvalue"),
    ("Authorization: Bearer abcdef123456.ghi", "abcdef123456"),
    ("Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA"),
    ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "eyJhbGciOiJIUzI1NiJ9"),
    ("https://user:pa55word@host/x", "pa55word"),
    ('{"client_secret": "AbC~123.xyz"}', "AbC~123.xyz"),
    ('{\\"password\\": \\"hunter2!\\"}', "hunter2"),
    ("grant_type=x&client_secret=verysecret&scope=y", "verysecret"),
    ("key ghp_abcdefghijklmnopqrstuvwxyz0123456789", "ghp_abcdefghij"),
    ("AKIAABCDEFGHIJKLMNOP", "AKIAABCDEFGH"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----", "MIIabc"),
    ("https://api.telegram.org/bot123456:AAabcdefghij/sendMessage", "AAabcdefghij"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS, ids=[secret for _, secret in SECRETS])
def test_a_secret_is_masked_and_counted_wherever_it_stands(text, secret):
    redactor = Redactor()
    assert secret not in redactor.text(text)
    assert redactor.count >= 1
    assert secret not in str(Redactor().value({"a": [{"b": text}]}))


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "adminPassword",
        "client_secret",
        "x-api-key",
        "headers.Authorization",
        "accessToken",
        "connectionString",
        "Ocp-Apim-Subscription-Key",
        "authentication.password",
    ],
)
def test_a_value_with_a_secret_name_is_masked(name):
    name = name.removeprefix("headers.")
    redactor = Redactor()
    assert redactor.value({name: "plainvalue"}) == {name: "[redacted]"}
    assert redactor.value([{"name": name, "value": "plainvalue"}]) == [{"name": name, "value": "[redacted]"}]
    assert redactor.count == 2


@pytest.mark.parametrize(
    "name", ["keyword", "max_tokens", "key_name", "secretName", "monkey", "passed", "nextPageToken"]
)
def test_names_that_only_sound_secret_are_kept(name):
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "value", ["@parameters('key')", "={{ $json.token }}", "{{step.1.token}}", "[parameters('pw')]", "@{variables('t')}"]
)
def test_references_are_no_secrets(value):
    redactor = Redactor()
    assert redactor.value({"password": value}) == {"password": value}
    assert redactor.text(f"https://x/?code={value.strip('=')}&sig={value.strip('=')}").count("[redacted]") == 0
    assert redactor.count == 0


@pytest.mark.parametrize("name", ["key", "primaryKey", "sortToken", "signature"])
def test_a_name_that_may_be_a_key_or_a_column_is_masked_where_its_value_looks_like_no_word(name):
    for value in (
        "order_id",
        "department",
        "P1",
        "open-tickets",
        "Kind regards, the service desk",
        "customerReference",
    ):
        assert Redactor().value({name: value}) == {name: value}
    for value in ("q8aBcDeFgHiJ", "3f9a8b7c6d5e4f3a", "123456:AAabc", "QwErTyUiOpAsDf"):
        assert Redactor().value({name: value}) == {name: "[redacted]"}


@pytest.mark.parametrize(
    "text",
    [
        "Reset the password: the user must change it. Tokens expire, the key idea is to sign in again.",
        "Basic Onboarding Workflow: a basic introduction, basic information, and ask the bearer certificate office",
        "https://shop.example.com/list?code=AT&key=department",
    ],
)
def test_words_of_prose_are_kept(text):
    redactor = Redactor()
    assert redactor.text(text) == text and redactor.count == 0


def test_a_person_is_the_same_stand_in_everywhere():
    redactor = Redactor()
    first = redactor.text("Ask Ann.Lee@corp.example-firm.com and bob@firm.de")
    assert first == "Ask user1@example.com and user2@example.com"
    assert redactor.value({"to": "ann.lee@corp.example-firm.com"}) == {"to": "user1@example.com"}
    assert (
        redactor.text("bob@contoso.com x@example.org manager@odata.bind")
        == "bob@contoso.com x@example.org manager@odata.bind"
    )


def test_half_characters_are_replaced():
    assert Redactor().text("a\ud800b") == "a?b"
