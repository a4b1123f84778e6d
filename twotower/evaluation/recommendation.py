"""Evaluate recommenders the way they are used: predict a user's next basket from what was known before it.

A recommender cannot see the future: it is given a `Past`, which holds only events before the moment of prediction
and refuses all others. `fitted_on` checks the events that a recommender was fitted on beforehand, and `check_blind`
checks its answers.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Protocol

from multimodal.checks import check_callable, check_is, check_text, check_whole, listed, texts_of
from twotower.errors import LeakError
from twotower.evaluation.checks import aware, events_in, metrics_within
from twotower.evaluation.metrics import PerQuery, evaluate_queries
from twotower.types import Event

METRICS = ("ndcg@10", "hr@10", "mrr@10", "recall@10", "recall@20", "recall@100")
_TIME = attrgetter("time")


@dataclass(frozen=True, slots=True)
class Task:
    """One prediction to make.

    Args:
        user: whose next basket.
        moment: the time of the basket, aware; only what is earlier may be known.
        truth: ids of its items.
    """

    user: str
    moment: datetime
    truth: frozenset[str]

    def __post_init__(self) -> None:
        check_text("user", self.user)
        aware("moment", self.moment)
        object.__setattr__(self, "truth", frozenset(texts_of("truth", self.truth)))


class Past:
    """The events before a moment, in order of time; events at the same time keep the order given.

    Args:
        moment: aware; every event must be earlier.
        events: in any order.

    Raises:
        LeakError: an event is at or after the moment.
    """

    def __init__(self, moment: datetime, events: Iterable[Event] = ()) -> None:
        self._moment = aware("moment", moment)
        self._events: list[Event] = []
        self._by_user: dict[str, list[Event]] = {}
        self._advance(moment, events_in(events))

    @property
    def moment(self) -> datetime:
        """The moment of prediction."""
        return self._moment

    def __len__(self) -> int:
        return len(self._events)

    def since(self, position: int = 0) -> list[Event]:
        """The events from a position on, oldest first, so that a recommender can skip those it has already read."""
        return self._events[position:]

    def of(self, user: str) -> Sequence[Event]:
        """A user's events, oldest first; none for an unknown user."""
        return tuple(self._by_user.get(user, ()))

    def _advance(self, moment: datetime, events: Sequence[Event]) -> None:
        """Move on to a later moment, adding the events since, sorted by time."""
        check_before(events, moment)
        self._moment = moment
        self._events += events
        for event in events:
            self._by_user.setdefault(event.user, []).append(event)


class Recommend(Protocol):
    """A recommender to evaluate."""

    def __call__(self, user: str, past: Past, k: int, exclude: frozenset[str], /) -> Sequence[str]:
        """Ids of at most k different items, best first, at `past.moment`.

        Args:
            user: whom to recommend to; possibly someone without a past.
            past: all that is known. It moves on with the next call, so read it now and keep no iterator.
            k: number of items.
            exclude: ids that must not be among them.
        """
        ...


@dataclass(frozen=True, slots=True)
class RecommenderEvaluation:
    """How one recommender did.

    Args:
        means: of each metric over the users.
        users: value of each metric for each user, in the form of `evaluate_queries`.
        run: scores by user and item, for `twotower.evaluation.significance`.
        qrels: grade 1 for each item of the truth, by user.
        left_out: users that are not counted, because they had bought all of their basket before.
    """

    means: dict[str, float]
    users: dict[str, PerQuery]
    run: dict[str, dict[str, float]]
    qrels: dict[str, dict[str, int]]
    left_out: tuple[str, ...]


def time_split(events: Iterable[Event], moment: datetime) -> tuple[list[Event], list[Event]]:
    """Split events, given in any order, into those before an aware moment and the rest, both in order of time."""
    ordered = events_in(events)
    place = bisect_left(ordered, aware("moment", moment), key=_TIME)
    return ordered[:place], ordered[place:]


def next_baskets(events: Iterable[Event], start: datetime, end: datetime | None = None) -> list[Task]:
    """One task for each user with an event in a window: predict the first basket in it.

    A basket is all events of one user at one time, whatever their kind: pass only purchases to predict purchases.
    A user without events before the window gets a task like everyone else.

    Args:
        events: in any order; those outside the window are ignored.
        start: beginning of the window, aware.
        end: the first moment after the window, aware; None is no end.

    Returns:
        Tasks in order of their moments.
    """
    window = time_split(events, start)[1]
    return _tasks(window if end is None else time_split(window, end)[0])


def last_baskets(events: Iterable[Event]) -> list[Task]:
    """One task for each user: predict the last basket from everything before it (leave one out).

    The moments are spread over all of the history, so a model that is fitted once has seen the future of some users:
    prefer `next_baskets` unless the recommender uses nothing but its `Past`. A user with a single basket has no own
    past. Events may come in any order; tasks are in order of their moments.
    """
    return sorted(_tasks(sorted(events_in(events), key=_TIME, reverse=True)), key=attrgetter("moment"))


def check_before(events: Iterable[Event], moment: datetime) -> None:
    """Raise a LeakError that names the first event at or after a moment."""
    for event in events:
        if event.time >= moment:
            raise LeakError(
                f"user '{event.user}': the event on item '{event.item}' at {event.time.isoformat()} is not before "
                f"the moment of prediction, {moment.isoformat()}: cut the history there"
            )


def evaluate_recommender(
    recommend: Recommend,
    tasks: Sequence[Task],
    history: Iterable[Event],
    *,
    repeats: bool = True,
    metrics: Sequence[str] | None = None,
    k: int = 100,
    fitted_on: Iterable[Event] = (),
) -> RecommenderEvaluation:
    """Ask a recommender to solve every task and measure its rankings of the whole catalogue, without sampling.

    Tasks are processed in order of time. Before each one the past grows to what lies before its moment, so a later
    event is not merely hidden: it is not there yet.

    Args:
        recommend: returns ids, best first; a user for whom it returns none counts 0.
        tasks: at most one for each user.
        history: events in any order, including those of the tasks' own baskets, which become visible later.
        repeats: whether items of the user's own past count. If not, they are removed from the truth and must not
            be recommended, and a user whose truth is then empty is left out.
        metrics: as in `evaluate_run`, none deeper than k; None is `METRICS`, as deep as k allows.
        k: number of items to ask for.
        fitted_on: what the recommender was fitted on beforehand; all of it must be before the first moment.

    Returns:
        Means, values by user, run and qrels.

    Raises:
        LeakError: an event of `fitted_on` is at or after the first moment.
        ValueError: a metric is deeper than k, a user has two tasks, an item was recommended twice or despite being
            excluded, or nothing is left to evaluate.
    """
    metrics = metrics_within(k, metrics, METRICS)
    check_callable("recommend", recommend)
    check_is("repeats", repeats, bool, "True or False")
    ordered = sorted(_checked_tasks(tasks), key=attrgetter("moment"))
    if ordered:
        check_before(events_in(fitted_on), ordered[0].moment)
    run: dict[str, dict[str, float]] = {}
    qrels: dict[str, dict[str, int]] = {}
    left_out: dict[str, None] = {}
    for task, past in _pasts(ordered, history):
        if task.user in run or task.user in left_out:
            raise ValueError(f"user '{task.user}' has two tasks: keep one")
        exclude = _excluded(task, past, repeats)
        truth = task.truth - exclude
        if not truth:
            left_out[task.user] = None
            continue
        items = _ask(recommend, task, past, k, exclude)
        run[task.user] = {item: -float(rank) for rank, item in enumerate(items)}
        qrels[task.user] = dict.fromkeys(sorted(truth), 1)
    values = evaluate_queries(run, qrels, metrics)
    means = {name: math.fsum(each.values()) / len(each) for name, each in values.items()}
    return RecommenderEvaluation(means, values, run, qrels, tuple(left_out))


def check_blind(
    make: Callable[[Sequence[Event]], Recommend],
    tasks: Sequence[Task],
    history: Iterable[Event],
    *,
    repeats: bool = True,
    k: int = 10,
) -> None:
    """Check by its answers that a recommender ignores later events even if it is made from them.

    It is made twice for each task, from all events and from those before the task's moment; both must answer alike.

    Args:
        make: makes a recommender from events, the same one from the same events.
        tasks: a few, since each of them makes two recommenders.
        history: events in any order.
        repeats: as in `evaluate_recommender`.
        k: number of items to ask for.

    Raises:
        LeakError: an answer differs; names the user and the event that caused it.
    """
    history = events_in(history)
    check_callable("make", make)
    check_is("repeats", repeats, bool, "True or False")
    check_whole("k", k, least=1)
    for task in _checked_tasks(tasks):
        before, after = time_split(history, task.moment)
        exclude = _excluded(task, Past(task.moment, before), repeats)
        seeing, blind = (
            _ask(make(given), task, Past(task.moment, before), k, exclude) for given in (history, before)
        )
        if seeing != blind:
            risen = {item for rank, item in enumerate(seeing) if item not in blind[: rank + 1]}
            peeked = min(after, key=lambda event: (event.item not in risen, event.user != task.user))
            raise LeakError(
                f"user '{task.user}': what is recommended at {task.moment.isoformat()} depends on later events, "
                f"such as that of user '{peeked.user}' on item '{peeked.item}' at {peeked.time.isoformat()} (or it "
                "differs from call to call): make the recommender from earlier events only"
            )


def _pasts(ordered: Sequence[Task], history: Iterable[Event]) -> Iterator[tuple[Task, Past]]:
    waiting = events_in(history)
    if not ordered:
        return
    past = Past(ordered[0].moment)
    for task in ordered:
        place = bisect_left(waiting, task.moment, lo=len(past), key=_TIME)
        past._advance(task.moment, waiting[len(past) : place])
        yield task, past


def _excluded(task: Task, past: Past, repeats: bool) -> frozenset[str]:
    return frozenset() if repeats else frozenset(event.item for event in past.of(task.user))


def _ask(recommend: Recommend, task: Task, past: Past, k: int, exclude: frozenset[str]) -> list[str]:
    items = texts_of("what is recommended", recommend(task.user, past, k, exclude))[:k]
    if len(set(items)) < len(items):
        twice = next(item for item in items if items.count(item) > 1)
        raise ValueError(f"user '{task.user}' was recommended item '{twice}' twice: return every item once")
    if repeated := [item for item in items if item in exclude]:
        raise ValueError(
            f"user '{task.user}' was recommended item '{repeated[0]}', which they had before: leave out what is in "
            "`exclude`, or allow repeats"
        )
    return items


def _tasks(events: Iterable[Event]) -> list[Task]:
    """The basket of each user's first event in the order given."""
    moments: dict[str, datetime] = {}
    truths: dict[str, set[str]] = {}
    for event in events:
        if moments.setdefault(event.user, event.time) == event.time:
            truths.setdefault(event.user, set()).add(event.item)
    return [Task(user, moment, frozenset(truths[user])) for user, moment in moments.items()]


def _checked_tasks(tasks: Sequence[Task]) -> list[Task]:
    found = listed("tasks", tasks)
    for place, task in enumerate(found):
        check_is(f"tasks[{place}]", task, Task, "a Task")
    return found
