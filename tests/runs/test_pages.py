"""Pages hold their pictures, scroll their tables, and take no text for markup."""

import base64

import pandas as pd

from easiness.runs import pages

PNG = b"\x89PNG picture"


def test_a_page_stands_alone(tmp_path):
    (tmp_path / "a_b.png").write_bytes(PNG)
    table = pd.DataFrame({"name": ["<b>", "x"], "rate": [0.123456, float("nan")]})
    parts = [
        pages.heading("A & B"),
        pages.listing(["<i>one", "two"]),
        pages.pictures([tmp_path / "a_b.png"]),
        pages.rows(table, ".3f"),
    ]
    pages.write_page(tmp_path / "index.html", "<title>", parts)
    text = (tmp_path / "index.html").read_text()
    assert "<h1>&lt;title&gt;</h1>" in text
    assert "<h2>A &amp; B</h2>" in text
    assert "<li>&lt;i&gt;one</li>\n<li>two</li>" in text
    assert f'<img alt="a b" src="data:image/png;base64,{base64.b64encode(PNG).decode()}">' in text
    assert '<tr><td>&lt;b&gt;</td><td class="number" data-value="0.123456">0.123</td></tr>' in text
    assert '<td class="number">–</td>' in text
    assert "nan" not in text.lower()
    assert "http" not in text
