# SPDX-License-Identifier: Apache-2.0
"""`make pin-images`: resolves each image's tag at its registry and writes the digest behind the tag."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
# A third-party image by tag, with or without a digest. Ours have no registry until you give them one.
REFERENCE = re.compile(
    r"^(?P<before>\s*(?:- )?(?:FROM|image:)\s+)(?P<name>(?!imagier)[\w./-]+):(?P<tag>[\w.-]+)(?:@sha256:[0-9a-f]{64})?",
    re.MULTILINE,
)
# Multi-platform manifests first: the digest of one platform's image would not run on another.
KINDS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
DOCKER_HUB = "registry-1.docker.io"
TIMEOUT_SECONDS = 30


def digest(name: str, tag: str, through: str | None = None) -> str:
    """The current digest (`sha256:…`) of `name:tag`, computed from the manifest itself.

    `through` is the base URL of a registry to use instead of the image's own. Raises `OSError` if it is unavailable, `ValueError`
    if the registry's digest is not the manifest's.
    """
    host, _, path = name.partition("/")
    if "." not in host:  # Docker Hub is the default registry, and `library` its default folder
        host, path = DOCKER_HUB, name if "/" in name else f"library/{name}"
    url = f"{through or f'https://{host}'}/v2/{path}/manifests/{tag}"
    headers = {"Accept": ", ".join(KINDS)}
    try:
        answer = _get(url, headers)
    except urllib.error.HTTPError as refusal:
        if refusal.code != 401:
            raise
        answer = _get(url, {**headers, "Authorization": f"Bearer {_token(refusal.headers['WWW-Authenticate'])}"})
    body, said = answer
    computed = f"sha256:{hashlib.sha256(body).hexdigest()}"
    if said not in {None, computed}:
        raise ValueError(f"{name}:{tag}: the registry says {said}, but the manifest is {computed}")
    return computed


def pin(file: Path, through: str | None = None) -> list[str]:
    """Rewrite the references in `file` and return them. Raises as `digest`, leaving the file unchanged."""
    pinned = []

    def with_digest(found: re.Match[str]) -> str:
        pinned.append(f"{found['name']}:{found['tag']}@{digest(found['name'], found['tag'], through)}")
        return found["before"] + pinned[-1]

    text = file.read_text("utf-8")
    new = REFERENCE.sub(with_digest, text)
    if new != text:
        file.write_text(new, "utf-8")
    return pinned


def _token(challenge: str) -> str:
    """Get an anonymous token from where the registry's refusal points."""
    told = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    query = urllib.parse.urlencode({key: told[key] for key in ("service", "scope") if key in told})
    body, _ = _get(f"{told['realm']}?{query}", {})
    answer = json.loads(body)
    return str(answer.get("token") or answer["access_token"])


def _get(url: str, headers: dict[str, str]) -> tuple[bytes, str | None]:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS) as answer:
        return answer.read(), answer.headers["Docker-Content-Digest"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--through", metavar="URL", help="ask this registry for all images, such as a proxy of yours")
    parser.add_argument("files", nargs="*", type=Path, help="default: the Dockerfile, compose files and manifests here")
    arguments = parser.parse_args()
    everything = [HERE / "Dockerfile", *HERE.glob("compose*.yaml"), *HERE.glob("kubernetes/**/*.yaml")]
    for file in arguments.files or everything:
        try:
            for reference in pin(file, arguments.through):
                print(f"{file.name}: {reference}")
        except (OSError, ValueError, KeyError) as error:
            print(f"{file}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
