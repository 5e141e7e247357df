"""Which variables and params hold secrets, by what people call them.

In a compound the last word says what a thing is: `API_TOKEN` is a token, `token_count` a count. So the last
word is looked at, without what only tells several of a kind apart (`TOKEN_PROD`, `SECRET_2`). Where that
leaves a doubt, as with the `key` of a dictionary, the value decides.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_CERTAIN = _set("""
    secret secrets password passwords passwd passphrase passcode pwd pswd credential credentials creds
    token apikey webhook dsn jwt cookie
""")
"""Last words that say enough."""

_CERTAIN_ENDINGS = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "apikey",
    "credentials",
    "accesskey",
    "authtoken",
)
"""Of a word that several were written as: `PGPASSWORD`."""

_CERTAIN_PAIRS = {
    "key": _set("""
    api access secret private auth encryption signing ssh license subscription deploy hmac aes fernet
"""),
    "string": _set("connection conn"),
    "str": _set("connection conn"),
    "pass": _set("""
    db database user root admin mysql postgres pg redis smtp mail email ftp http proxy sudo ssh key
"""),
}
"""The same of what often means something else, by the words before."""

_IN_CAPITALS = _set("key pass pat sas auth")
"""Last words that say enough of a variable, which is called after what it opens."""

_DOUBTFUL = _set("key token pass pat sas auth authorization bearer salt otp")

_APART = _set("""
    prod production dev development stage staging test testing live sandbox value string str text json
    base64 b64 hash raw old new current default primary secondary backup rw ro read write eu us local
    remote ci
""")
"""Words behind a secret that tell it from others of its kind."""

_PROPERTIES = _set("""
    count length len min max type kind id ids name file path dir directory size policy ttl expiry
    expires timeout limit enabled required field column col format location provider manager index idx
    url uri endpoint host port user username algorithm alg scheme mode method dim embedding embeddings
    parallelism budget usage rate strategy template
""")
"""Last words of what isn't the secret itself."""

_OF_TEXT = _set("""
    pad padding eos bos unk sep cls mask special start end stop begin image audio video vision prefix
    suffix target source first last per each max min num n null blank next prev previous prompt
    separator oov unknown trigger placeholder class word dist register system user assistant additional
    new total avg mean single two top instance initializer concept extra boi eoi soi sot eot bot
    language lang task query domain
""")
"""Words before `token` that make it a piece of text."""

_OF_DATA = {
    "key": _set("""
    primary sort partition foreign public cache group index row column map dict hash shortcut
"""),
    "pass": _set("""
    low high band single multi first second one two forward backward by all test n num
"""),
}
"""Words before `KEY` and `PASS` that make them something else."""

_SCHEMES = _set("""
    basic bearer digest oauth oauth2 ldap kerberos ntlm saml iam aws sigv4 token password apikey key
    anonymous ssl tls sspi peer md5 trust default
""")
"""Values that say how somebody is known, and not by what."""

_PLAIN = frozenset(["", "true", "false", "yes", "no", "on", "off", "none", "null", "nil", "auto"])

_LONG_NUMBER = 6
"""Digits of a number that may be a password."""

_CHECKSUM = re.compile(r"[0-9a-f]+", re.IGNORECASE)
"""A commit, a digest, the id of a run, a part of a UUID."""

_DIGITS = re.compile(r"\d+")
_PARTS = re.compile(r"[^-_./:\s]+")
_LONG_ENOUGH = 12
"""Characters. What is shorter may well be a name."""


def is_plain(value: str) -> bool:
    """Whether a value is a number, a switch or nothing, which occurs anywhere by chance."""
    if value.strip().lower() in _PLAIN:
        return True
    try:
        float(value)
    except ValueError:
        return False
    return True


def is_secret(name: str, value: str) -> bool:
    """Whether a variable or param of that name and value holds a secret."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or (is_plain(value) and len(value) < _LONG_NUMBER) or _is_path(name, value):
        return False
    if words[-1] in _PROPERTIES:
        return words[-1] in ("url", "uri") and "webhook" in words
    if _says_so(name, words, value):
        return True
    while len(words) > 1 and (words[-1] in _APART or words[-1].isdigit() or words[-1] == "v"):
        words.pop()
    if words[-1] in _PROPERTIES:
        return False
    return _says_so(name, words, value) or (not _DOUBTFUL.isdisjoint(words) and _looks_random(value))


def _says_so(name: str, words: Sequence[str], value: str) -> bool:
    """Whether the name alone is enough, of a value that doesn't speak against it."""
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last == "token":
        # `token` alone is a param of any kind, and `pad_token` is `<pad>`.
        return name.isupper() if not before else before not in _OF_TEXT and value[:1] not in ("<", "[")
    if last in _CERTAIN or last.endswith(_CERTAIN_ENDINGS) or before in _CERTAIN_PAIRS.get(last, ()):
        return name != "PWD"
    if last == "auth" and value.strip().lower() in _SCHEMES:
        return False
    if not name.isupper():
        return False
    if last in _IN_CAPITALS:
        return before != "" and before not in _OF_DATA.get(last, ())
    if last.removesuffix("pass") in _CERTAIN_PAIRS["pass"]:
        return True
    # Of `SECRET_OPENAI`, and not of `SECRET_SANTA=Anna`.
    return not _CERTAIN.isdisjoint(words) and any(char.isdigit() for char in value)


def _is_path(name: str, value: str) -> bool:
    """Whether it is the name of a file with a secret in it, or a working directory."""
    return value.startswith(("/", "~/", "./")) and (name.upper() == "PWD" or os.path.lexists(value))


def _looks_random(value: str) -> bool:
    """Whether letters and digits are mixed as in no name, and it is no checksum and no id."""
    return any(
        len(part) >= _LONG_ENOUGH
        and len(_DIGITS.findall(part)) > 1
        and sum(char.isalpha() for char in part) * 3 >= len(part)
        and not _CHECKSUM.fullmatch(part)
        for part in _PARTS.findall(value)
    )
