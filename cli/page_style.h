// The look of the demo's page: one column, light or dark as the reader's system is.
#pragma once

namespace lathe::cli {

constexpr const char* kPageStyle = R"css(
:root { color-scheme: light dark; --page: #fbfaf7; --card: #ffffff; --ink: #1d2126; --soft: #667079; --edge: #e2e0d9;
  --c0: #0b6e8f; --c1: #c8572b; --c2: #8a63b8; --c3: #a9b0b5; --code: #f3f1ea; }
@media (prefers-color-scheme: dark) { :root { --page: #14171a; --card: #1c2024; --ink: #e6e8ea; --soft: #98a2ab;
  --edge: #31373d; --c0: #4fb7da; --c1: #ee8a5c; --c2: #b795e0; --c3: #59626a; --code: #23282d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 860px; margin: 0 auto; padding: 40px 20px 64px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 20px; margin: 0 0 4px; }
p { margin: 6px 0; } .soft, figcaption { color: var(--soft); font-size: 14px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(230px, 1fr)); gap: 14px; margin: 24px 0; }
.tile, section { background: var(--card); border: 1px solid var(--edge); border-radius: 10px; padding: 18px 20px; }
.tile b { display: block; font-size: 30px; line-height: 1.2; color: var(--c0); font-weight: 650; }
section { margin: 0 0 18px; padding: 22px 24px; }
figure { margin: 16px 0 0; } figcaption { margin-top: 4px; } svg { display: block; width: 100%; height: auto; }
svg text { font: 13px system-ui, sans-serif; fill: var(--ink); }
svg .mark, svg .name { fill: var(--soft); font-size: 12px; } svg .value { font-weight: 600; }
svg .end { font-weight: 600; } svg .end, svg .mark { paint-order: stroke; stroke: var(--card); stroke-width: 5px; }
.grid { stroke: var(--edge); } .axis { stroke: var(--soft); }
.line { fill: none; stroke-width: 2.2; stroke-linejoin: round; } .dashed { stroke-dasharray: 5 4; }
.c0 .line { stroke: var(--c0); } .c1 .line { stroke: var(--c1); } .c2 .line { stroke: var(--c2); }
.c0 circle, .bar.c0, svg .end.c0 { fill: var(--c0); } .c1 circle, .bar.c1, svg .end.c1 { fill: var(--c1); }
.c2 circle, .bar.c2, svg .end.c2 { fill: var(--c2); } .bar.c3 { fill: var(--c3); }
pre { background: var(--code); border-radius: 8px; padding: 14px 16px; white-space: pre-wrap; overflow-wrap: anywhere;
  font: 13px/1.5 ui-monospace, monospace; margin: 10px 0; } pre i { color: var(--soft); font-style: normal; }
.check::before { content: "✓ "; color: var(--c0); font-weight: 700; }
.wrong::before { content: "✗ "; color: var(--c1); }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: 13px; margin-top: 10px; }
th { text-align: left; color: var(--soft); font-weight: 500; } td, th { padding: 5px 12px 5px 0; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.call td { border-top: 1px solid var(--edge); font-weight: 600; }
tr.kernel td { padding: 1px 12px 1px 0; color: var(--soft); }
tr.kernel td:first-child { padding-left: 14px; } code { font: 12px ui-monospace, monospace; }
)css";

}  // namespace lathe::cli
