"""Pictures of README and docs/: `python -m tests.readme_pictures RUN_ID`, with a Chromium.

The run is the one whose command stands below the picture in README; `suspects.csv` says what is shown.
"""

import io
import sys
import tempfile
from pathlib import Path

import mlflow
from PIL import Image

import easiness
from tests.browser import Browser, find_chromium

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "pictures"
SHOWN = 8
COLOURS = 128

# Pictures and labels of the first cards alone.
STYLE = f"""
body > *:not(main), #review > *:not(#cards), .facts, .near, .actions, .card:nth-child(n+{SHOWN + 1}),
.head .folder, .share {{ display: none !important; }}
body {{ padding: 0 !important; margin: 0 !important; max-width: none !important; }}
#cards {{ display: grid; gap: 12px; grid-template-columns: repeat(4, 1fr); padding: 12px; }}
#cards .card {{ box-shadow: none !important; display: block; margin: 0; padding: 10px; }}
#cards .card > img {{ width: 100%; }}
"""


def main(run_id):
    """Write both pictures, and the table of what the first shows."""
    FOLDER.mkdir(exist_ok=True)
    page = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="preview/index.html")
    with Browser(find_chromium()) as browser:
        browser.open(f"file://{page}", width=1000, height=760)
        browser.run(f"document.head.append(Object.assign(document.createElement('style'), {{textContent: `{STYLE}`}}))")
        height = browser.run("Math.ceil(document.getElementById('cards').getBoundingClientRect().height)")
        write(browser, "suspects.png", height)
        browser.open(f"file://{ROOT / 'reports' / 'cifar10' / 'index.html'}", width=800, height=700)
        write(browser, "page.png", 700)
    suspects = easiness.load_scores(run_id).table.sort_values("heldout_loss", ascending=False, kind="stable")
    shown = suspects.head(SHOWN)[["source", "class_name", "suggested_label", "group"]]
    shown.set_axis(["file", "given", "suggested", "drawn_as"], axis=1).to_csv(FOLDER / "suspects.csv", index=False)


def write(browser, name, height):
    """Write the upper part of what is seen, in few colours."""
    with tempfile.TemporaryDirectory() as folder:
        browser.picture(Path(folder, name))
        seen = Image.open(io.BytesIO(Path(folder, name).read_bytes())).convert("RGB")
    seen = seen.crop((0, 0, seen.width, min(height, seen.height)))
    seen.quantize(COLOURS, dither=Image.Dither.NONE).save(FOLDER / name, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
