import numpy as np
import pandas as pd

from easiness.figures.text_fit import file_name
from easiness.reporting.blocks import Chart, Gallery, Heading, Picture, Table, Text, Verdicts
from easiness.reporting.claims import FAILS, HOLDS, UNKNOWN, Verdict
from easiness.reporting.formats import to_markdown, to_tex
from easiness.reporting.gallery import GalleryExample, Row, ScoreCurve, Section
from easiness.reporting.page import LARGEST, make_page
from easiness.tracking import to_csv


def course(model="net", easiness=(2.0, 1.0), updates=(10, 20)):
    return ScoreCurve(model, np.array(updates), np.array(easiness), easiness[-1], "nats", 3, 50)


def item(example_id, picture):
    return GalleryExample(example_id, "cat", ("0.5 nats",), picture, [course()])


def test_everything_is_escaped():
    evil = "<script>alert(1)</script>"
    table = Table(evil, evil, pd.DataFrame({evil: [evil] * 2_000, "run_id": "r"}), links={"r": 'x"y'})
    verdict = Verdict(evil, evil, HOLDS, evil, evil, evil)
    section = Section(evil, evil, [Row(evil, [GalleryExample(1, evil, (evil,), b"\x89PNG", [course(evil)])])])
    figures = [Chart("small", evil, evil, None), Picture(evil, evil, evil, b"")]
    blocks = [Heading(evil, 2), Text(evil), table, Verdicts([verdict]), Gallery([section]), *figures]
    page = make_page(evil, blocks, {"small": b"", file_name(evil): bytes(5_000_000)})  # too large to be embedded
    assert page.count("<script>") == 1  # the page's own
    assert evil not in page.lower()
    for path in (f"tables/{file_name(evil)}.csv", f"figures/{file_name(evil)}.png"):
        assert f'<a href="{path}">{path}</a>' in page
    assert 'href="x&#34;y"' in page


def test_a_verdict_is_told_by_words_and_marks_not_by_colour_alone():
    verdicts = [Verdict("c", "p", each, "n", "r", "e") for each in (HOLDS, FAILS, UNKNOWN)]
    page = make_page("t", [Verdicts(verdicts)], {})
    for text in ("✓ holds", "✗ does not hold", "? cannot tell"):
        assert text in page


def test_a_page_of_very_many_pictures_stays_small_and_says_what_is_missing():
    content = bytes(300_000)
    rows = [Row(f"row {i}", [item(i, content)]) for i in range(100)]
    page = make_page("t", [Gallery([Section("many", "All.", rows), Section("few", "", rows[:1])])], {})
    assert 0.4 * LARGEST < len(page.encode()) <= LARGEST
    shown = page.count("<img ") - 1
    assert 10 < shown < 100
    assert f"{100 - shown} of 100 rows are left out" in page
    sheets = [Picture(f"sheet{i}", f"Sheet {i}.", "a", bytes(1_000_000)) for i in range(20)]
    page = make_page("t", sheets, {each.name: each.content for each in sheets})
    assert len(page.encode()) <= LARGEST
    assert '<a href="figures/sheet19.png">' in page
    assert page.count("<figure") + page.count("Beside this page") == 20


def test_pictures_count_as_they_are_embedded():
    # As files 14.7 MB, in base64 19.6 MB.
    charts = [Chart(f"chart{i}", "c", "a", None) for i in range(70)]
    sheets = [Picture(f"sheet{i}", "s", "a", b"") for i in range(35)]
    pictures = {each.name: bytes(140_000) for each in (*charts, *sheets)}
    page = make_page("t", [*charts, *sheets], pictures)
    assert 0.6 * LARGEST < len(page.encode()) <= LARGEST
    assert page.count("<figure") + page.count("Beside this page") == 105
    assert '<a href="figures/chart69.png">' in page


def test_of_a_long_table_the_page_shows_the_head_and_says_where_the_rest_is():
    long, short = (pd.DataFrame({"row": np.arange(count)}) for count in (200_000, 20))
    page = make_page("t", [Table("long", "c", long, folded=True), Table("short", "c", short)], {})
    assert "c (200000 rows)" in page
    assert page.count("<tr>") == 2 + 1_500 + 20
    assert "The first 1,500 of 200,000 rows are shown" in page
    assert '<a href="tables/long.csv">tables/long.csv</a>' in page
    assert "tables/short.csv" not in page


def test_very_many_tables_show_fewer_rows_each():
    words = pd.DataFrame({"text": ["w" * 1_000] * 1_000})
    page = make_page("t", [Table(f"t{i}", "c", words, folded=True) for i in range(20)], {})
    assert 0.1 * LARGEST < len(page.encode()) <= LARGEST
    assert page.count("The first 100 of 1,000 rows are shown") == 20


def test_an_example_without_a_picture_has_its_words():
    page = make_page("t", [Gallery([Section("s", "n", [Row("r", [item(17, None)])])])], {})
    assert "no picture" in page
    assert "<b>cat</b> #17<br>0.5 nats" in page


def page_of(*curves):
    return make_page(
        "t", [Gallery([Section("s", "n", [Row("r", [GalleryExample(1, "cat", (), None, list(curves))])])])], {}
    )


def test_a_trajectory_begins_and_ends_where_it_should():
    page = page_of(course(easiness=(2.0, 1.0, 0.0), updates=(0, 10, 20)), course("other", (1.0, 1.0)))
    assert 'points="34,8 153,50 272,92"' in page
    assert 'aria-label="net from 2 to 0 nats; other from 1 to 1 nats"' in page
    assert "other: 1 nats, rank 3 of 50" in page
    assert '<circle class="model0" cx="272" cy="8" r="3"/>' in page_of(course(easiness=(1.0,), updates=(5,)))
    assert 'points="34,92 34,92"' in page_of(course(easiness=(0.0, 0.0), updates=(0, 0)))


def test_a_trajectory_below_zero_has_its_own_floor():
    page = page_of(course(easiness=(2.0, -2.0), updates=(0, 10)))
    assert 'points="34,8 272,92"' in page
    assert '<text x="30" y="92" text-anchor="end">-2</text>' in page


TABLE = pd.DataFrame({"name": ["a_b & c|d", "50 %"], "value": [1 / 3, np.nan], "count": [1, 2], "so": [True, False]})


def test_csv_keeps_every_digit():
    assert to_csv(TABLE) == "name,value,count,so\na_b & c|d,0.3333333333333333,1,True\n50 %,,2,False\n"


def test_tex_is_escaped_and_aligned():
    text = to_tex(TABLE, "Caption of 50 %.", "t")
    assert r"\begin{tabular}{lrrl}" in text
    assert r"a\_b \& c|d & 0.3333 & 1 & yes \\" in text
    assert r"50 \% & -- & 2 & no \\" in text
    assert r"\caption{Caption of 50 \%.}" in text


def test_markdown_has_a_row_for_each():
    lines = to_markdown(TABLE, "Both.").splitlines()
    assert lines[2:] == [
        "| name | value | count | so |", "|---|--:|--:|---|", r"| a_b &amp; c\|d | 0.3333 | 1 | yes |", "| 50 % "
        "| – | 2 | no |"
    ]  # fmt: skip


def test_a_few_rows_of_many_columns_have_a_line_for_each_column():
    wide = pd.DataFrame({f"column_{i}": [i, i + 0.5] for i in range(9)} | {"run_id": ["r", "<s>"]})
    page = make_page("t", [Table("t", "c", wide, links={"r": "there"})], {})
    assert '<tr><th scope="row">column_3</th><td>3</td><td>3.5</td></tr>' in "".join(page.splitlines())
    assert '<td><a href="there">r</a></td><td>&lt;s&gt;</td>' in "".join(page.splitlines())
    for other in (wide.iloc[:, :8], pd.concat([wide] * 3)):
        assert '<table class="turned">' not in make_page("t", [Table("t", "c", other)], {})


def test_cells_of_numbers_carry_all_digits_for_sorting():
    page = make_page("t", [Table("t", "c", TABLE)], {})
    assert '<td class="number" data-value="0.3333333333333333">0.3333</td>' in page
    assert '<td class="number">–</td>' in page
    assert "<td>yes</td>" in page
