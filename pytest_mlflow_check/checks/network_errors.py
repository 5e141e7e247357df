"""Launches that failed for want of a network, or of a server that should be there."""

from __future__ import annotations

import re

from pytest_mlflow_check.checks.crash import Crash, Known

_NO_NAME = re.compile(
    r"Name or service not known|Temporary failure in name resolution|nodename nor servname provided|"
    r"No address associated with hostname|NameResolutionError|Failed to resolve|Could not resolve host"
)
_REFUSED = re.compile(r"Connection refused|Errno 111\b|Errno 61\b|WinError 10061")
_UNREACHABLE = re.compile(
    r"Network is unreachable|No route to host|Max retries exceeded with url|[Cc]onnection timed out|"
    r"ConnectTimeout|Could not connect to the endpoint URL|We couldn't connect to|Cannot connect to host|"
    r"Can't connect to|"
    r"could not connect to server|Failed to establish a new connection|outgoing traffic has been disabled|"
    r"LocalEntryNotFoundError|ProxyError|Remote end closed connection|Connection reset by peer"
)
_HOST = re.compile(
    r"host='(?P<pool>[\w.:-]{1,255})', port=(?P<port>\d{1,5})"
    r"|https?://(?:[^/\s@'\"]*@)?(?P<url>[\w.-]{1,255}(?::\d{1,5})?)"
    r"|[Hh]ost:? (?:name )?['\"]?(?P<named>[\w.-]+\.[\w.-]+(?::\d{1,5})?)"
    r"|server at ['\"](?P<server>[\w.-]{1,255})['\"]"
    r"|resolve '(?P<resolved>[\w.-]{1,255})'"
)
_ERROR = re.compile(r"(?:\w+\.)*\w*(?:Error|Exception|Timeout|Refused|error|timeout|Exit)\b|\[Errno|curl: \(")


def network_error(crash: Crash, message: str) -> Known | None:
    """What is known of a host that wasn't reached."""
    first = message.partition("\n\n")[0]
    if not _ERROR.match(first.strip()) and message is not crash.output:
        return None
    refused, no_name = _REFUSED.search(first), _NO_NAME.search(first)
    if not (refused or no_name or _UNREACHABLE.search(first)):
        return None
    # Where the message names no host, the code that is shown above it may.
    host = next(
        (found for text in (first, *crash.messages, crash.death.text) if (found := _host(text))), None
    )
    named = host or "a host"
    if refused:
        return Known(
            f"{named} refused the connection: nothing listens there.",
            f"start what listens on {named} before pytest"
            if host
            else "start the server that it needs before pytest",
            crash.source_line,
        )
    why = f"{named} has no address here" if no_name else f"{named} couldn't be reached"
    return Known(
        f"{why}: the launch has the network of the machine that pytest runs on, and no other.",
        "let pytest run where that host is reached, or give the case data that needs no network:  [[case]]  "
        'params = { data = "tests/data/small.csv" }',
        crash.source_line,
    )


def _host(text: str) -> str | None:
    found = _HOST.search(text)
    if not found:
        return None
    if found["pool"]:
        return f"{found['pool']}:{found['port']}"
    return next(
        value for value in (found["url"], found["named"], found["server"], found["resolved"]) if value
    )
