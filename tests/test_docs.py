"""README and docs/ as a reader uses them: links lead somewhere, commands and calls exist, the site builds."""

import ast
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

import easiness
from easiness.tracking.contract import VERSION

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(ROOT.glob("docs/*.md"))
ENTRY_POINTS = {
    name: set(entry["parameters"])
    for name, entry in yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"].items()
}
PARAMETERS = set().union(*ENTRY_POINTS.values())
SHELLS = ("sh", "bash", "shell", "console")

# README says all that a stranger needs, and no more.
WORDS = (780, 900)
# Words of a command: by run.sh or MLflow, by the console command, by a module.
STARTED = (
    re.compile(r"(?:\./run\.sh|mlflow run \.)(?P<words>(?: [^\n`]*)?)"),
    re.compile(r"(?:^|(?<=[ (;]))(?P<console>easiness) (?P<words>[a-z-][^\n`]*)", re.MULTILINE),
    re.compile(r"-m (?P<module>(?:entrypoints|easiness|tests)\.[\w.]+)(?P<words>[^\n`]*)"),
)

ids = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(text):
    """Language and content of every fenced block of a page."""
    return re.findall(r"(?ms)^ *```(\w*)\n(.*?)^ *```", text)


def prose(text):
    """A page without its fenced blocks and comments."""
    return re.sub(r"(?s)<!--.*?-->", "", re.sub(r"(?ms)^ *```.*?^ *```", "", text))


def anchor(heading):
    """Anchor of a heading, as GitHub and MkDocs make it where both make the same."""
    heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def anchors(page):
    """Anchors of all headings of a page."""
    return {anchor(heading) for heading in re.findall(r"(?m)^#+ (.*)$", prose(page.read_text()))}


def links(text):
    """Targets of links and pictures of a page that lie in this repository."""
    text = re.sub(r"`[^`]*`", "", prose(text))
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


@ids
def test_links_and_anchors_lead_somewhere(page):
    for target in links(page.read_text()):
        path, _, name = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name} links to {target}"
        assert file.is_relative_to(ROOT), f"{page.name} links out of the repository, to {target}"
        if page.parent == ROOT / "docs":
            assert file.is_relative_to(ROOT / "docs"), f"{page.name} links out of the site, to {target}"
        if name:
            assert name in anchors(file), f"{page.name} links to {target}; {file.name} has {sorted(anchors(file))}"


def commands(text):
    """Name, or None, and words of every command of shell text; variables that the text sets are put in."""
    text = re.sub(r"\\\n\s*", " ", re.sub(r"(?m)(^| {2,})#.*$", "", text))
    for name, value in re.findall(r"(?m)^(?:export )?(\w+)=\"([^\"\n]*)\"", text):
        text = re.sub(rf"\$\{{?{name}\b\}}?", value, text)
    for pattern in STARTED:
        for found in pattern.finditer(text):
            words = re.split(r"\s(?:#|&&|\|\||>|;|\|)|;", found["words"])[0]
            groups = found.groupdict()
            if "module" in groups:
                yield groups["module"], words
            elif "console" in groups:
                yield (words.split() or [""])[0], words
            else:
                entry = re.search(r"(?:-e|--entry-point)[ =](\w+)", words)
                yield entry[1] if entry else "main", words


def complaints(name, words):
    """What is wrong with a command of a page."""
    if name.startswith(("easiness.", "tests.")):
        source = ROOT / (name.replace(".", "/") + ".py")
        if not source.is_file():
            return [f"no module {name}"]
        options = re.findall(r"--([\w-]+)", words)
        return [f"{name} has no --{option}" for option in options if f'"--{option}"' not in source.read_text()]
    name = name.removeprefix("entrypoints.")
    if name not in ENTRY_POINTS:
        return [] if name.startswith("-") or name in ("", "NAME") else [f"no entry point {name}"]
    given = re.findall(r"(?:^|\s)(?:-P |--)?([A-Za-z_]+)=", words)
    # Words of `mlflow run` itself.
    return [f"{name} has no {key}" for key in given if key not in ENTRY_POINTS[name] | {"experiment", "env"}]


@ids
def test_commands_name_what_exists(page):
    text = page.read_text()
    shell = [content for language, content in blocks(text) if language in SHELLS]
    # One variable is often set in one block and used in the next, or beside it in the text.
    everything = "\n".join([*shell, *re.findall(r"`([^`]+)`", prose(text).replace("\n", " "))])
    wrong = [(name, words, found) for name, words in commands(everything) for found in complaints(name, words)]
    assert wrong == []
    alone = set(re.findall(r"-P (\w+)=", everything)) - {"key"}
    assert alone <= PARAMETERS, f"no entry point has {sorted(alone - PARAMETERS)}"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("./run.sh -e score -P modle=alexnet", "score has no modle"),
        ("./run.sh -e scor", "no entry point scor"),
        ('P="-P resolution=32 -P wieghts=none"\n./run.sh -e train $P', "train has no wieghts"),
        ("easiness score model=resnet18 dta=~/pictures", "score has no dta"),
        ("torchrun -m entrypoints.score --model=a --date=b", "score has no date"),
        ("python -m easiness.benchmarks.labels --datasets=planted", "easiness.benchmarks.labels has no --datasets"),
        ("python -m easiness.benchmarks.label", "no module easiness.benchmarks.label"),
    ],
)
def test_a_wrong_command_is_seen(text, wrong):
    assert [found for name, words in commands(text) for found in complaints(name, words)] == [wrong]


def calls(source):
    """Names that a piece of Python takes from the door, and the keywords that it gives them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "easiness":
            yield node.attr, ()
        elif isinstance(node, ast.Call) and ast.unparse(node.func).startswith("easiness."):
            keywords = [keyword.arg for keyword in node.keywords if keyword.arg]
            yield ast.unparse(node.func).removeprefix("easiness."), keywords


@ids
def test_python_compiles_and_calls_what_exists(page):
    for language, content in blocks(page.read_text()):
        if language != "python":
            continue
        for name, keywords in calls(content):
            assert name.split(".")[0] in easiness.__all__, f"{page.name}: easiness.{name}"
            if name in ENTRY_POINTS:
                assert set(keywords) <= ENTRY_POINTS[name] | {"verbose"}, f"{page.name}: easiness.{name}({keywords})"


def words_of(text):
    """Number of words that a reader of README reads.

    Outside of code blocks, comments and tags, without the targets of links and the texts behind pictures: what is
    between white space and has a letter or a digit.
    """
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)|<[^>]+>", " ", prose(text))
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return sum(any(letter.isalnum() for letter in word) for word in text.split())


def test_words_are_counted():
    assert (
        words_of("# A title\n\n```sh\nnot these\n```\n\n![nor this](a.png) **two** [words](b.md) | `-P x=1` – |\n") == 6
    )


def test_readme_is_read_in_minutes():
    count = words_of((ROOT / "README.md").read_text())
    assert WORDS[0] <= count <= WORDS[1], f"README has {count} words"


def test_the_version_is_said_alike():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == VERSION
    assert f"## {VERSION}" in (ROOT / "CHANGELOG.md").read_text()
    assert {"cff-version", "message", "title", "authors"} <= set(citation)


def test_every_page_of_docs_is_in_the_sites_navigation():
    names = re.findall(r": ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(names) == sorted(page.name for page in ROOT.glob("docs/*.md"))


def test_no_long_sentence_stands_twice():
    seen = {}
    for page in PAGES:
        if page.name in ("parameters.md", "calibration.md", "trials-needed.md"):
            continue  # generated
        text = "\n".join(line for line in prose(page.read_text()).splitlines() if not line.startswith("|"))
        for sentence in re.split(r"(?<=[.:;])\s|\n\n", text):
            sentence = " ".join(sentence.split())
            if len(sentence.split()) >= 12:
                assert sentence not in seen, f"{page.name} and {seen[sentence]} say: {sentence}"
                seen[sentence] = page.name


# Words that a stranger does not know in this sense, and where a page may send him for them.
OWN_WORDS = ("moment", "arm", "draw", "planted", "fingerprint", "ceiling")
EXPLAINED = ("method.md#words", "data.md#what-the-fingerprint-covers")


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/*.md")), ids=lambda page: page.name)
def test_a_page_that_uses_the_projects_own_words_says_what_they_mean(page):
    if page.name in ("method.md", "parameters.md", "calibration.md", "trials-needed.md", "campaign.md"):
        return  # their place, and what is generated
    text = prose(page.read_text())
    plain = re.sub(r"(?m)^\|.*$|`[^`]*`", "", text)
    used = {word for word in OWN_WORDS if re.search(rf"\b{word}s?\b", plain)}
    left = {word for word in used if not re.search(rf"\*{word}s?\*|(?m:^)#+ .*{word}", text)}
    assert not left or any(place in text for place in EXPLAINED), f"{page.name} does not explain {sorted(left)}"


@cache
def mkdocs():
    """Path of MkDocs with what mkdocs.yml asks for, or None."""
    return os.environ.get("MKDOCS") or shutil.which("mkdocs")


def test_the_site_builds_without_a_warning(tmp_path):
    if mkdocs() is None:
        pytest.skip("needs mkdocs; pip install -e '.[docs]'")
    done = subprocess.run(
        [mkdocs(), "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for page in ("wrong-labels", "api", "parameters"):
        assert (tmp_path / "site" / page / "index.html").is_file()
    api = (tmp_path / "site" / "api" / "index.html").read_text()
    assert "Share of the examples in the easy set" in api, "parameters of score are read from its docstring"
