"""The taxonomy: complete entries, unique keys, extension by a file, renamed categories keep counting."""

import pytest

from flowstudy.analysis.taxonomy import RESERVED_KEYS, TaxonomyError, load_taxonomy


def test_every_category_has_definition_example_rule_and_its_own_key():
    taxonomy = load_taxonomy()
    keys = [c.key for c in taxonomy.categories.values()]
    assert all(c.definition and c.example and c.rule and c.title and c.key for c in taxonomy.categories.values())
    assert len(set(keys)) == len(keys) and not set(keys) & RESERVED_KEYS
    page = taxonomy.page()
    assert all(c.title in page and c.rule in page for c in taxonomy.categories.values())


def test_extension_and_renaming(tmp_path):
    file = tmp_path / "more.yaml"
    file.write_text(
        "categories:\n  late_step:\n    {group: step, title: late, definition: d, key: '0', aliases: [slow_step]}\n"
    )
    taxonomy = load_taxonomy(extra=file)
    known, unknown = taxonomy.resolve_all(["slow_step", "late_step", "gone", "wrong_step"])
    assert (known, unknown) == (["late_step", "wrong_step"], ["gone"])
    assert taxonomy.title("slow_step") == "late" and taxonomy.title("gone") == "gone"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("categories: {a: {group: nowhere, title: t, definition: d}}", "expected a group of"),
        ("categories: {a: {group: step, title: t, definition: d, key: m}}", "belongs to missing_step"),
        ("categories: {a: {group: step, title: t, definition: d, key: s}}", "is the tagger's"),
        ("categories: {a: {group: step, colour: red}}", "expected groups and categories"),
        ("[1, 2", "expected groups and categories"),
        ("- a", "expected groups and categories"),
    ],
)
def test_broken_files_are_named(tmp_path, text, message):
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    with pytest.raises(TaxonomyError, match=message) as error:
        load_taxonomy(extra=file)
    assert "broken.yaml" in str(error.value)
