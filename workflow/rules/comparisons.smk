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
    """Each trained run by its CLS against the same network with random weights and against principal components."""
    controls = [*(["random/cls"] if "random" in STUDY.runs else []), "pca/pca"]
    return [f"{run}/cls-{control}" for control in controls for run in STUDY.trained_runs]


def ablation_models():
    """(run, seed) of the ablations and of the runs that they are compared with."""
    pairs = [(use.base, name) for name, use in STUDY.file.ablations.items()]
    return [(run, seed) for run in dict.fromkeys(sum(pairs, ())) for seed in STUDY.seeds[run]]


def ablation_table(wildcards):
    """The table of the ablations, if the study has any."""
    if not STUDY.file.ablations:
        sys.exit(f"scfm: error: study '{STUDY.name}' has no ablations; name a study with them, such as mini")
    return table_file("ablations")
