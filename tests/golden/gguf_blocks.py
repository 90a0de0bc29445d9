"""Blocks of every GGUF format that we read, random and at the edges, with the float32 values gguf-py makes of them.

    pip install gguf==0.19.0 numpy==2.4.6
    python tests/golden/gguf_blocks.py > tests/golden/gguf-blocks.json

All byte strings are base64; values are little-endian float32.
"""

import base64
import json
import sys

import numpy as np
from gguf import GGMLQuantizationType
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize
from importlib.metadata import version

# Places of the float16 scales in a block.
SCALES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "F16": [], "BF16": [], "F32": [],
}
# Zero, minus zero, the smallest subnormal, the smallest normal, the largest, one, two thirds.
EDGE_SCALES = [0x0000, 0x8000, 0x0001, 0x0400, 0x7BFF, 0xFBFF, 0x3C00, 0x3955]
# One and a half, infinities, NaN, subnormal, largest.
EDGE_HALVES = {"F16": [0x3E00, 0x7C00, 0xFC00, 0x7E00, 0x0001, 0x7BFF], "BF16": [0x3FC0, 0x7F80, 0xFF80, 0x7FC0, 0x0001, 0x7F7F]}


def blocks_of(name: str, rng: np.random.Generator) -> np.ndarray:
    block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType[name]][1]
    if name == "F32":
        return rng.standard_normal(64).astype(np.float32).view(np.uint8)
    if name in EDGE_HALVES:
        finite = rng.integers(0, 0x7C00, 58) | (rng.integers(0, 2, 58) << 15)
        return np.concatenate([np.array(EDGE_HALVES[name]), finite]).astype(np.uint16).view(np.uint8)
    fills = [rng.integers(0, 256, block_bytes, dtype=np.uint8) for _ in range(8)]
    fills += [np.zeros(block_bytes, np.uint8), np.full(block_bytes, 255, np.uint8)]
    blocks = []
    for i, fill in enumerate(fills + fills[:6]):
        block = fill.copy()
        for at in SCALES[name]:
            half = EDGE_SCALES[(i + at) % 8] if i >= 8 else int(rng.integers(0x1000, 0x5000)) | int(rng.integers(0, 2)) << 15
            block[at : at + 2] = np.array([half], np.uint16).view(np.uint8)
        blocks.append(block)
    return np.concatenate(blocks)


def main() -> None:
    rng = np.random.default_rng(20240611)
    formats = {}
    for name in SCALES:
        data = blocks_of(name, rng)
        values = dequantize(data, GGMLQuantizationType[name]).astype(np.float32)
        formats[name] = {
            "type": int(GGMLQuantizationType[name]),
            "blocks": base64.b64encode(data.tobytes()).decode(),
            "values": base64.b64encode(values.tobytes()).decode(),
        }
    made_by = {
        "command": "python tests/golden/gguf_blocks.py > tests/golden/gguf-blocks.json",
        "versions": {"gguf": version("gguf"), "numpy": version("numpy"), "python": sys.version.split()[0]},
    }
    print(json.dumps({"made_by": made_by, "formats": formats}, indent=1))


if __name__ == "__main__":
    main()
