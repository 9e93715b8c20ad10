# Which runs are compared with which: functions for the rules' inputs and options.


def shared_seeds(first, second):
    """Seeds that two runs have in common, in ascending order."""
    return sorted(set(STUDY.seeds[first]) & set(STUDY.seeds[second]))


def agreement_pairs():
    """Pairs of an MLM and a WCED run with a common seed, alike but for the objective.

    MLM against WCED + HCE, which differ in their labels too, stands in where the study has no `wced`.
    """
    pairs = [("mlm", "wced"), ("mlm_hce", "wced_hce"), ("mlm", "wced_hce")]
    there = [(a, b) for a, b in pairs if {a, b} <= set(STUDY.trained_runs) and shared_seeds(a, b)]
    return there[:2] if ("mlm", "wced") in there else there


def contrasts():
    """WCED against MLM, which is judged by CLS and by mean pool (its CLS has no loss of its own), and the controls."""
    pairs = [("wced", "mlm"), ("wced_hce", "mlm_hce"), ("wced_hce", "wced"), ("wced_hce", "mlm")]
    pairs += [("wced_multitask", "mlm_multitask"), ("wced_hce", "wced_flat"), ("wced_hce", "wced_sigmoid")]
    pairs += [("wced_interleave", "mlm"), ("wced", "mlm_exclude")]
    return [
        f"{ours}/cls-{theirs}/{pooling}"
        for ours, theirs in pairs
        for pooling in ("cls", "mean")
        if {ours, theirs} <= set(STUDY.trained_runs) and (theirs.startswith("mlm") or pooling == "cls")
    ]


def contrasts_with_controls():
    """Each trained run, by its first pooling, against its network with random weights and principal components."""
    runs = [run for run in STUDY.trained_runs if STUDY.runs[run].model.embeds == "cells"]
    controls = {run: control for run, control in untrained().items() if run in runs}
    pairs = [(f"{run}/{first_pooling(run)}", f"{control}/{first_pooling(run)}") for run, control in controls.items()]
    pairs += [(f"{run}/{first_pooling(run)}", "pca/pca") for run in runs]
    return [f"{run}-{control}" for run, control in pairs]


def first_pooling(run):
    return STUDY.runs[run].model.poolings[0]


def untrained():
    """Trained run to the run of its system that keeps its random weights, where the study has one; concatenations too."""
    controls = {STUDY.runs[run].system: run for run in STUDY.file.runs if not STUDY.runs[run].trained}
    systems = {run: STUDY.runs[run].system for run in STUDY.trained_runs if STUDY.runs[run].model.embeds == "cells"}
    found = {run: controls[system] for run, system in systems.items() if system in controls}
    for name, parts in STUDY.file.concatenations.items():
        of_parts = {found.get(part.run) for part in parts}
        if len(of_parts) == 1 and None not in of_parts:
            found[name] = of_parts.pop()
    return found


def ablation_models():
    """(run, seed) of the ablations and of the runs that they are compared with."""
    pairs = [(use.base, name) for name, use in STUDY.file.ablations.items()]
    return [(run, seed) for run in dict.fromkeys(sum(pairs, ())) for seed in STUDY.seeds[run]]


def ablation_table(wildcards):
    """The table of the ablations, if the study has any."""
    if not STUDY.file.ablations:
        sys.exit(f"scfm: error: study '{STUDY.name}' has no ablations; name a study with them, such as mini")
    return table_file("ablations")
