#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# examples/find_text.sh WORD FOLDER [HOST:PORT]: prints the pictures in which a word is written, each with the lines that it stands in.
set -eu
[ $# -ge 2 ] || { echo "usage: $0 WORD FOLDER [HOST:PORT]" >&2; exit 2; }
word=$1 folder=$2 server=${3:-127.0.0.1:8500}
imagier annotate "$folder" --tasks ocr --server "$server" |
    awk -v word="$word" '
        /^[^ ]/ { picture = $0 "\n" }
        /^  text/ && index(tolower($0), tolower(word)) { print picture $0; picture = "" }'
