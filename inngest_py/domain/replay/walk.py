"""The rule: follow new code through a run's stored results, and say which steps have moved.

The code is asked with no result, then with those results of the run that it has asked for, one
more each time. For code that has not changed these are the run's own prefixes. So the walk takes
the steps in the new code's order.

Where the new code asks only for steps that the run does not have, one of them gets a stand-in for
its result: the stored result of the step that the run has there, if it is of the same kind, else
null. So what comes behind is seen, too.

Code may get a result without asking for its step first: where a step's own code has failed, that of
a later step may tell of it (`inngest_py.sdk.steps.compensate` does so). It may also do something
else at its last attempt. Both are tried before a step counts as moved.
"""

from bisect import bisect_left
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from ..runs.runs import RunStatus
from . import findings
from .answers import Answer, Asked, AskedStep, Raised
from .findings import Finding, Kind, KnownStep, Placed

MOST_FINDINGS = 50  # of a run
MOST_IN_A_ROW = 5  # stand-ins after which no step of the run has come
_FAILED = '{"error":'
_BARE = frozenset({Kind.SLEEP, Kind.WAIT, Kind.SIGNAL})  # their memo is null after a time-out
Memo = dict[str, str]  # hash to JSON, in the order of the stack


@dataclass(frozen=True, slots=True)
class Walked:
    """What was found; `unseen` says why some steps could not be judged, None if all could.

    `more` counts the findings that are not among the first MOST_FINDINGS.
    """

    findings: tuple[Finding, ...] = ()
    unseen: str | None = None
    more: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """What the code is asked with: these results, at its first attempt or at its last."""

    memo: Memo
    last_attempt: bool = False


def walk(
    steps: Sequence[KnownStep], status: RunStatus = RunStatus.RUNNING
) -> Generator[Question, Answer, Walked]:
    """Yield what to ask, get the answers, return what was found.

    `steps` are those with a result in the order of the stack, then those that have not ended. If
    the run has completed, new code must end at the same place.
    """
    return (yield from _Walk(steps, status).go())


@dataclass(slots=True)
class _Walk:
    steps: Sequence[KnownStep]
    status: RunStatus
    memo: Memo = field(default_factory=dict)
    asked: dict[str, AskedStep] = field(default_factory=dict)
    taken: list[int] = field(default_factory=list)  # places of steps, in the new code's order
    guesses: list[Finding] = field(default_factory=list)  # of stand-ins since a step of the run
    guessed: bool = False
    tried: set[str] = field(default_factory=set)  # ids of steps that may have been read
    last: Placed | None = None
    found: list[Finding] = field(default_factory=list)
    unseen: str | None = None
    places: dict[str, int] = field(default_factory=dict)

    def go(self) -> Generator[Question, Answer, Walked]:
        self.places = {step.id: place for place, step in enumerate(self.steps)}
        while True:
            answer = yield from self._ask()
            now = _steps_of(answer)
            for step in now:
                self._note(step)
            place, waiting = self._next(), self._waiting()
            is_late = bool(waiting) and (place is None or waiting[0] < place)
            if is_late and (yield from self._is_read(answer, waiting)):
                continue
            if is_late and self._stand_in(now, waiting):
                continue
            if place is not None:
                self._take(place)
                continue
            if waiting:
                self._stop(answer, waiting)
            else:
                self._at_end(answer)
            break
        found = (*self.found, *self._moved())
        return Walked(found[:MOST_FINDINGS], self.unseen, len(found[MOST_FINDINGS:]))

    def _ask(self) -> Generator[Question, Answer, Answer]:
        """Ask once more as at the last attempt if the code raises where the run went on."""
        first = yield Question(dict(self.memo))
        went_on = self.status is RunStatus.COMPLETED or self._waiting()
        if not isinstance(first, Raised) or not went_on:
            return first
        second = yield Question(dict(self.memo), last_attempt=True)
        return first if isinstance(second, Raised) else second

    def _is_read(self, answer: Answer, waiting: list[int]) -> Generator[Question, Answer, bool]:
        """Take the first step that was not asked for, if its result brings the code further."""
        place, *later = waiting
        step = self.steps[place]
        if step.memo is None or step.id in self.tried:
            return False
        self.tried.add(step.id)
        other = yield Question({**self.memo, step.id: step.memo})
        names = {self.steps[each].id for each in later}
        fails = self.status is RunStatus.FAILED and isinstance(other, Raised) and other != answer
        if not fails and not any(each.id in names for each in _steps_of(other)):
            return False
        self.asked[step.id] = AskedStep(step.id, step.name, step.kind)
        self._take(place)
        return True

    def _note(self, step: AskedStep) -> None:
        if step.id in self.asked:
            return
        self.asked[step.id] = step
        place = self.places.get(step.id)
        if place is not None:
            self._settle(self.guesses)
        if place is not None and self.steps[place].kind is not step.kind:
            was = self.steps[place].kind
            self.found.append(findings.changed_kind(step.id, self._placed(place), was, step.kind))

    def _next(self) -> int | None:
        """Find the first stored step that was asked for and is not in the memo."""
        for place, step in enumerate(self.steps):
            if step.memo is not None and step.id in self.asked and step.id not in self.memo:
                return place
        return None

    def _take(self, place: int) -> None:
        self.memo[self.steps[place].id] = self.steps[place].memo or ""
        self.taken.append(place)
        self.last = self._placed(place)

    def _waiting(self) -> list[int]:
        """List the places of steps that the new code has not asked for so far."""
        return [place for place, step in enumerate(self.steps) if step.id not in self.asked]

    def _stand_in(self, now: Sequence[AskedStep], waiting: list[int]) -> bool:
        """Give a new step that was asked for now a result that the run does not have."""
        ids = {step.id for step in now} - self.places.keys() - self.memo.keys()
        new = [step for step in self.asked.values() if step.id in ids]  # as they came up
        if not new or len(self.guesses) >= MOST_IN_A_ROW:
            return False
        step = new[0]
        self.guesses.append(findings.new(step.id, step.name, self.last, self._placed(waiting[0])))
        self.guessed = True
        self.memo[step.id] = _stand_in_for(step, self.steps[waiting[0]])
        self.last = Placed(step.name)
        return True

    def _settle(self, certain: Sequence[Finding]) -> None:
        """Report new steps: all that stand before a step of the run, else the first alone.

        What comes after the place where the run is now would be new for any run.
        """
        self.found += certain
        self.guesses = []

    def _at_end(self, answer: Answer) -> None:
        """Judge an answer after all steps of the run were asked for."""
        if self.status is not RunStatus.COMPLETED or self.guessed:
            return
        if isinstance(answer, Raised):
            self.found.append(findings.raises(answer.error, answer.detail, self.last, None))
        elif isinstance(answer, Asked):
            for step in answer.steps:
                self.found.append(findings.new(step.id, step.name, self.last, None))

    def _stop(self, answer: Answer, waiting: list[int]) -> None:
        """Judge an answer that leads to no more steps of the run though some are left."""
        self._settle(self.guesses[:1])
        if not isinstance(answer, Raised):
            self._left(answer, waiting)
        elif self.guessed:
            self.unseen = (
                f"what comes after {self.last} could not be checked: the code raises"
                f" {answer.error} with a stand-in for a result that the run does not have"
            )
        else:
            then = self._placed(waiting[0])
            self.found.append(findings.raises(answer.error, answer.detail, self.last, then))

    def _left(self, answer: Answer, waiting: list[int]) -> None:
        """Tell of each step that the new code has not asked for when it ended, or waits."""
        here = None
        if isinstance(answer, Asked):
            here = ", ".join(str(self._known(step)) for step in answer.steps) or "this point"
        elif waiting[-1] > (reached := max(self.taken, default=-1)):
            ahead = next(place for place in waiting if place > reached)
            self.found.append(findings.ends_early(self.last, self._placed(ahead)))
        for place in waiting:
            step = self.steps[place]
            self.found.append(findings.missing(step.id, self._placed(place), here))

    def _known(self, step: AskedStep) -> Placed:
        place = self.places.get(step.id)
        return Placed(step.name) if place is None else self._placed(place)

    def _moved(self) -> list[Finding]:
        """Tell of the fewest steps whose moving explains the new code's order."""
        kept = _longest_rise(self.taken)
        moved = []
        for index, place in enumerate(self.taken):
            if index in kept:
                continue
            before = self._placed(self.taken[index - 1]) if index else None
            then = self._placed(self.taken[index + 1]) if index + 1 < len(self.taken) else None
            moved.append(
                findings.reordered(self.steps[place].id, self._placed(place), before, then)
            )
        return moved

    def _placed(self, place: int) -> Placed:
        step = self.steps[place]
        return Placed(step.name, place + 1, step.memo is not None)


def _steps_of(answer: Answer) -> tuple[AskedStep, ...]:
    return answer.steps if isinstance(answer, Asked) else ()


def _stand_in_for(step: AskedStep, known: KnownStep) -> str:
    """Make a memo for a new step, where the run has a known one (execution.md §2)."""
    memo = known.memo
    if memo is not None and known.kind is step.kind and not memo.startswith(_FAILED):
        return memo
    return "null" if step.kind in _BARE else '{"data":null}'


def _longest_rise(places: Sequence[int]) -> set[int]:
    """Return the indexes of a longest rising subsequence of numbers that are all different."""
    tails: list[int] = []  # the smallest last number of a rise, by its length
    ends: list[int] = []  # that number's index
    before: list[int | None] = []
    for index, place in enumerate(places):
        length = bisect_left(tails, place)
        before.append(ends[length - 1] if length else None)
        tails[length : length + 1] = [place]
        ends[length : length + 1] = [index]
    kept: set[int] = set()
    at = ends[-1] if ends else None
    while at is not None:
        kept.add(at)
        at = before[at]
    return kept
