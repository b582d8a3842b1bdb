"""Who of a list of people is on one group photograph?

python examples/attendance.py GROUP PERSON...      (a photograph of each person; the file's name is the person's)
"""

import argparse
from pathlib import Path

import xcos


def present(group: str, people: list[str]) -> dict[str, float]:
    """Those of `people` whose face is on the photograph `group`, with their scores."""
    model = xcos.load()
    photograph = xcos.read_image(group)
    crops = [xcos.align(photograph, face) for face in xcos.detect(photograph)]
    if not crops:
        return {}
    seen = model.features(crops, aligned=True)
    known = model.features(people)
    best = model.compare_all(known, seen).max(axis=1)
    return {
        Path(person).stem: float(score) for person, score in zip(people, best, strict=True) if score > model.threshold
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Who of a list of people is on one group photograph?")
    parser.add_argument("group")
    parser.add_argument("people", nargs="+", metavar="person")
    arguments = parser.parse_args()
    for name, score in present(arguments.group, arguments.people).items():
        print(f"{name}: {score:.2f}")


if __name__ == "__main__":
    main()
