# The notebooks of one run in dependency order. Called by `make study` with the run folder as working directory;
# `inputs/<notebook>.json` holds a notebook's parameters and the hash of its code, and changes only when they do.
notebooks = ["01_explore_data", "02_fine_tune", "03_prompt", "04_score", "05_tag_errors", "06_decide"]
writes = {
    "01_explore_data": ["corpus.jsonl"],
    "04_score": ["scores.parquet", "edits.parquet"],
    "06_decide": ["report.html"],
}

rule all:
    input: [f"done/{name}" for name in notebooks], *writes.values()

for before, name in zip([None, *notebooks], notebooks):
    rule:
        name: name
        input:
            [f"inputs/{name}.json", *([f"done/{before}"] if before else [])]
        output:
            [touch(f"done/{name}"), *writes.get(name, [])]
        params:
            notebook=name
        shell:
            "'{config[python]}' -m flowstudy notebook {params.notebook} --run '{config[run]}'"
