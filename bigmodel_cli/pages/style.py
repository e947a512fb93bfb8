"""How the pages look: on a screen, a phone, in the dark and on paper."""

# On a phone each row becomes a block whose cells carry the names of their columns. Browsers take `display:
# block` for the end of a table, so the roles are said again in the markup.
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --paper: #ffffff; --line: #d0d7de;
  --shade: #f3f5f8; --link: #0b57b8; --mark: #116329; --mark-paper: #dafbe1; --warn: #8a4600; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9da7b3; --paper: #15191e;
  --line: #3d444d; --shade: #1e242b; --link: #79b8ff; --mark: #7ee787; --mark-paper: #12261e;
  --warn: #f0b072; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 70rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; padding-bottom: .25rem;
  border-bottom: 2px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .25rem; }
a { color: var(--link); }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; margin: 1rem 0; padding: 0; }
table { border-collapse: collapse; width: 100%; margin: 1.5rem 0 .5rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-size: 1.05rem; font-weight: 600; padding-bottom: .4rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0;
  border-bottom: 1px solid var(--line); }
/* The last column holds what may be long: for it, `anywhere` would break the others letter by letter. */
th:not(:last-child), td:not(:last-child) { overflow-wrap: break-word; }
thead th { color: var(--soft); font-weight: 600; }
tbody th { font-weight: 500; }
.number { text-align: right; white-space: nowrap; }
.best { font-weight: 700; }
.best span { color: var(--mark); background: var(--mark-paper); border-radius: .25rem; padding: 0 .3rem;
  font-size: .8rem; margin-left: .35rem; }
p.note { color: var(--soft); margin: .25rem 0; }
p.warning { color: var(--warn); font-weight: 600; margin: .25rem 0; }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.25rem; margin: 1rem 0; }
dl.facts dt { color: var(--soft); }
dl.facts dd { margin: 0; }
ul.figures { list-style: none; display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.25rem 0; padding: 0; }
ul.figures li { flex: 1 1 14rem; background: var(--shade); border-radius: .5rem; padding: .75rem 1rem; }
ul.figures .value { display: block; font-size: 1.9rem; font-weight: 650; line-height: 1.2;
  font-variant-numeric: tabular-nums; }
ul.figures .name, ul.figures .detail { display: block; color: var(--soft); }
figure { margin: 1.75rem 0; }
figure img { max-width: 100%; height: auto; background: #ffffff; border-radius: .35rem; }
.gallery { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr));
  gap: 1.75rem; margin: 1.75rem 0; align-items: start; }
.gallery figure { margin: 0; }
figcaption { color: var(--soft); }
pre { background: var(--shade); border-radius: .5rem; padding: .75rem 1rem;
  font: .875rem/1.5 ui-monospace, monospace; white-space: pre-wrap; }
@media (max-width: 40rem) {
  table, caption, tbody, tr, th, td { display: block; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { padding: .4rem 0; border-bottom: 1px solid var(--line); }
  th, td { border: 0; padding: .1rem 0; }
  tbody th { font-weight: 700; }
  td { display: flex; justify-content: space-between; gap: 1rem; text-align: right; }
  td::before { content: attr(data-column); color: var(--soft); text-align: left; flex: 0 1 45%; }
  td > div { flex: 1 1 50%; white-space: normal; }
  dl.facts { grid-template-columns: 1fr; gap: 0; }
  dl.facts dd { margin-bottom: .5rem; }
}
@media print {
  :root { --ink: #000; --soft: #444; --paper: #fff; --line: #bbb; --shade: #f3f5f8;
    --link: #000; --warn: #000; }
  body { max-width: none; padding: 0; font-size: .9rem; }
  nav { display: none; }
  tr, figure, ul.figures li { break-inside: avoid; }
  h2 { break-after: avoid; }
  figure img { max-height: 22cm; }
}
"""
