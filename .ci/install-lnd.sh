#!/usr/bin/env bash
# A real LND for the tests that have one for a peer, built from source where Go is: its modules come from the proxy that `go env GOPROXY` names.
# Prints the path of the program, which stays for the next time outside of the checkout.
set -euo pipefail
version=${LND_VERSION:-v0.20.1-beta}
kept=${XDG_CACHE_HOME:-$HOME/.cache}/fulmen/lnd-$version
[ -x "$kept" ] && "$kept" --version >&2 && echo "$kept" && exit 0
command -v go >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
go mod init lnd-for-tests >&2
go mod edit -require "github.com/lightningnetwork/lnd@$version"
# LND prints bytes as hex by an option that this fork of its protobuf library alone has.
go mod edit -replace google.golang.org/protobuf=github.com/lightninglabs/protobuf-go-hex-display@v1.33.0-hex-display
# Without debug information, which is half of the linker's work. The tag: invoices that are held. Optional parts stay out.
go build -mod=mod -trimpath -ldflags='-s -w' -tags=invoicesrpc \
  -o "$work/built" github.com/lightningnetwork/lnd/cmd/lnd >&2
mkdir -p "$(dirname "$kept")"
mv "$work/built" "$kept"
echo "$kept"
