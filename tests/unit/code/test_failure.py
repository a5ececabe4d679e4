"""Exceptions of any kind go through a `Failure` and come back; none stops whoever describes it."""

from __future__ import annotations

import asyncio
import builtins
import dataclasses
import json
import pickle
import subprocess
import sys
import threading
import time
import traceback
import urllib.error
import weakref
from typing import TYPE_CHECKING, Any, cast

import pytest

from pymonik.code.exceptions import add_note, again, exception_of, note_of, note_others
from pymonik.code.failure import describe
from pymonik.errors import DependencyFailedError, TaskFailedError, WorkerLostError
from pymonik.wire.call import Origin
from pymonik.wire.failure import Failure, decode, dependent, encode
from pymonik.wire.traceback_text import traceback_text

if TYPE_CHECKING:
    from collections.abc import Callable


def raised(error: BaseException) -> BaseException:
    """The same, with a traceback."""
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - whatever it is
        return caught


def sent(error: BaseException, **options: Any) -> Any:
    """The exception as it is at the other end."""
    failure = decode(encode(describe(error, **options)))
    return exception_of(failure)


# -- what arrives --------------------------------------------------------------------------------


class KeywordError(Exception):
    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class NoArgumentsError(Exception):
    def __init__(self) -> None:
        super().__init__("nothing is left")


class OtherTextError(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(f"missing: {key}")
        self.key = key


class SlotsError(Exception):
    __slots__ = ("code", "never_set")

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class FileError(OSError):
    def __init__(self, path: str, reason: str) -> None:
        super().__init__(2, reason, path)
        self.reason = reason


class ReducedError(Exception):
    """Says itself how it is pickled."""

    def __init__(self, first: int, second: int) -> None:
        self.first, self.second = first, second

    def __str__(self) -> str:
        return f"{self.first} and {self.second}"

    def __reduce__(self) -> Any:
        return ReducedError, (self.first, self.second)


class WronglyReducedError(ReducedError):
    def __reduce__(self) -> Any:
        return WronglyReducedError, (0, 0)


class NewError(Exception):
    def __new__(cls, a: int, b: int) -> Any:
        return super().__new__(cls, a + b)

    def __init__(self, a: int, b: int) -> None:
        super().__init__(a, b)


PLAIN = [
    ValueError("wrong"),
    KeyError("k", 3),
    KeywordError("no such page", status=404),
    NoArgumentsError(),
    OtherTextError("color"),
    SlotsError(7),
    FileError("/a/b", "gone"),
    ReducedError(1, 2),
    WronglyReducedError(1, 2),
    NewError(1, 2),
    FileNotFoundError(2, "No such file or directory", "/caf\udce9/x"),
    UnicodeDecodeError("utf-8", b"abc\xff", 3, 4, "invalid start byte"),
    UnicodeEncodeError("ascii", "\udcff", 0, 1, "ordinal not in range"),
    StopIteration(5),
    SystemExit(3),
    ImportError("no", name="module", path="/p"),
    SyntaxError("invalid", ("f.py", 3, 4, "x ==", 3, 6)),
    subprocess.CalledProcessError(3, ["ls"], b"out", b"err"),
    subprocess.TimeoutExpired("ls", 3.0),
    json.JSONDecodeError("odd", "{}", 1),
    urllib.error.HTTPError("http://x", 404, "no", {}, None),  # type: ignore[arg-type]
    asyncio.CancelledError("stop"),
    asyncio.IncompleteReadError(b"ab", 5),
    ValueError(10**5000),
    ValueError(),
    ValueError("\udcff \0 ☃"),
    WorkerLostError("it died", "t", "r", "trace"),
]


@pytest.mark.parametrize("error", PLAIN, ids=lambda error: type(error).__name__)
def test_class_arguments_attributes_and_text_arrive(error: Any) -> None:
    if isinstance(error, urllib.error.HTTPError):
        vars(error).update(file=None, fp=None)  # a file does not travel
    copy = sent(raised(error))
    assert type(copy) is type(error)
    assert copy.args == error.args
    assert vars(copy).keys() - {"__notes__"} == vars(error).keys()
    if not isinstance(error, ValueError) or error.args != (10**5000,):
        assert str(copy) == str(error)
    for name in ("errno", "filename", "name", "path", "value", "code", "start", "text", "cmd"):
        assert getattr(copy, name, None) == getattr(error, name, None)


def test_what_cannot_travel_is_replaced_by_its_repr_and_the_rest_arrives() -> None:
    error: Exception = ValueError("text", threading.Lock())
    vars(error).update(lock=threading.Lock(), number=3)
    copy = sent(error)
    assert type(copy) is ValueError
    assert copy.args[0] == "text"
    assert "lock" in copy.args[1]
    assert "lock" in vars(copy)["lock"]
    assert vars(copy)["number"] == 3


def test_a_class_that_is_not_here_is_told_as_text() -> None:
    failure = describe(raised(KeywordError("odd", status=1)))
    (first,) = failure.raised
    from msgspec.structs import replace

    unknown = replace(first, module="not.here", kind=(b"no pickle",), whole=())
    error = exception_of(replace(failure, raised=(unknown,)), "t", "r")
    assert type(error) is TaskFailedError
    assert "KeywordError: odd" in str(error)
    assert (error.task_id, error.result_id) == ("t", "r")
    assert "KeywordError: odd" in error.remote_traceback


def test_a_class_whose_pickle_was_left_out_is_found_by_its_name() -> None:
    from msgspec.structs import replace

    failure = describe(raised(KeywordError("odd", status=1)))
    named = replace(failure.raised[0], kind=(), whole=())
    assert type(exception_of(replace(failure, raised=(named,)))) is KeywordError
    unknown = replace(named, module="os", name="system")
    assert type(exception_of(replace(failure, raised=(unknown,)))) is TaskFailedError


# -- what led to it ------------------------------------------------------------------------------


COLORS: dict[str, str] = {}


def fails_twice(*, suppress: bool = False) -> None:
    try:
        COLORS["color"]
    except KeyError as error:
        if suppress:
            raise ValueError("cannot paint") from None
        raise ValueError("cannot paint") from error


def test_the_cause_of_the_user_stays_the_cause() -> None:
    with pytest.raises(ValueError, match="paint") as caught:
        fails_twice()
    error = sent(caught.value)
    assert type(error.__cause__) is KeyError
    assert error.__cause__.args == ("color",)
    text = "".join(traceback.format_exception(error.__cause__))
    assert 'COLORS["color"]' in text
    assert "direct cause" in cast("Any", error.__cause__).remote_traceback


def test_the_context_stays_the_context_and_can_be_read() -> None:
    def fails() -> None:
        try:
            COLORS["color"]
        except KeyError:
            raise ValueError("cannot paint")  # noqa: B904 - what is tried

    with pytest.raises(ValueError, match="paint") as caught:
        fails()
    error = sent(caught.value)
    assert type(error.__context__) is KeyError
    assert isinstance(error.__cause__, TaskFailedError)
    assert "During handling" in error.__cause__.remote_traceback
    assert "KeyError: 'color'" in "".join(traceback.format_exception(error))


def test_a_suppressed_context_is_not_printed() -> None:
    with pytest.raises(ValueError, match="paint") as caught:
        fails_twice(suppress=True)
    error = sent(caught.value)
    assert type(error.__context__) is KeyError
    assert "KeyError" not in "".join(traceback.format_exception(error))


def test_the_text_of_an_error_of_ours_needs_nothing_that_would_have_to_be_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The parent of executors has not loaded what pickles, and may have no descriptor left.
    monkeypatch.setattr("pymonik.code.failure._codec", lambda: 1 / 0)
    (said,) = describe(WorkerLostError("the executor was killed by signal 9")).raised
    assert (said.name, said.text) == ("WorkerLostError", "the executor was killed by signal 9")


def test_circles_end() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    copy = sent(one)
    assert copy.__cause__.__cause__ is copy
    assert "ValueError: one" in traceback_text(describe(one))


def test_a_chain_of_thousands_is_bounded() -> None:
    error: BaseException | None = None
    for number in range(3000):
        following = ValueError(number)
        following.__context__ = error
        error = following
    assert error is not None
    data = encode(describe(error))
    assert len(data) < 100_000
    assert exception_of(decode(data)).args == (2999,)


def test_an_exception_may_be_an_attribute_of_another() -> None:
    error: Any = ValueError("outer", KeywordError("arg", status=2))
    error.original = KeywordError("inner", status=1)
    error.me = error
    copy = sent(error)
    assert (copy.original.status, copy.args[1].status) == (1, 2)
    assert copy.me is copy


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_groups_their_members_and_notes_arrive() -> None:
    group: Any = builtins.ExceptionGroup  # type: ignore[attr-defined,unused-ignore]

    class MoreGroup(group):  # type: ignore[misc]
        def __init__(self, message: str, errors: Any, code: int) -> None:
            super().__init__(message, errors)
            self.code = code

        def __new__(cls, message: str, errors: Any, code: int) -> Any:
            return super().__new__(cls, message, errors)

    first = raised(KeywordError("first", status=1))
    first.add_note("look here")  # type: ignore[attr-defined,unused-ignore]
    copy = sent(raised(MoreGroup("several", [first, group("inner", [KeyError("k")])], 5)))
    assert type(copy) is MoreGroup
    assert (copy.message, copy.code) == ("several", 5)
    assert copy.exceptions[0].__notes__ == ["look here"]
    assert copy.exceptions[0].status == 1
    assert type(copy.exceptions[1].exceptions[0]) is KeyError


# -- frames --------------------------------------------------------------------------------------


def inner(x: int) -> float:
    return 1 / x  # the line that fails


def outer(value: int) -> float:
    secret = ["a", value]
    return inner(len(secret) - 2)


def failing() -> BaseException:
    try:
        outer(17)
    except ZeroDivisionError as error:
        return error
    raise AssertionError


def test_the_frames_are_real_ones_of_the_users_files() -> None:
    error = sent(failing())
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    assert text.count(f'File "{__file__}"') == 3
    assert "return 1 / x  # the line that fails" in text
    assert ", in inner" in text
    if sys.version_info >= (3, 11):
        assert "~~^~~" in text
    frames = list(traceback.walk_tb(error.__traceback__))
    assert repr(frames[1][0].f_locals["secret"]) == "['a', 17]"


def test_frames_can_be_read_without_the_file() -> None:
    failure = describe(failing())
    moved = encode(failure).replace(__file__.encode(), b"#" * len(__file__))
    text = "".join(traceback.format_exception(exception_of(decode(moved))))
    assert "return 1 / x  # the line that fails" in text


def test_locals_can_be_left_out() -> None:
    failure = describe(failing(), with_locals=False)
    assert not any(frame.locals for frame in failure.raised[0].frames)
    assert "secret" not in repr(
        encode(failure).replace(b'secret = ["a", value]', b"").replace(b"len(secret)", b"")
    )


def test_an_exception_that_is_raised_again_shows_its_frames_once() -> None:
    error = sent(failing())
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            raise again(error)
    names = [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]
    assert names.count("inner") == 1
    assert names[0].startswith("test_an_exception")


def test_frames_keep_nothing_of_who_made_them() -> None:
    class Large:
        pass

    def make() -> tuple[Any, weakref.ref[Large]]:
        large = Large()
        return sent(failing()), weakref.ref(large)

    error, large = make()
    assert large() is None
    frame = error.__traceback__.tb_frame
    while frame.f_back is not None:
        frame = frame.f_back
    assert frame.f_code.co_name != "make"


def recurse(n: int) -> int:
    return recurse(n + 1)


def test_a_deep_traceback_is_of_sensible_length() -> None:
    with pytest.raises(RecursionError) as caught:
        recurse(0)
    failure = describe(caught.value)
    assert len(encode(failure)) < 100_000
    assert "frames are left out" in traceback_text(failure)
    assert isinstance(exception_of(failure), RecursionError)


# -- odd ones ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    code: int


class NoTextError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class DeadlyTextError(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class EndlessTextError(Exception):
    def __str__(self) -> str:
        while True:
            time.sleep(0.001)


class LyingError(Exception):
    __class__ = property(lambda self: int)
    __dict__ = property(lambda self: 1 / 0)
    args = property(lambda self: 1 / 0)
    __cause__ = property(lambda self: 1 / 0)


class OddMeta(type):
    def __getattribute__(cls, name: str) -> Any:
        if name == "__class__":  # others look at all classes that there are
            return OddMeta
        raise RuntimeError("no class attribute")

    __hash__ = None  # type: ignore[assignment]


class OddMetaError(Exception, metaclass=OddMeta):
    pass


class UnhashableError(Exception):
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not to be compared")

    __hash__ = None  # type: ignore[assignment]


class OddAttributeError(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("no attribute")


class UnreducibleError(Exception):
    def __reduce__(self) -> Any:
        raise KeyboardInterrupt


class OddReprs:
    def __repr__(self) -> str:
        raise KeyboardInterrupt


class EndlessRepr:
    def __repr__(self) -> str:
        while True:
            pass


class SubText(str):
    def __str__(self) -> Any:
        return self


def with_notes(notes: Any) -> BaseException:
    error = ValueError("odd notes")
    vars(error)["__notes__"] = notes
    return error


# Made when they are tried: whoever looks at all objects would stumble over them.
ODD: list[Callable[[], BaseException]] = [
    lambda: FrozenError(3),
    lambda: NoTextError(),
    lambda: DeadlyTextError(),
    lambda: EndlessTextError(),
    lambda: LyingError(),
    lambda: OddMetaError(),
    lambda: UnhashableError(),
    lambda: OddAttributeError(),
    lambda: UnreducibleError(),
    lambda: ValueError(OddReprs()),
    lambda: ValueError(EndlessRepr(), EndlessRepr(), EndlessRepr()),
    lambda: ValueError("x" * 30_000_000),
    lambda: ValueError(SubText("x")),
    lambda: ValueError("\ud800" * 100),
    lambda: ValueError({1: [OddReprs()]}),
    lambda: ValueError([[[[[[[]]]]]]]),
    lambda: with_notes([OddReprs(), "fine", 3]),
    lambda: with_notes(5),
    lambda: KeyboardInterrupt(),
    lambda: GeneratorExit(),
]


@pytest.mark.parametrize("number", range(len(ODD)))  # pytest itself fails on some of them
def test_no_exception_is_too_odd(number: int) -> None:
    error = ODD[number]()
    began = time.monotonic()
    data = encode(describe(raised(error)))
    copy = exception_of(decode(data))
    assert time.monotonic() - began < 10
    assert len(data) < 1_000_000
    is_same = type(copy) is type(error)
    is_odd = type(error) is OddMetaError
    assert is_same or is_odd


def test_odd_variables_cost_the_time_of_a_failure_and_no_more() -> None:
    def fails() -> None:
        # The endless one last: it takes the time of all that come after it.
        deadly, endless, fine = OddReprs(), EndlessRepr(), 3  # noqa: F841 - seen in the frame
        raise ValueError("with odd variables")

    with pytest.raises(ValueError, match="odd") as caught:
        fails()
    began = time.monotonic()
    failure = describe(caught.value)
    assert time.monotonic() - began < 10  # one of them would never end
    found = failure.raised[0].frames[-1].locals
    assert "too long" in found["endless"]
    assert "KeyboardInterrupt" in found["deadly"]
    assert found["fine"] == "3"


def test_a_failure_holds_text_that_any_encoding_takes() -> None:
    assert describe(ValueError("\udcff")).summary == "ValueError: \\udcff"


# -- dependencies, notes -------------------------------------------------------------------------


def test_a_failure_of_what_needs_a_failure_names_the_root_once() -> None:
    failure = describe(raised(KeywordError("at the root", status=1)))
    first = following = dependent(failure)
    for _ in range(100):
        following = dependent(following)
    assert following == first
    error = exception_of(following)
    assert isinstance(error, DependencyFailedError)
    assert isinstance(error.__cause__, KeywordError)
    assert str(error).count("at the root") == 1


def test_the_note_says_what_is_known_and_grows_in_front() -> None:
    failure = Failure(
        describe(ValueError("x")).raised,
        call="step(mesh=17)",
        origin=Origin("pod", 7, 0, 2, 0.0, "cpu", (3, 12)),
        seconds=3.21,
    )
    assert note_of(failure) == "step(mesh=17), attempt 2, worker pod:7, 3.2 s"
    error: Any = exception_of(failure)
    add_note(error, "item 17 of 100")
    assert error.__notes__ == ["item 17 of 100, step(mesh=17), attempt 2, worker pod:7, 3.2 s"]


def test_what_arrived_can_be_pickled_again() -> None:
    error = pickle.loads(pickle.dumps(sent(failing())))
    assert isinstance(error, ZeroDivisionError)


# -- the note ------------------------------------------------------------------------------------


def test_the_note_says_how_many_others_failed_as_of_the_last_raise() -> None:
    error = sent(ValueError("wrong"))
    add_note(error, "f('1 more failed'), 2 s")
    for others, end in ((2, "; 2 more failed"), (7, "; 7 more failed"), (0, "")):
        note_others(error, others)
        assert error.__notes__ == [f"f('1 more failed'), 2 s{end}"]


def test_notes_of_the_program_stay_when_others_are_counted() -> None:
    error: Any = ValueError("wrong")
    error.__notes__ = ["3 more failed"]
    for others in (3, 4):
        note_others(error, others)
    assert error.__notes__ == ["3 more failed", "4 more failed"]


def test_the_cause_that_only_tells_the_same_is_falsy_as_notebooks_want_it() -> None:
    cause = sent(ValueError("wrong")).__cause__
    assert isinstance(cause, TaskFailedError)
    assert not cause
    assert bool(TaskFailedError("of its own")) is True
