"""Do two photographs show one person, and which cells say so?

python examples/verify_two.py FIRST SECOND [--picture why.png]
"""

import argparse

import xcos


def reasons(e: xcos.Explanation, count: int = 3) -> str:
    """The cells that add most to the score, as "row 2, column 3: 0.03"."""
    order = e.contribution.ravel().argsort()[::-1][:count]
    columns = e.contribution.shape[1]
    return "\n".join(
        f"  row {cell // columns}, column {cell % columns}: {e.contribution.ravel()[cell]:.3f}" for cell in order
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Do two photographs show one person, and which cells say so?")
    parser.add_argument("first")
    parser.add_argument("second")
    parser.add_argument("--picture", help="file for the figure (needs pip install 'xcos[plot]')")
    arguments = parser.parse_args()

    e = xcos.explain(arguments.first, arguments.second)
    print(f"{'the same person' if e.same else 'not the same person'}: score {e.score:.2f}, threshold {e.threshold:.2f}")
    print(f"the face as a whole adds {e.whole:.3f}; the cells that add most:\n{reasons(e)}")
    if arguments.picture:
        e.save(arguments.picture)


if __name__ == "__main__":
    main()
