#!/usr/bin/env bash
# Compare the GPU with NumPy and measure the speed on a machine with an NVIDIA card. Takes about 8 minutes:
#
#     benchmarks/gpu.sh TEXT VECTORS [WHEELS]
#
# TEXT is raw text (.jsonl, .gz), VECTORS a folder of spaCy vectors for the whole command. CuPy must be installed.
# Without a network, WHEELS is a folder with the wheels that the extra `test` needs, downloaded elsewhere with
#     pip download -d WHEELS --only-binary=:all: --python-version 3.12 'spacy>=3.8.13,<3.9' 'pytest>=7.4' 'hypothesis>=6.80'
# Results are appended to gpu.jsonl and whole_command.jsonl in benchmarks/results. The table comes last.
set -euo pipefail
text=$(realpath "$1")
vectors=$(realpath "$2")
wheels=${3:+$(realpath "$3")}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}

if [[ -n $wheels ]]; then
    "$python" -m pip install --quiet --no-index --find-links "$wheels" --target "$wheels/site" \
        spacy pytest hypothesis
    export PYTHONPATH="$wheels/site${PYTHONPATH:+:$PYTHONPATH}"
    "$python" -m pip install --quiet --no-index --no-deps --no-build-isolation --target "$wheels/site" .
fi
"$python" -c '
from thinc.util import has_cupy_gpu
if not has_cupy_gpu:
    raise SystemExit("Expected CuPy and a GPU that it can use. `python -m spacy charlm doctor` says what is missing.")'
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader

echo "Parity with NumPy"
"$python" -m pytest -q -k "cupy or device or kernels or gpu" tests/layers tests/objectives tests/training/test_devices.py
echo "Whole commands, from raw text to weights"
"$python" benchmarks/whole_command.py --text "$text" --vectors "$vectors" --texts 5000 --turns 3 --gpu-id 0
echo "Parts, in turn"
"$python" benchmarks/compare.py "$text" --gpu-id 0 --pairs 7 --batches 10 --output benchmarks/results/gpu.jsonl
