# The study as one DAG. `config/config.yaml` names the study; each stage has one rules file of its name.


configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/files.smk"
include: "workflow/rules/model_files.smk"
include: "workflow/rules/optional.smk"
include: "workflow/rules/optional_files.smk"
include: "workflow/rules/paper_files.smk"
include: "workflow/rules/comparisons.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/corpus.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/annotation.smk"
include: "workflow/rules/learnability.smk"
include: "workflow/rules/benchmarks.smk"
include: "workflow/rules/cytokine.smk"
include: "workflow/rules/generation.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/paper.smk"
include: "workflow/rules/perturbation.smk"
include: "workflow/rules/atlas.smk"
include: "workflow/rules/ablations.smk"
include: "workflow/rules/archive.smk"


remember()
atexit.register(remember)  # inputs that are functions have asked for more


# One job with GPUs at a time on a workstation (profiles/default); a cluster stays parallel. A limit on `gpu` itself
# would cut down what each job asks the cluster for.
resource_scopes:
    gpu_slots="local",


localrules:
    all,
    closing,
    tables,
    figures,
    ablations,


rule all:
    default_target: True
    input:
        RESULTS / "report.html",
        RESULTS / "claims.csv",
        table_pages(),


# For `make study`. Without output, it runs whenever it is asked for, also if everything else is done.
rule closing:
    input:
        claims=rules.claims.output,
        report=rules.report.output,
    log:
        LOGS / "paper" / "closing.log",
    run:
        print_closing_line(input, log)


rule tables:
    input:
        table_files(),
        table_pages(),


rule figures:
    input:
        figure_files(),


# The block of comparisons of a study, which `all` leaves out; the report shows its table from then on.
rule ablations:
    input:
        ablation_table,
