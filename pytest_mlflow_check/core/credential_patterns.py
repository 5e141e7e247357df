r"""Texts that are credentials by their look, whatever variable or param they come from.

The patterns are those of gitleaks (`config/gitleaks.toml`, state of July 2026) that name the prefix of a kind
of credential, so that no checksum, commit or id of a run is taken for one. They are written for Python: the
flag `(?i)` stands where it ends too, what may follow is left out, and `\z` is `\Z`. No library does this well
today: detect-secrets has had no release since May 2024, it and its forks import `requests` to look at a text,
and others are native extensions of 16 MB.

The patterns of gitleaks are published under the MIT license:

    Copyright (c) 2019 Zachary Rice

    Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
    associated documentation files (the "Software"), to deal in the Software without restriction, including
    without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
    copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the
    following conditions:

    The above copyright notice and this permission notice shall be included in all copies or substantial
    portions of the Software.

    THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT
    LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN
    NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY,
    WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE
    SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_SHORTEST = 16
"""Characters. No pattern matches a text that is shorter."""

_BY_KEYWORD: dict[str, str] = {
    "-----begin": (
        r"(?i:-----BEGIN[ A-Z0-9_-]{0,100}PRIVATE KEY(?: BLOCK)?-----[\s\S-]{64,}?KEY(?: BLOCK)?-----)"
    ),
    "://": r"://[^/?#\s:@'\"]*:([^/?#\s'\"]+)@",
    "_gitlab_session=": r"_gitlab_session=[0-9a-z]{32}",
    "a3t": r"\bA3T[A-Z0-9][A-Z2-7]{16}\b",
    "abia": r"\bABIA[A-Z2-7]{16}\b",
    "absk": r"\bABSK[A-Za-z0-9+/]{109,269}={0,2}",
    "acca": r"\bACCA[A-Z2-7]{16}\b",
    "age-secret-key-1": r"AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}",
    "aiza": r"\bAIza[\w-]{35}",
    "akcp": r"\bAKCp[A-Za-z0-9]{69}\b",
    "akia": r"\bAKIA[A-Z2-7]{16}\b",
    "api-": r"\bAPI-[A-Z0-9]{26}\b",
    "api_org_": r"\bapi_org_[A-Za-z]{34}",
    "asia": r"\bASIA[A-Z2-7]{16}\b",
    "atlasv1": r"(?i:[a-z0-9]{14})\.atlasv1\.(?i:[a-z0-9\-_=]{60,70})",
    "bedrock-api-key-": r"bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29t[\w+/=-]*",
    "clojars_": r"(?i:CLOJARS_[a-z0-9]{60})",
    "dapi": r"\bdapi[a-f0-9]{32}(?:-\d)?",
    "doo_v1_": r"\bdoo_v1_[a-f0-9]{64}",
    "dop_v1_": r"\bdop_v1_[a-f0-9]{64}",
    "dor_v1_": r"(?i:\bdor_v1_[a-f0-9]{64})",
    "dp.pt.": r"dp\.pt\.(?i:[a-z0-9]{43})",
    "dt0c01.": r"dt0c01\.(?i:[a-z0-9]{24}\.[a-z0-9]{64})",
    "ey": r"\bey[a-zA-Z0-9]{17,}\.ey[a-zA-Z0-9\/\\_-]{17,}\.(?:[a-zA-Z0-9\/\\_-]{10,}={0,2})?",
    "eyjrijoi": r"(?i:\beyJrIjoi[A-Za-z0-9]{70,400}={0,3})",
    "ezak": r"\bEZAK(?i:[a-z0-9]{54})\b",
    "eztk": r"\bEZTK(?i:[a-z0-9]{54})\b",
    "fio-u-": r"fio-u-(?i:[a-z0-9\-_=]{64})",
    "flwseck_test": r"FLWSECK_TEST-(?i:[a-h0-9]{32}-X|[a-h0-9]{12})",
    "fm1": r"\bfm1[ar]_[a-zA-Z0-9+\/]{100,}={0,3}",
    "fm2_": r"\bfm2_[a-zA-Z0-9+\/]{100,}={0,3}",
    "fo1_": r"\bfo1_[\w-]{43}",
    "ghu_": r"ghu_[0-9a-zA-Z]{36}",
    "ghs_": r"ghs_[0-9a-zA-Z]{36}",
    "github_pat_": r"github_pat_\w{82}",
    "gho_": r"gho_[0-9a-zA-Z]{36}",
    "ghp_": r"ghp_[0-9a-zA-Z]{36}",
    "ghr_": r"ghr_[0-9a-zA-Z]{36}",
    "glagent-": r"glagent-[0-9a-zA-Z_\-]{50}",
    "glc_": r"(?i:\bglc_[A-Za-z0-9+/]{32,400}={0,3})",
    "glcbt-": r"glcbt-[0-9a-zA-Z]{1,5}_[0-9a-zA-Z_-]{20}",
    "gldt-": r"gldt-[0-9a-zA-Z_\-]{20}",
    "glffct-": r"glffct-[0-9a-zA-Z_\-]{20}",
    "glft-": r"glft-[0-9a-zA-Z_\-]{20}",
    "glimt-": r"glimt-[0-9a-zA-Z_\-]{25}",
    "gloas-": r"gloas-[0-9a-zA-Z_\-]{64}",
    "glpat-": r"glpat-(?:[0-9a-zA-Z_-]{27,300}\.[0-9a-z]{9}\b|[\w-]{20})",
    "glptt-": r"glptt-[0-9a-f]{40}",
    "glrt-": r"glrt-(?:t\d_[0-9a-zA-Z_\-]{27,300}\.[0-9a-z]{9}\b|[0-9a-zA-Z_\-]{20})",
    "glsa_": r"(?i:\bglsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8})",
    "glsoat-": r"glsoat-[0-9a-zA-Z_\-]{20}",
    "gr1348941": r"GR1348941[\w-]{20}",
    "hf_": r"\bhf_[A-Za-z]{34}\b",
    "hooks.slack.com": r"(?:https?://)?hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{43,56}",
    "hvb.": r"\bhvb\.[\w-]{138,300}",
    "hvs.": r"\bhvs\.[\w-]{90,120}",
    "ico-": r"\bico-[a-zA-Z0-9]{32}",
    "lin_api_": r"lin_api_(?i:[a-z0-9]{40})",
    "npm_": r"(?i:\bnpm_[a-z0-9]{36})\b",
    "ntn_": r"\bntn_[0-9]{11}[A-Za-z0-9]{35}",
    "ops_": r"ops_eyJ[a-zA-Z0-9+/]{250,}={0,3}",
    "p8e-": r"\bp8e-(?i:[a-z0-9]{32})",
    "pmak-": r"\bPMAK-(?i:[a-f0-9]{24}\-[a-f0-9]{34})",
    "pnu_": r"\bpnu_[a-zA-Z0-9]{36}",
    "pplx-": r"\bpplx-[a-zA-Z0-9]{48}",
    "pscale_oauth_": r"\bpscale_oauth_[\w=\.-]{32,64}",
    "pscale_pw_": r"(?i:\bpscale_pw_[\w=\.-]{32,64})",
    "pscale_tkn_": r"\bpscale_tkn_(?i:[\w=\.-]{32,64})",
    "pul-": r"\bpul-[a-f0-9]{40}\b",
    "pypi-ageichlwas5vcmc": r"pypi-AgEIcHlwaS5vcmc[\w-]{50,1000}",
    "q~": r"(?<![\w~.-])[a-zA-Z0-9_~.]{3}\dQ~[a-zA-Z0-9_~.-]{31,34}(?![\w~.-])",
    "rdme_": r"\brdme_[a-z0-9]{70}",
    "rubygems_": r"\brubygems_[a-f0-9]{48}",
    "sg.": r"\bSG\.(?i:[a-z0-9=_\-\.]{66})",
    "sgp_": r"\bsgp_(?:(?:[a-fA-F0-9]{16}|local)_)?[a-fA-F0-9]{40}\b",
    "sha256~": r"\bsha256~[\w-]{43}(?![\w-])",
    "shippo_": r"\bshippo_(?:live|test)_[a-fA-F0-9]{40}",
    "shpat_": r"shpat_[a-fA-F0-9]{32}",
    "shpca_": r"shpca_[a-fA-F0-9]{32}",
    "shppa_": r"shppa_[a-fA-F0-9]{32}",
    "shpss_": r"shpss_[a-fA-F0-9]{32}",
    "sk-ant-": r"\bsk-ant-(?:api03|admin01)-[a-zA-Z0-9_\-]{93}AA",
    "sk_": r"\bsk_(?:test|live|prod)_[a-zA-Z0-9]{10,99}",
    "rk_": r"\brk_(?:test|live|prod)_[a-zA-Z0-9]{10,99}",
    "sntryu_": r"\bsntryu_[a-f0-9]{64}",
    "sq0atp-": r"\bsq0atp-[\w-]{22,60}",
    "t3blbkfj": (
        r"\bsk-(?:(?:proj|svcacct|admin)-(?:[\w-]{74}|[\w-]{58})T3BlbkFJ(?:[\w-]{74}|[\w-]{58})\b"
        r"|[a-zA-Z0-9]{20}T3BlbkFJ[a-zA-Z0-9]{20})"
    ),
    "tk-us-": r"\btk-us-[\w-]{48}",
    "webhook.office.com": r"https://[a-z0-9]+\.webhook\.office\.com/webhookb2/[\w@/-]{100,}",
    "xapp": r"(?i:xapp-\d-[A-Z0-9]+-\d+-[a-z0-9]+)",
    "xkeysib-": r"\bxkeysib-[a-f0-9]{64}\-(?i:[a-z0-9]{16})",
    "xox": (
        r"(?i:xoxe\.xox[bp]-\d-[A-Z0-9]{163,166}|xoxe-\d-[A-Z0-9]{146}|xoxb-[0-9]{8,14}-[a-z0-9-]{18,}"
        r"|xox[os]-\d+-\d+-\d+-[a-f\d]+|xox[ar]-(?:\d-)?[0-9a-z]{8,48}|xox[pe](?:-[0-9]{10,13}){3}-[a-z0-9-]{28,34})"
    ),
}
"""What each pattern needs in a text, in lower case, and the pattern: most texts hold none. `://` is ours: it
finds the password in a URL. Where a pattern has a group, that is the credential."""

_PATTERNS = {keyword: re.compile(pattern) for keyword, pattern in _BY_KEYWORD.items()}


def credentials_in(text: str) -> Iterator[str]:
    """The parts of a text that look like credentials."""
    for pattern in _needed(text):
        yield from (found[pattern.groups] for found in pattern.finditer(text))


def without_credentials(text: str, mask: str) -> str:
    """The text with a mask in place of each part that looks like a credential."""
    for pattern in _needed(text):
        text = pattern.sub(lambda found: found[0].replace(found[found.re.groups], mask), text)
    return text


def _needed(text: str) -> list[re.Pattern[str]]:
    if len(text) < _SHORTEST:
        return []
    lower = text.lower()
    return [pattern for keyword, pattern in _PATTERNS.items() if keyword in lower]
