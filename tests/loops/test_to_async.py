"""to_async: coroutine functions made of synchronous ones."""

from __future__ import annotations

import functools
import inspect

import pytest

import pausable
from core._support import pauses


@pausable.to_async
def double(n: int, *, times: int = 2) -> int:
    """Multiply."""
    pausable.pause()
    return n * times


class Key:
    def __init__(self, factor):
        self.factor = factor

    @pausable.pausable
    def sign(self, n):
        pauses(2)
        return n * self.factor

    @classmethod
    @pausable.to_async
    def name(cls):
        pausable.pause()
        return cls.__name__

    @staticmethod
    @pausable.to_async
    def constant():
        pausable.pause()
        return 5


def test_each_call_is_a_job(run_anywhere):
    assert run_anywhere(double(4)) == 8
    assert run_anywhere(double(n=4, times=3)) == 12


def test_methods_of_every_kind(run_anywhere):
    async def main():
        return [await Key(3).sign(4), await Key.name(), await Key.constant()]

    assert run_anywhere(main()) == [12, "Key", 5]


def test_a_function_of_somebody_elses_is_wrapped(run_anywhere):
    assert run_anywhere(pausable.to_async(functools.partial(pauses, 2))("value")) == "value"
    assert run_anywhere(pausable.to_async(len)("four")) == 4


def test_it_is_a_coroutine_function_with_the_functions_own_face():
    assert inspect.iscoroutinefunction(double)
    assert inspect.iscoroutinefunction(Key(1).sign)
    assert (double.__name__, double.__doc__) == ("double", "Multiply.")
    assert double.__wrapped__(4) == 8
    assert str(inspect.signature(double)) == "(n: 'int', *, times: 'int' = 2) -> 'int'"


def test_an_exception_is_raised_at_the_await(run_anywhere):
    async def main():
        coroutine = pausable.to_async(pauses)("bad count")
        with pytest.raises(TypeError):
            await coroutine

    run_anywhere(main())


def test_what_is_no_synchronous_function_is_refused_at_once():
    async def coroutine_function():
        """Nothing to pause."""

    with pytest.raises(TypeError, match="is a coroutine function"):
        pausable.to_async(coroutine_function)
    with pytest.raises(TypeError, match="is a coroutine function"):
        pausable.to_async(double)
    with pytest.raises(TypeError, match="is a coroutine function"):
        pausable.to_async(Key(1).sign)
    with pytest.raises(TypeError, match="fn has to be callable"):
        pausable.to_async(3)


@pytest.mark.parametrize("take", [pausable.run, pausable.map, pausable.run_blocking])
def test_what_would_only_make_a_coroutine_is_refused(take):
    class Asynchronous:
        async def __call__(self, _n):
            raise AssertionError

    async def asynchronous(_n):
        raise AssertionError

    for fn in (asynchronous, functools.partial(asynchronous, 1), Asynchronous()):
        with pytest.raises(TypeError, match="is a coroutine function"):
            take(fn, [1])
