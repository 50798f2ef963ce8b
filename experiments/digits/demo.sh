#!/usr/bin/env bash
# Play the digits competition in FOLDER, from the data to a checked submission: demo.sh FOLDER
# Once more, and kagkit finds everything done; after a kill it goes on where it stopped.
set -euo pipefail

sources=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cp "$sources"/*.py "$sources"/*.yaml "$1"
cd "$1"

show() {
    printf '\n$ %s\n' "$*"
    "$@"
}

field() {
    python -c "import json, sys; print(json.load(sys.stdin)$1)"
}

show python make_data.py
show kagkit check
show kagkit run boosting cnn -y
show kagkit compare
best=$(kagkit compare --json | field '["rows"][0]["run"]')
show kagkit package "$best"
submission=$(kagkit package "$best" --json | field '["path"]')
show kagkit check "$submission"
show python score.py "$submission"

experiment=${best%/*}
cat <<END

That was a competition. Look around in $1:
  $(ls -d runs/"$experiment"/*/ | tail -1)
      record.json says what was done, with which data, code and seeds, and how each fold scored;
      the weights, the predictions and the code lie beside it
  $(dirname "$submission")/
      what goes to the host, and provenance.json: where it is from

Go on:
  . .venv/bin/activate && cd $1
  kagkit run cnn             # nothing to do: every task is done
  kagkit run cnn --dry-run   # after a change in cnn.yaml or cnn.py: what is to be done again, and why
  docs/ has the rest
END
