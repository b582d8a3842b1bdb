"""Keeps every tenth person of a tar of people (``person/picture.jpg``) out of training.

    python tools/split_people.py celeba_crops.tar train.tar held_out.tar [--every 10]

People are taken in the order of their names, so that the same archive is always split in the same way: the model
cards' figures on people that training did not see are of ``held_out.tar``.
"""

from __future__ import annotations

import argparse
import tarfile


def main() -> None:
    parser = argparse.ArgumentParser(description="Keeps every tenth person of a tar of people out of training.")
    parser.add_argument("people")
    parser.add_argument("train")
    parser.add_argument("held_out")
    parser.add_argument("--every", type=int, default=10)
    options = parser.parse_args()
    with (
        tarfile.open(options.people) as source,
        tarfile.open(options.train, "w") as train,
        tarfile.open(options.held_out, "w") as held_out,
    ):
        members = sorted((m for m in source if m.isfile()), key=lambda m: m.name)
        names = sorted({m.name.split("/")[0] for m in members})
        apart = set(names[:: options.every])
        for member in members:
            (held_out if member.name.split("/")[0] in apart else train).addfile(member, source.extractfile(member))
    print(f"{len(names) - len(apart)} people in {options.train}, {len(apart)} in {options.held_out}")


if __name__ == "__main__":
    main()
