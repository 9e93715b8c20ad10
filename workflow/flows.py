"""The DAG of a study by stages: their rules and jobs, and how many files flow from stage to stage."""

from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache

from snakemake.iocontainers import Wildcards


def flows(rules: Iterable, targets: Iterable[str], stage_of: Callable[[object], str]) -> dict:
    """Follow the targets back to files that no rule makes, whatever is there already and whatever was asked for.

    Args:
        rules: the workflow's.
        targets: files.
        stage_of: stage of a rule.

    Returns:
        stages: stage to its rules, each with its number of jobs, by name; flows: [from, to, number of files], between
        different stages alone.
    """
    rules, jobs, read, edges = list(rules), {}, set(), Counter()

    @cache
    def producer(file: str) -> tuple | None:
        return next(((rule, rule.get_wildcards(file)) for rule in rules if rule.is_producer(file)), None)

    waiting = [(str(target), "") for target in targets]
    while waiting:
        file, reader = waiting.pop()
        if producer(file) is None:
            continue
        rule, wildcards = producer(file)
        stage, job = stage_of(rule), (rule.name, tuple(sorted(wildcards.items())))
        if reader not in ("", stage) and (file, reader) not in read:
            read.add((file, reader))
            edges[stage, reader] += 1
        if job not in jobs:
            jobs[job] = stage
            needed = rule.expand_input(Wildcards(fromdict=wildcards))[0]
            waiting += [(str(path), stage) for path in needed]
    counts: dict[str, Counter] = {}
    for (name, _), stage in jobs.items():
        counts.setdefault(stage, Counter())[name] += 1
    return {
        "stages": {stage: dict(sorted(names.items())) for stage, names in sorted(counts.items())},
        "flows": [[*ends, number] for ends, number in sorted(edges.items())],
    }
