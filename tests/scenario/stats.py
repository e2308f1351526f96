"""What generated programs do on the oracle: which operations, with which results, how long."""

from __future__ import annotations

import re
import time
from collections import Counter

from oracle import oracle
from scenario.generator import generate

LINE = re.compile(r"(?P<who>\S+): (?P<op>\S+)(?P<operands>.*?)(?: -> (?P<result>.*))?")
MORE_THAN_ONE = re.compile(r"(?<![\w#])-?(?:[2-9]|\d\d+)\b")


def print_stats(count: int) -> None:
    started_s = time.perf_counter()
    programs = ["\n".join(generate(seed)) for seed in range(count)]
    written_s = time.perf_counter()
    traces = oracle.run_many(programs)
    run_s = time.perf_counter()

    lines = sorted(len(trace) for trace in traces)
    print(f"{oracle.version()}, {count} programs")
    print(
        f"generated {count / (written_s - started_s):.0f}/s, "
        f"run {count / (run_s - written_s):.0f}/s"
    )
    print(
        f"trace lines: mean {sum(lines) / count:.1f}, "
        f"least {lines[0]}, median {lines[count // 2]}, most {lines[-1]}"
    )
    _print_counter("endings", Counter(_ending(trace[-1]) for trace in traces))
    _print_counter("where", Counter(_where(line) for trace in traces for line in trace[:-1]))
    results = Counter(_kind(line) for trace in traces for line in trace[:-1])
    _print_operations(results)


def _ending(line: str) -> str:
    return line if line == "END" or line.startswith("***") else line.partition(" -> ")[2]


def _where(line: str) -> str:
    if line.startswith("*"):
        return "routine"
    _thread, slash, body = line.partition(":")[0].rpartition("/")
    return ("other thread, " if slash else "main thread, ") + ("main" if body == "main" else "body")


def _kind(line: str) -> tuple[str, str]:
    """The operation, and its result with the particulars taken out."""
    if line.startswith("*"):
        return line.split(maxsplit=1)[0], ""
    found = LINE.fullmatch(line)
    assert found is not None, line
    operation = found["op"]
    result = found["result"] or ("err" if "err=[" in line else "")
    result = re.sub(r" err=\[.*\]", " err", result)
    result = re.sub(r"\[[^]]*\]", "", result)
    result = re.sub(r"\b[a-z]=(?=NULL|JOB|job)", "", result)
    result = re.sub(r"job#\d+|JOB", "JOB", result)
    result = re.sub(r"(fd|data|cb|arg|ret|returned)=\S+", r"\1=..", result)
    result = re.sub(r"'.*'", "'..'", result)
    if operation in ("showbuf", "say", "waitctx", "getlib"):
        result = re.sub(r"^(?!NULL|global)[^ ]+", "..", result)
    return operation, MORE_THAN_ONE.sub("N", result)


def _print_counter(title: str, counter: Counter[str]) -> None:
    total = sum(counter.values())
    print(f"\n{title}")
    for what, times in counter.most_common():
        print(f"  {times:8d} {100 * times / total:6.2f} %  {what}")


def _print_operations(results: Counter[tuple[str, str]]) -> None:
    totals: Counter[str] = Counter()
    for (operation, _), times in results.items():
        totals[operation] += times
    everything = sum(totals.values())
    print("\noperations and their results")
    for operation, total in totals.most_common():
        kinds = [(times, kind) for (name, kind), times in results.items() if name == operation]
        text = ", ".join(
            f"{kind or 'done'}: {times}" for times, kind in sorted(kinds, reverse=True)
        )
        print(f"  {operation:10s} {total:7d} {100 * total / everything:6.2f} %  {text}")
