"""`twotower search`: find items by words, by a photo, or for a user."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from twotower.commands import arguments
from twotower.commands.command import Commands, add_command, add_store
from twotower.commands.hits import as_json, as_table
from twotower.commands.terminal import prints_unicode, tell
from twotower.presets import Retriever
from twotower.retriever import RankingParts


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    search = add_command(
        commands,
        "search",
        "find items by words, by a photo, or for a user",
        """twotower search "coffee mug" --store store/ --where '{"price": {"$lt": 50}}'""",
        run,
    )
    search.add_argument("query", nargs="?", default="", type=arguments.words, metavar="QUERY", help="words")
    add_store(search)
    search.add_argument(
        "--image", type=Path, metavar="FILE", help="a photo to search by, alone or with words"
    )
    search.add_argument("--user", type=arguments.words, help="user whose history to take into account")
    search.add_argument(
        "--where", type=arguments.where, metavar="JSON", help="""a filter, such as '{"brand": "Acme"}'"""
    )
    search.add_argument("-k", type=arguments.count, default=10, help="number of hits (default: 10)")
    search.add_argument(
        "--offset",
        type=arguments.offset,
        default=0,
        metavar="N",
        help="skip the N best hits, for a later page",
    )
    search.add_argument(
        "--now", type=arguments.moment, metavar="TIME", help="search as of this time (default: now)"
    )
    search.add_argument(
        "--reranker", type=arguments.words, metavar="MODEL", help="folder or hub name of a cross-encoder"
    )
    search.add_argument(
        "--rerank-depth", type=arguments.count, metavar="N", help="candidates to rerank (default: 100)"
    )
    search.add_argument(
        "--budget-ms",
        type=arguments.positive,
        metavar="MS",
        help="time limit in milliseconds: rerank as many candidates as fit",
    )
    search.add_argument("--min-score", type=float, metavar="S", help="leave out hits with a lower score")
    search.add_argument("--json", action="store_true", help="print one JSON object per line")


def run(given: Namespace) -> None:
    """Run the command."""
    if not (given.query.strip() or given.image or given.user):
        given.parser.error("nothing to search by: pass words, --image or --user")
    reranker = None
    if given.reranker is not None:
        from rerank.cross_encoder.reranker import CrossEncoderReranker

        reranker = CrossEncoderReranker(given.reranker)
    retriever = Retriever.open(given.store, reranker=reranker, read_only=True)
    depth: RankingParts = {} if given.rerank_depth is None else {"rerank_depth": given.rerank_depth}
    hits = retriever.search(
        given.query,
        given.k,
        offset=given.offset,
        image=given.image,
        user=given.user,
        where=given.where,
        now=given.now,
        budget_ms=given.budget_ms,
        min_score=given.min_score,
        **depth,
    )
    if given.user is not None and not retriever.knows(given.user, now=given.now):
        advice = "" if hits else "pass words, or "
        tell(f"nothing is known about user {given.user!r}: {advice}record what they did")
    first = given.offset + 1
    lines = as_json(hits, first, ascii_only=not prints_unicode()) if given.json else as_table(hits, first)
    for line in lines:
        print(line)
