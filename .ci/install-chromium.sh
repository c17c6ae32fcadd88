#!/usr/bin/env bash
# A Chromium for the tests in a browser, from Debian's packages; needs root where it is not installed. Prints the path of its program.
set -euo pipefail
command -v chromium && exit 0
apt-get update -q >&2
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium >&2
command -v chromium
