"""The rule of the replay check, with random programs that are changed at random."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from inngest_py.domain.replay import walk
from inngest_py.domain.replay.answers import Answer, Asked, AskedStep, Raised, Returned
from inngest_py.domain.replay.findings import Change, Kind, KnownStep
from inngest_py.domain.replay.walk import Memo, Question, Walked
from inngest_py.domain.runs.runs import RunStatus

KINDS = [Kind.STEP, Kind.SLEEP, Kind.WAIT, Kind.INVOKE]


@dataclass(frozen=True)
class Do:
    """A step of a program."""

    name: str
    kind: Kind = Kind.STEP


@dataclass(frozen=True)
class Together:
    """Branches of a program that run side by side."""

    branches: tuple["Program", ...]


Program = tuple[Do | Together, ...]


def ask(program: Program, memo: Memo) -> list[AskedStep]:
    """List what a program asks for next; nothing when it has ended."""
    for part in program:
        if isinstance(part, Do):
            if part.name not in memo:
                return [AskedStep(part.name, part.name, part.kind)]
        elif found := [step for branch in part.branches for step in ask(branch, memo)]:
            return found
    return []


def answer(program: Program) -> Callable[[Memo], Answer]:
    """Make an app of a program."""

    def answered(memo: Memo) -> Answer:
        asked = ask(program, memo)
        return Asked(tuple(asked)) if asked else Returned()

    return answered


def check(
    steps: Sequence[KnownStep],
    app: Callable[[Memo], Answer],
    status: RunStatus = RunStatus.RUNNING,
) -> Walked:
    """Walk through a run with an app."""
    return asking(steps, lambda question: app(question.memo), status)


def asking(
    steps: Sequence[KnownStep], app: Callable[[Question], Answer], status: RunStatus
) -> Walked:
    """Walk through a run with an app that may look at the attempt."""
    walking = walk.walk(steps, status)
    question = next(walking)
    while True:
        try:
            question = walking.send(app(question))
        except StopIteration as done:
            found: Walked = done.value
            return found


def ends(ended: bool) -> RunStatus:
    return RunStatus.COMPLETED if ended else RunStatus.RUNNING


def stored(*names: str, pending: Sequence[str] = ()) -> list[KnownStep]:
    """List plain steps with results, and some that have not ended."""
    ended = [KnownStep(name, name, Kind.STEP, f'{{"data":"{name}"}}') for name in names]
    return [*ended, *(KnownStep(name, name, Kind.STEP) for name in pending)]


def steps(*names: str) -> Program:
    """Make a program of plain steps, one after another."""
    return tuple(Do(name) for name in names)


def changes(found: Walked) -> list[tuple[Change, str | None]]:
    return [(finding.change, finding.name) for finding in found.findings]


def leaves(program: Program) -> list[Do]:
    """List all steps of a program."""
    found: list[Do] = []
    for part in program:
        if isinstance(part, Do):
            found.append(part)
        else:
            found += [step for branch in part.branches for step in leaves(branch)]
    return found


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Programs with parallel branches, some of them nested; all ids differ."""
    count = [0]

    def step() -> Do:
        count[0] += 1
        return Do(f"s{count[0]}", draw(st.sampled_from(KINDS)))

    def part(depth: int) -> Do | Together:
        if depth and draw(st.integers(0, 3)) == 0:
            return Together(tuple(body(depth - 1) for _ in range(draw(st.integers(2, 3)))))
        return step()

    def body(depth: int) -> Program:
        return tuple(part(depth) for _ in range(draw(st.integers(1, 4))))

    return body(2)


@st.composite
def runs(draw: st.DrawFn) -> tuple[Program, list[KnownStep], bool]:
    """A program with a run of it, cut anywhere; and whether the run has ended.

    What the server knows of steps that have not ended, it knows of one of the last requests: the
    others of a group have to end before the next one.
    """
    program, memo = draw(programs()), Memo()
    known: list[KnownStep] = []
    revealed: list[AskedStep] = []  # in order, by the requests so far
    sizes = []  # how many of them, by request
    while True:
        asked = ask(program, memo)
        revealed += [step for step in asked if step not in revealed]
        sizes.append(len(revealed))
        if not asked or not draw(st.integers(0, 12)):
            break
        step = draw(st.sampled_from(asked))
        memo[step.id] = f'{{"data":"{step.id}"}}'
        known.append(KnownStep(step.id, step.name, step.kind, memo[step.id]))
    least = max((revealed.index(step) for step in revealed if step.id in memo), default=0)
    size = draw(st.sampled_from([size for size in sizes if size > least] or [0]))
    pending = [step for step in revealed[:size] if step.id not in memo]
    known += [KnownStep(step.id, step.name, step.kind) for step in pending]
    return program, known, not asked


@given(runs())
def test_code_that_has_not_changed_moves_nothing(
    made: tuple[Program, list[KnownStep], bool],
) -> None:
    program, known, ended = made
    assert check(known, answer(program), ends(ended)) == Walked()


@given(runs(), st.data())
def test_a_step_that_is_renamed_removed_or_of_another_kind_is_told(
    made: tuple[Program, list[KnownStep], bool], data: st.DataObject
) -> None:
    program, known, ended = made
    if not known:
        return
    victim = data.draw(st.sampled_from(known))
    other = next(kind for kind in KINDS if kind is not victim.kind)
    mutations: dict[str, Callable[[Do], Program]] = {
        "renamed": lambda step: (replace(step, name="other"),),
        "removed": lambda step: (),
        "other kind": lambda step: (replace(step, kind=other),),
    }
    name = data.draw(st.sampled_from(sorted(mutations)))
    found = check(known, answer(mutated(program, victim.id, mutations[name])), ends(ended))
    assert victim.id in [finding.name for finding in found.findings], found
    if name == "other kind":
        assert changes(found) == [(Change.KIND, victim.id)]


@given(runs(), st.data())
def test_a_step_that_is_inserted_before_one_of_the_run_is_told(
    made: tuple[Program, list[KnownStep], bool], data: st.DataObject
) -> None:
    program, known, ended = made
    if not known:
        return
    before = data.draw(st.sampled_from(known))
    kind = data.draw(st.sampled_from(KINDS))
    app = answer(mutated(program, before.id, lambda step: (Do("new", kind), step)))
    found = check(known, app, ends(ended))
    assert (Change.NEW, "new") in changes(found)
    assert {change for change, _ in changes(found)} == {Change.NEW}


@given(runs(), st.data())
def test_a_step_that_is_moved_behind_a_later_one_is_told(
    made: tuple[Program, list[KnownStep], bool], data: st.DataObject
) -> None:
    program, known, ended = made
    ended_steps = [step for step in known if step.memo is not None]
    if len(ended_steps) < 2:
        return
    first, then = sorted(data.draw(st.permutations(range(len(ended_steps))))[:2])
    moved, target = ended_steps[first], ended_steps[then]
    [old] = [step for step in leaves(program) if step.name == moved.id]
    without = mutated(program, moved.id, lambda step: ())
    changed = mutated(without, target.id, lambda step: (step, old))
    found = check(known, answer(changed), ends(ended))
    if not found.findings:  # it was, and is, beside the other: the run's order is possible, too
        assert in_order(changed, known)
    else:
        assert not in_order(changed, known)


def in_order(program: Program, known: Sequence[KnownStep]) -> bool:
    """Say whether a program could have had this run."""
    memo: Memo = {}
    seen: set[str] = set()
    for step in known:
        seen |= {asked.id for asked in ask(program, memo)}
        if step.id not in seen:
            return False
        if step.memo is not None:
            memo[step.id] = step.memo
    return True


def mutated(program: Program, name: str, change: Callable[[Do], Program]) -> Program:
    """Put other steps in the place of one."""
    made: list[Do | Together] = []
    for part in program:
        if isinstance(part, Together):
            branches = tuple(mutated(branch, name, change) for branch in part.branches)
            made.append(Together(branches))
        else:
            made += change(part) if part.name == name else (part,)
    return tuple(made)


def test_a_result_may_be_read_without_asking() -> None:
    """After the step "pay", which has failed in its body, the run has "failure" and an undo."""

    def app(memo: Memo) -> Answer:
        if "failure" in memo:
            return answer(steps("a", "undo"))(memo) if "undo" not in memo else Raised("E")
        return answer(steps("a", "pay"))(memo)

    assert check(stored("a", "failure", "undo"), app, RunStatus.FAILED) == Walked()
    assert check(stored("a", "failure"), app, RunStatus.FAILED).findings[0].name == "pay"
    renamed = check(stored("a", "failed", "undo"), app, RunStatus.FAILED)
    assert (Change.MISSING, "failed") in changes(renamed)


def test_a_result_may_be_read_before_steps_beside_it_have_ended() -> None:
    """Two steps run side by side; one fails in its body while the other has not ended."""

    def app(memo: Memo) -> Answer:
        if "failure" in memo:
            return answer(steps("undo"))(memo)
        return answer((Together((steps("p"), steps("q"))),))(memo)

    assert check(stored("failure", "p", "undo"), app, RunStatus.FAILED) == Walked()


def test_code_may_do_something_else_at_its_last_attempt() -> None:
    def app(question: Question) -> Answer:
        if "a" not in question.memo:
            return answer(steps("a"))(question.memo)
        if not question.last_attempt:
            return Raised("E")
        return answer(steps("a", "alert"))(question.memo)

    assert asking(stored("a", "alert"), app, RunStatus.COMPLETED) == Walked()
    assert changes(asking(stored("a", "other"), app, RunStatus.RUNNING)) == [
        (Change.NEW, "alert"),
        (Change.ENDS_EARLY, None),
        (Change.MISSING, "other"),
    ]


def test_what_a_stand_in_breaks_is_said() -> None:
    def app(memo: Memo) -> Answer:
        if "x" in memo:
            return Raised("TypeError")
        return answer(steps("a", "x", "b"))(memo)

    found = check(stored("a", "b", pending=["c"]), app)
    assert changes(found) == [(Change.NEW, "x")]
    assert found.unseen == (
        "what comes after 'x' could not be checked: the code raises TypeError with a stand-in for a"
        " result that the run does not have"
    )


def test_only_the_first_findings_of_a_run_are_listed() -> None:
    known = stored(*(f"s{number}" for number in range(200)))
    found = check(known, answer(()))
    assert (len(found.findings), found.more) == (walk.MOST_FINDINGS, 201 - walk.MOST_FINDINGS)


def test_code_that_never_ends_is_asked_a_few_times() -> None:
    count = [0]

    def app(memo: Memo) -> Answer:
        count[0] += 1
        name = f"s{len(memo)}"
        return Asked((AskedStep(name, name, Kind.STEP),))

    found = check(stored("a", pending=["b"]), app)
    assert changes(found) == [(Change.NEW, "s0"), (Change.MISSING, "a"), (Change.MISSING, "b")]
    assert count[0] <= walk.MOST_IN_A_ROW + 2
