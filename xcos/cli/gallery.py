"""The commands ``xcos gallery …``: enrol people, search, remove, and sort photographs without names."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from ..base.names import shown
from .data import Print, progress_wanted

FOUND, NO_ANSWER = 0, 3


def register(
    command: Callable[..., Any], common: argparse.ArgumentParser, threads: Callable[[str], int], print_: Print,
    model: argparse.ArgumentParser,
) -> None:
    """Adds the commands. `command` makes one parser, `threads` reads a number, `print_` puts out data or text; `common`
    and `model` are the parsers of what all commands know, and of --model and --whole."""
    gallery = command("gallery", None, "search among many people", [], "xcos gallery search people/ someone.jpg")
    commands = gallery.add_subparsers(title="commands", metavar="COMMAND", required=True)
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument("gallery", metavar="GALLERY", help="folder of the gallery")
    looking = argparse.ArgumentParser(add_help=False)
    looking.add_argument("--aligned", action="store_true", help="the photographs are aligned 112 x 112 crops")
    looking.add_argument("--threads", type=threads, metavar="N", help="at most so many (default: all there are)")
    looking.add_argument("--quiet", action="store_true", help="no progress bar")

    def one(name: str, work: Callable[[argparse.Namespace], tuple[Any, str, int]], text: str, *parents: Any) -> Any:
        def run(options: argparse.Namespace) -> int:
            data, lines, code = work(options)
            print_(options, data, lines)
            return code

        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".",
                                  parents=[*parents, common])  # fmt: skip
        sub.set_defaults(run=run)
        return sub

    add = one("add", _add, "enrol photographs of a person, or a folder person/photograph", model, place, looking)
    add.add_argument("photos", nargs="+", metavar="PHOTO", help="photographs; or one folder, without --name")
    add.add_argument("--name", help="whom the photographs show")
    add.add_argument("--meta", metavar="JSON", help="an object to keep with them")
    add.add_argument("--face", type=int, metavar="N", help="which face, as `xcos detect` numbers them, from 0")
    add.add_argument("--keep-photos", action="store_true", default=None, help="keep aligned crops, in a new gallery")

    add.set_defaults(kept=_added)

    search = one("search", _search, "find who a photograph shows; exit code 3 for nobody", model, place, looking)
    search.add_argument("photo", metavar="PHOTO")
    search.add_argument("-k", type=threads, default=10, metavar="N", help="people at most (default: 10)")
    limit = search.add_mutually_exclusive_group()
    limit.add_argument("--threshold", type=float, help="found when score > this (default: so that about 1%% of "
                       "strangers find somebody)")
    limit.add_argument("--rate", type=float, metavar="R", help="measure the threshold a share R of strangers passes")
    search.add_argument("--face", type=int, metavar="N", help="which face, as `xcos detect` numbers them, from 0")
    search.add_argument("-o", "--output", metavar="FILE", help="explain the best hit: .html, .png, .svg, .json …")

    remove = one("remove", _remove, "delete a person, really", model, place)
    remove.add_argument("name", metavar="NAME")
    remove.add_argument("--photo", metavar="ID", help="one photograph alone")
    one("info", _info, "tell what a gallery holds", model, place)
    one("index", _index, "make a vector index, for more than about 100,000 faces", model, place)
    export = one("export", _export, "write all of a gallery into one Parquet file", model, place)
    export.add_argument("target", metavar="OUT")
    load = one("import", _import, "enrol what export has written", model, place)
    load.add_argument("source", metavar="FILE")
    one("duplicates", _duplicates, "pairs of names that look like one person", model, place, looking)
    cluster = one("cluster", _cluster, "sort photographs without names by whom they show", model, looking)
    cluster.add_argument("folder", metavar="FOLDER")
    cluster.add_argument("--method", choices=("agglomerative", "hdbscan"), default="agglomerative")
    cluster.add_argument("--threshold", type=float, help="mean score that joins two clusters (default: the model's)")


def _open(options: argparse.Namespace, create: bool = False, keep_photos: bool | None = None) -> Any:
    import xcos

    model = xcos.load(options.model, whole=options.whole)
    return xcos.Gallery(options.gallery, model=model, keep_photos=keep_photos, create=create)


def _added(options: argparse.Namespace) -> str:
    """What an interrupted ``add`` can tell: photographs of one person are enrolled together, folders by the hundred."""
    return "" if options.name is not None else "who is enrolled by now stays, and the same command adds the others"


def _add(options: argparse.Namespace) -> tuple[Any, str, int]:
    try:
        meta = json.loads(options.meta or "{}")
    except ValueError:
        meta = None
    if not isinstance(meta, dict):
        raise ValueError(f"--meta: expected an object of JSON, got {options.meta!r}")
    if options.name is None and (len(options.photos) > 1 or options.meta or options.face is not None):
        raise ValueError("--name: expected a name for the photographs; without it one folder alone can be added")
    gallery = _open(options, create=True, keep_photos=options.keep_photos)
    if options.name is None:
        done = gallery.add_folder(options.photos[0], aligned=options.aligned, threads=options.threads,
                                  progress=progress_wanted(options))  # fmt: skip
    else:
        done = gallery.add(options.name, options.photos, meta=meta, face=options.face, aligned=options.aligned,
                           threads=options.threads)  # fmt: skip
    lines = [f"{len(done)} faces enrolled, {len(done.repeated)} were there already"]
    lines += [f"{len(done.failed)} could not be used:"] if done.failed else []
    return done.to_dict(), "\n".join([*lines, *(message for _, message in done.failed)]), FOUND


def _search(options: argparse.Namespace) -> tuple[Any, str, int]:
    gallery = _open(options)
    threshold = options.threshold if options.rate is None else gallery.threshold_for(options.rate)
    hits = gallery.search(options.photo, options.k, threshold=threshold, face=options.face, aligned=options.aligned,
                          threads=options.threads)  # fmt: skip
    if options.output and len(hits):
        hits[0].explain().save(options.output)
    lines = [hits.sentence(), f"threshold: {hits.threshold_from}"]
    lines += [f"{hit.score:8.4f}  cosine {hit.cosine:7.4f}  {'*' if hit.same else ' '} {shown(hit.name)}"
              f"  ({shown(hit.photo)})" for hit in hits]  # fmt: skip
    return hits.to_dict(), "\n".join(lines), FOUND if hits.found and hits.reliable else NO_ANSWER


def _remove(options: argparse.Namespace) -> tuple[Any, str, int]:
    count = _open(options).remove(options.name, photo=options.photo)
    return {"removed": count}, f"{count} faces of {shown(options.name)} deleted", FOUND


def _info(options: argparse.Namespace) -> tuple[Any, str, int]:
    facts = _open(options).info().to_dict()
    return facts, "\n".join(f"{key.replace('_', ' '):12} {value}" for key, value in facts.items()), FOUND


def _index(options: argparse.Namespace) -> tuple[Any, str, int]:
    gallery = _open(options)
    gallery.index()
    kind = gallery.info().index
    return {"index": kind}, f"index: {kind}", FOUND


def _export(options: argparse.Namespace) -> tuple[Any, str, int]:
    count = _open(options).export(options.target)
    return {"faces": count, "written": options.target}, f"{count} faces, written: {options.target}", FOUND


def _import(options: argparse.Namespace) -> tuple[Any, str, int]:
    done = _open(options, create=True).load(options.source)
    return done.to_dict(), f"{len(done)} faces enrolled, {len(done.repeated)} were there already", FOUND


def _duplicates(options: argparse.Namespace) -> tuple[Any, str, int]:
    links = _open(options).duplicates(threads=options.threads)
    lines = [f"{len(links)} pairs of names that look like one person"]
    lines += [f"{link.score:8.4f}  {shown(link.first)}  {shown(link.second)}" for link in links]
    return [link.to_dict() for link in links], "\n".join(lines), FOUND


def _cluster(options: argparse.Namespace) -> tuple[Any, str, int]:
    import xcos

    from ..gallery import cluster

    model = xcos.load(options.model, whole=options.whole)
    found = cluster(options.folder, model=model, method=options.method, threshold=options.threshold,
                    aligned=options.aligned, threads=options.threads, progress=progress_wanted(options))  # fmt: skip
    lines = [f"{len(found)} clusters, {len(found.single)} photographs alone, {len(found.failed)} could not be used"]
    for number, one in enumerate(found):
        lines.append(f"{number:4}  {len(one)} photographs; least certain: {shown(one.link.first)} and "
                     f"{shown(one.link.second)}, score {one.link.score:.4f}")  # fmt: skip
        lines += [f"      {shown(photo)}" for photo in one.photos]
    return found.to_dict(), "\n".join(lines), FOUND
