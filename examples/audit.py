"""How often does the default model err on a data set, and for whom? Prints rates by group and writes a page.

python examples/audit.py PAIRS.csv [--groups PEOPLE.csv] -o audit.html      (needs pip install 'xcos[eval]')

PAIRS.csv has the columns first, second and same; groups of people are further columns of it, or of PEOPLE.csv
beside a column picture.
"""

import argparse

import xcos


def main() -> None:
    parser = argparse.ArgumentParser(description="How often does the default model err, and for whom?")
    parser.add_argument("pairs")
    parser.add_argument("--groups", help="a table with a column picture, and one for each kind of group")
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("-o", "--output", default="audit.html")
    arguments = parser.parse_args()

    report = xcos.evaluate(None, arguments.pairs, threshold="model", folds=arguments.folds)
    print(f"{report.accuracy:.1%} of {len(report.scores)} pairs are told rightly; the most wrong:")
    for pair in report.worst(3):
        print(f"  {pair}")
    audit = xcos.audit(arguments.pairs, arguments.groups)
    print(audit)
    audit.save(arguments.output)


if __name__ == "__main__":
    main()
