export PATH=/tmp/kk/venv/bin:$PATH PYTHONPATH=/tmp/kk/w-door
cd /tmp/kk/w-door/.try; export HOME=$PWD/home
kk() { python -P -c 'from kagkit.cli import main; main()' "$@"; }
export KAGKIT_KAGGLE_ENDPOINT=$(python -c 'import json;print(json.load(open("served.json"))["url"])') KAGGLE_USERNAME=participant KAGGLE_KEY=$(python -c 'import json;print(json.load(open("made.json"))["keys"]["participant"])') KAGKIT_HOST_PACE=0.02
cd toy
