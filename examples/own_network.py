"""A face network of one's own, an ONNX file: its cosine of two faces on the engine of xcos, and a map that explains it.

python examples/own_network.py NETWORK.onnx FIRST SECOND [--color BGR --mean 127 --scale 0.0078125]
(needs pip install 'xcos[onnx]'; `xcos plug` trains cells and attention for it, which takes people and some minutes)
"""

import argparse

import xcos


def explain(network: xcos.Network, first: str, second: str) -> tuple[float, str]:
    """The plain cosine of two photographs, and the cell of the network's last map that is most alike."""
    pair = xcos.explainers.CellCosine(network)(first, second)
    height, width = pair.first.shape[1:]
    row, column = divmod(int(pair.first[0].argmax()), width)
    return float(pair.score[0]), f"{100 * row // height} % down and {100 * column // width} % across the face"


def main() -> None:
    parser = argparse.ArgumentParser(description="Two faces by a network of one's own.")
    parser.add_argument("network", help="an ONNX file: crops of 112 x 112 in, embeddings out")
    parser.add_argument("first")
    parser.add_argument("second")
    parser.add_argument("--color", default="RGB", choices=("RGB", "BGR"), help="order of the input's channels")
    parser.add_argument("--mean", type=float, default=127.5)
    parser.add_argument("--scale", type=float, default=1 / 127.5, help="input = (pixel - mean) * scale")
    arguments = parser.parse_args()

    file = xcos.convert(arguments.network, color=arguments.color, mean=arguments.mean, scale=arguments.scale)
    cosine, place = explain(xcos.Network(file), arguments.first, arguments.second)
    print(f"cosine {cosine:.4f}; most alike {place}")


if __name__ == "__main__":
    main()
