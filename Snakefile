# The notebooks of a run or a sweep in dependency order. Called by `make study` and `make sweep` with the run folder as
# working directory. `members.json` says which runs there are ("" is a plain study) and what each takes over from
# another one; the runner has taken away the mark `done/<notebook>` of every notebook that is not up to date.
import json
import shlex

with open("members.json") as file:
    members = json.load(file)
notebooks = ["01_explore_data", "02_fine_tune", "03_prompt", "04_score", "05_tag_errors", "06_decide"]
job = f"{shlex.quote(config['python'])} -m flowstudy"


def needs(place, name):
    """What must be there before a notebook: its inputs, the notebook before it, those who answer for it."""
    member, number = members[place], notebooks.index(name)
    files = [f"{place}inputs/{name}.json"]
    if number > 0 and notebooks[number - 1] in member["notebooks"]:
        files.append(f"{place}done/{notebooks[number - 1]}")
    elif member["base"] is not None:
        files.append(f"{place}done/adopted")
    if name == "03_prompt":
        files += sorted({f"{owner}done/{name}" for owner in member["borrows"].values()})
    return files


def resource(kind, name):
    return lambda wildcards: members[wildcards.member]["resources"].get(name, {}).get(kind, 0)


wildcard_constraints:
    member="|(shared|cells)/[^/]+/"

localrules: all, adopt

rule all:
    input: [f"{place}done/{name}" for place, member in members.items() for name in member["notebooks"]]

rule adopt:
    input: lambda wildcards: f"{members[wildcards.member]['base']}done/" + members[members[wildcards.member]["base"]]["notebooks"][-1]
    output: touch("{member}done/adopted")
    shell: "cd {config[root]:q} && {job} adopt --run {config[run]:q}/{wildcards.member}"

for name in notebooks:
    rule:
        name: name
        input: lambda wildcards, name=name: needs(wildcards.member, name)
        output: touch("{member}done/" + name)
        params: notebook=name
        threads: int(config["threads"])
        resources: gpu=resource("gpu", name), api=resource("api", name)
        shell: "cd {config[root]:q} && {job} notebook {params.notebook} --run {config[run]:q}/{wildcards.member} --threads {threads} --watched"
