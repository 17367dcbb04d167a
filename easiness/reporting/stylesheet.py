"""Look of the page: light and dark, wide and narrow, on screen and on paper."""

STYLESHEET = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --line: #d1d9e0; --paper: #fff; --panel: #f6f8fa;
  --link: #0550ae; --good: #0072b2; --bad: #b3470f; --open: #59636e;
  --m0: #0072b2; --m1: #c2500a; --m2: #00785a; --m3: #a3507e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9ea7b3; --line: #3d444d; --paper: #0d1117;
  --panel: #151b23; --link: #6cb6ff; --good: #56b4e9; --bad: #f0883e; --open: #9ea7b3;
  --m0: #56b4e9; --m1: #f0883e; --m2: #2fc49a; --m3: #e79bc6; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 3.5rem; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI",
  Roboto, sans-serif; }
header, main, footer { max-width: 76rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.45rem; margin: 3rem 0 .75rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
h1, h2, h3, p, li, figcaption, summary, td, dd { overflow-wrap: anywhere; }
p, .verdicts, figcaption { max-width: 46rem; }
a { color: var(--link); }
nav { position: sticky; top: 0; z-index: 1; background: var(--paper); border-bottom: 1px solid var(--line); }
nav ul { max-width: 76rem; margin: 0 auto; padding: .5rem 1.25rem; display: flex; gap: 1.25rem; list-style: none;
  overflow-x: auto; white-space: nowrap; }
nav a { text-decoration: none; }
a:focus-visible, summary:focus-visible, button:focus-visible, input:focus-visible { outline: 2px solid var(--link);
  outline-offset: 2px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1.25rem;
  margin: 1.25rem 0; align-items: start; }
figure { margin: 0; max-width: 36rem; border: 1px solid var(--line); border-radius: 8px; overflow: hidden;
  background: var(--panel); }
figure img { display: block; width: 100%; max-width: 100%; height: auto; background: #fff; }
figcaption { padding: .6rem .8rem; font-size: .9rem; color: var(--soft); }
.wide { overflow-x: auto; margin: .75rem 0; max-width: 100%; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding: .25rem 0 .5rem; font-size: .9rem; max-width: none; }
caption span { position: sticky; left: 0; display: inline-block; max-width: min(46rem, calc(100vw - 2.5rem)); }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .75rem .3rem 0; text-align: left; vertical-align: top; }
th { white-space: nowrap; background: var(--paper); }
td { white-space: nowrap; }
td.long { white-space: normal; min-width: 16rem; max-width: 30rem; }
.n { text-align: right; white-space: nowrap; }
th button { all: unset; cursor: pointer; font-weight: 600; }
th button::after { content: " ↕"; color: var(--soft); font-weight: 400; }
th[aria-sort=ascending] button::after { content: " ↑"; color: var(--ink); }
th[aria-sort=descending] button::after { content: " ↓"; color: var(--ink); }
th button:focus-visible { outline: 2px solid var(--link); }
.filter { font: inherit; font-size: .875rem; padding: .25rem .5rem; border: 1px solid var(--line); border-radius: 6px;
  background: var(--paper); color: inherit; width: min(100%, 18rem); }
details.fold > summary { cursor: pointer; padding: .6rem 0; font-weight: 600; }
details.fold { border-top: 1px solid var(--line); }
.verdicts { list-style: none; margin: 0; padding: 0; }
.verdicts li { border-left: 4px solid var(--open); padding: .1rem 0 .1rem .9rem; margin: 1rem 0; }
.verdicts li.holds { border-color: var(--good); }
.verdicts li.fails { border-color: var(--bad); border-left-style: double; }
.verdicts li.unknown { border-left-style: dotted; }
.verdicts strong { margin-right: .4rem; }
.judged { white-space: nowrap; }
.badge { display: inline-block; font-size: .8rem; font-weight: 600; border: 1.5px solid; border-radius: 99px;
  padding: 0 .6rem; color: var(--open); white-space: nowrap; }
.holds .badge { color: var(--good); }
.fails .badge { color: var(--bad); }
.place { color: var(--soft); font-size: .85rem; }
.verdicts p { margin: .25rem 0; font-size: .95rem; }
.rule { color: var(--soft); font-size: .85rem; }
.rule summary { cursor: pointer; }
.row h4 { margin: 1rem 0 .35rem; font-size: .95rem; }
.items { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.6rem, 1fr)); gap: .6rem; }
.item { border: 1px solid var(--line); border-radius: 8px; background: var(--panel); font-size: .78rem;
  line-height: 1.35; }
.item > summary { list-style: none; cursor: pointer; padding: .45rem; }
.item > summary::-webkit-details-marker { display: none; }
.item img, .item .none { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; border-radius: 5px;
  margin-bottom: .35rem; }
.item img.small { image-rendering: pixelated; }
.item .none { display: grid; place-items: center; border: 1px dashed var(--line); color: var(--soft); }
.item b { font-weight: 600; }
.item[open] { grid-column: 1 / -1; }
.item[open] > summary { float: left; width: 11rem; }
.item[open] .course { overflow: hidden; padding: .6rem; }
.course { padding: 0 .6rem .6rem; }
.course > svg { display: block; width: 100%; max-width: 26rem; height: auto; overflow: visible; }
.course svg text { fill: var(--soft); font-size: 9px; }
.course svg polyline, .course svg .key path, svg.key path { fill: none; stroke-width: 1.8; }
.course svg .axis { fill: none; stroke: var(--line); }
.course ul { list-style: none; margin: .4rem 0 0; padding: 0; }
svg.key { width: 24px; height: 6px; vertical-align: middle; margin-right: .3rem; }
svg .m0 { stroke: var(--m0); } svg .m1 { stroke: var(--m1); } svg .m2 { stroke: var(--m2); }
svg .m3 { stroke: var(--m3); }
.course svg circle { fill: none; stroke-width: 1.8; }
footer { margin-top: 3rem; padding-bottom: 2rem; color: var(--soft); font-size: .875rem; }
@media (max-width: 40rem) {
  body { font-size: 15px; }
  header, main, footer { padding-left: .9rem; padding-right: .9rem; }
  header { padding-top: 1.25rem; }
  nav ul { padding: .5rem .9rem; }
  h1 { font-size: 1.5rem; }
  h2 { margin-top: 2.2rem; font-size: 1.25rem; }
  .items { grid-template-columns: repeat(auto-fill, minmax(6rem, 1fr)); gap: .45rem; }
  .item[open] > summary { float: none; }
}
@media print {
  :root { color-scheme: light; --ink: #000; --soft: #444; --line: #bbb; --paper: #fff; --panel: #fff; --link: #000;
    --good: #0072b2; --bad: #b3470f; --open: #444; }
  body { font-size: 10.5pt; }
  nav, .filter { display: none; }
  th button::after { content: ""; }
  header, main, footer { max-width: none; padding: 0; }
  .gallery details.fold::details-content { content-visibility: visible; display: block; block-size: auto; }
  figure, .item, tr, .verdicts li { break-inside: avoid; }
  h2, h3, h4 { break-after: avoid; }
  .charts { grid-template-columns: 1fr 1fr; gap: .6rem; }
  .items { grid-template-columns: repeat(8, 1fr); gap: .3rem; }
  .item { font-size: 6.5pt; }
  table { font-size: 6.5pt; }
  .wide { overflow: visible; }
  td, th, td.long, .n { white-space: normal; overflow-wrap: anywhere; min-width: 2.6em; padding-right: .5em; }
}
"""
