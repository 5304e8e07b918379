"""The style sheet of the page, for light and dark, narrow and wide, screen and paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fdfdfb; --card: #ffffff; --ink: #1c2024; --soft: #59626b; --rule: #d9dce0; --grid: #e8eaed;
  --accent: #0b5f8f; --good: #146c43; --bad: #a3331a; --wash: #f4f5f2;
  --s0: #0b6aa8; --s1: #c4500a; --s2: #0a7d5c; --s3: #9c3f7c; --s4: #6b5a00; --s5: #4b4f9e;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --card: #1b1f23; --ink: #e8eaec; --soft: #a3acb5; --rule: #353c43; --grid: #2a3036;
    --accent: #74b9e6; --good: #6fcf9a; --bad: #f2977c; --wash: #1f2429;
    --s0: #62b4ee; --s1: #f39a5c; --s2: #4fc9a0; --s3: #e08fc4; --s4: #d8c24f; --s5: #a9adf5;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body {
  margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 68rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
}
h1, h2, h3 { line-height: 1.2; text-wrap: balance; font-weight: 650; }
h1 { font-size: clamp(1.7rem, 5vw, 2.5rem); margin: 0 0 .4rem; letter-spacing: -.02em; }
h2 { font-size: 1.4rem; margin: 0 0 .75rem; letter-spacing: -.01em; }
h3 { font-size: 1rem; margin: 0 0 .35rem; }
p { margin: 0 0 .75rem; max-width: 46rem; }
a { color: var(--accent); }
a:focus-visible, [tabindex]:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.about { color: var(--soft); font-size: 1.05rem; }
section { margin-top: 2.25rem; }
#headline { margin-top: 1.25rem; }
#headline figure { max-width: none; }
.sentence { font-size: clamp(1.15rem, 3.2vw, 1.5rem); line-height: 1.35; font-weight: 600; max-width: 52rem; }
.numbers { display: grid; gap: .9rem; margin-top: 1.25rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 13.5rem), 1fr)); }
.number { background: var(--card); border: 1px solid var(--rule); border-top: 4px solid var(--accent);
  border-radius: 6px; padding: .8rem 1rem .3rem; }
.number.open { border-top: 4px dashed var(--soft); background: var(--wash); }
.number h2 { color: var(--soft); font-weight: 550; font-size: 1rem; margin: 0 0 .35rem; letter-spacing: 0; }
.number p:last-child { font-size: .88rem; color: var(--soft); }
details { border-top: 1px solid var(--rule); padding: .2rem 0; }
details:last-child { border-bottom: 1px solid var(--rule); }
summary { cursor: pointer; padding: .5rem 0; }
summary h3 { display: inline; }
summary:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
details[open] > summary { margin-bottom: .5rem; }
.answers { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr)); gap: 1rem; }
.answer { background: var(--card); border: 1px solid var(--rule); border-left: 4px solid var(--accent);
  border-radius: 6px; padding: 1rem 1.15rem .5rem; }
.answer.open { border-left: 4px dashed var(--soft); background: var(--wash); }
.answer h3 { color: var(--soft); font-weight: 550; }
.figure { font-size: 1.5rem; font-weight: 650; line-height: 1.25; margin: 0 0 .3rem; letter-spacing: -.01em; }
.figure small { display: block; font-size: .88rem; font-weight: 450; color: var(--soft); letter-spacing: 0; }
.figure .unit { font-size: 1rem; font-weight: 550; }
.ratio { font-size: .85rem; color: var(--soft); }
.charts { display: grid; gap: 1.25rem 1.5rem; margin: 1.25rem 0 1.75rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 27rem), 1fr)); }
figure { margin: 0; max-width: 40rem; break-inside: avoid; }
figcaption { font-weight: 600; margin-bottom: .3rem; }
figcaption p { font-weight: 400; font-size: .86rem; color: var(--soft); margin: .1rem 0 0; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--soft); font-size: 12.5px; font-family: inherit; font-variant-numeric: tabular-nums; }
svg .name { fill: var(--ink); font-size: 12.5px; }
svg .strong { fill: var(--ink); font-weight: 650; }
svg .grid { stroke: var(--grid); fill: none; }
svg .axis, svg .tick { stroke: var(--soft); fill: none; stroke-width: 1; }
svg .zero { stroke: var(--ink); stroke-width: 1.2; fill: none; }
svg .level { stroke: var(--soft); stroke-width: 1.2; stroke-dasharray: 5 4; fill: none; }
svg .line { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; }
svg .band { fill: currentColor; opacity: .17; }
svg .whisker, svg .cross { fill: none; stroke: currentColor; stroke-width: 1.6; }
svg .dot { fill: currentColor; stroke: var(--paper); stroke-width: .7; }
.s0 { color: var(--s0); } .s1 { color: var(--s1); } .s2 { color: var(--s2); }
.neutral { color: var(--soft); }
.s3 { color: var(--s3); } .s4 { color: var(--s4); } .s5 { color: var(--s5); }
.key { display: flex; flex-wrap: wrap; gap: .1rem 1rem; list-style: none; margin: .35rem 0 0; padding: 0;
  font-size: .84rem; color: var(--soft); }
.key li { display: flex; align-items: center; gap: .4rem; }
.key svg { width: 28px; flex: none; }
.scroll { overflow: auto; width: fit-content; max-width: 100%; margin: 1.25rem 0 .5rem;
  border: 1px solid var(--rule); border-radius: 6px;
  background: var(--card); }
.tall { max-height: 30rem; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; font-size: 1rem; padding: .7rem .8rem .4rem; }
th, td { padding: .36rem .8rem; text-align: right; vertical-align: top; border-top: 1px solid var(--grid); }
thead th { white-space: nowrap; color: var(--soft); font-weight: 550; vertical-align: bottom; border-top: 0;
  border-bottom: 1px solid var(--rule); }
.tall thead th { position: sticky; top: 0; background: var(--card); }
th.text, td.text { text-align: left; }
tbody th { font-weight: 550; min-width: 6.5rem; }
td .span { display: block; color: var(--soft); font-size: .92em; white-space: nowrap; }
.note { font-size: .86rem; color: var(--soft); margin: 0 0 1.5rem; }
.verdict { font-weight: 650; white-space: nowrap; }
.pass { color: var(--good); } .fail { color: var(--bad); } .none { color: var(--soft); }
ul.plain { padding-left: 1.2rem; max-width: 46rem; } ul.plain li { margin-bottom: .4rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.25rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.narrow { display: none; }
@media (max-width: 44rem) { .broad { display: none; } .narrow { display: block; } }
@media (max-width: 34rem) {
  body { padding: 1.5rem 1rem 3rem; }
  th, td { padding: .34rem .55rem; }
}
@media print {
  @page { margin: 16mm 14mm; }
  html { font-size: 9.5pt; }
  body { max-width: none; padding: 0; background: none; }
  details::details-content { content-visibility: visible; block-size: auto; }
  section { margin-top: 1.4rem; }
  .answer, .number, tr, figure, .scroll:not(.tall), .key { break-inside: avoid; }
  h2 + p { break-after: avoid; }
  .tall table { font-size: 5.8pt; } .tall :is(th, td) { padding: .1rem .2rem; min-width: 0; }
  .tall tbody th { min-width: 15em; overflow-wrap: anywhere; }
  thead th { white-space: normal; }
  .answers { grid-template-columns: 1fr 1fr; gap: .6rem; }
  .charts { grid-template-columns: 1fr 1fr; }
  .scroll { overflow: visible; border: 0; } .tall { max-height: none; }
  .tall thead th { position: static; }
  table { font-size: 8pt; width: auto; } caption { padding-inline: .4rem; } th, td { padding: .2rem .4rem; }
  h2, h3, caption, figcaption { break-after: avoid; }
  thead { display: table-header-group; }
}
"""
