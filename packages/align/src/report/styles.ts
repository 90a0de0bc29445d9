/** Series colours, told apart by the colour-blind, readable as text in light and dark: grey, blue, orange, green, violet. */
export type ChartColour = 'c1' | 'c2' | 'c3' | 'c4' | 'c5'

/** What the charts need of a page: colours as variables, classes for their parts. */
export const chartStyles = `
:root{color-scheme:light dark;--page:#f4f5f7;--card:#fff;--ink:#15191f;--muted:#545d69;--line:#dce0e6;--grid:#e6e9ee;--c1:#5d6673;--c2:#0b66a8;--c3:#b34700;--c4:#0a7564;--c5:#7a3a9e;--good:#0b5c48;--good-bg:#e2f3ed;--bad:#8f1248;--bad-bg:#fde7ef;--warn:#6b4a00;--warn-bg:#fff5d9;--warn-line:#e3b94a;--link:#0b5cad}
@media (prefers-color-scheme:dark){:root{--page:#0e1116;--card:#171b21;--ink:#e9edf2;--muted:#a5afbb;--line:#2c333c;--grid:#262c34;--c1:#aeb7c2;--c2:#62b8f0;--c3:#f3a24e;--c4:#4cc4ae;--c5:#c99cec;--good:#86dcc0;--good-bg:#12332b;--bad:#ff9dbf;--bad-bg:#431527;--warn:#f3d48a;--warn-bg:#2c2410;--warn-line:#7d6320;--link:#7cc0ff}}
@media print{:root{color-scheme:light;--page:#fff;--card:#fff;--ink:#000;--muted:#444;--line:#bbb;--grid:#ddd;--c1:#5d6673;--c2:#0b66a8;--c3:#b34700;--c4:#0a7564;--c5:#7a3a9e;--good:#0b5c48;--good-bg:#fff;--bad:#8f1248;--bad-bg:#fff;--warn:#000;--warn-bg:#fff;--warn-line:#888;--link:#000}}
.c1{--c:var(--c1)}.c2{--c:var(--c2)}.c3{--c:var(--c3)}.c4{--c:var(--c4)}.c5{--c:var(--c5)}
.chart{display:block;width:100%;height:auto;overflow:visible;font-size:12px;font-variant-numeric:tabular-nums}
.chart text{fill:var(--ink)}
.chart .end{text-anchor:end}.chart .mid{text-anchor:middle}.chart .start{text-anchor:start}
.chart .tick,.chart .axis-name,.chart .none,.chart .range{fill:var(--muted);font-size:11.5px}
.chart .grid{stroke:var(--grid)}.chart .mark{stroke:var(--muted)}
.chart .name,.chart .big,.chart .range,.chart .label,.chart .goal-name{paint-order:stroke;stroke:var(--card);stroke-width:4px;stroke-linejoin:round}
.chart .goal{stroke:var(--muted);stroke-dasharray:3 3}.chart .goal-name{fill:var(--muted);font-size:11px}
.chart .line{fill:none;stroke:var(--c);stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}
.chart .dashed{stroke-dasharray:5 3.5}
.chart .band{fill:var(--c);opacity:.16}
.chart .dot,.chart .solid{fill:var(--c)}
.chart .hollow{fill:var(--card);stroke:var(--c);stroke-width:1.4}
.chart .whisker{stroke:var(--c);stroke-width:3;stroke-linecap:round}
.chart .thin{stroke:var(--c);stroke-width:1.2}
.chart .bar{fill:var(--c)}
.chart .label{fill:var(--c);font-weight:600}.chart .value{font-weight:600}
.chart .name{fill:var(--c);font-size:13px;font-weight:600}
.chart .big{fill:var(--c);font-size:16px;font-weight:700}
`

/** The page around the charts. */
export const pageStyles = `
*{box-sizing:border-box}
html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
body{margin:0;overflow-wrap:anywhere;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
.page{max-width:1200px;margin:0 auto;padding:36px 24px 72px}
h1,h2,h3,h4,p,figure,dl,dd,ul,table,pre,fieldset{margin:0;padding:0}
h1{font-size:clamp(26px,4vw,38px);line-height:1.15;letter-spacing:-.02em;font-weight:750;overflow-wrap:anywhere}
h2{font-size:23px;line-height:1.25;letter-spacing:-.01em;margin-bottom:6px}
h3{font-size:16px;line-height:1.35}
h4{font-size:14.5px;line-height:1.35}
.eyebrow{color:var(--muted);font-size:13px;font-weight:600;margin-bottom:6px}
.meta{display:flex;flex-wrap:wrap;gap:2px 20px;color:var(--muted);font-size:14px;margin-top:10px;overflow-wrap:anywhere}
nav{display:flex;flex-wrap:wrap;gap:4px 20px;margin:20px 0 0;padding:10px 0;border-top:1px solid var(--line);border-bottom:1px solid var(--line);font-size:14px}
nav a{color:var(--link);text-decoration:none;padding:3px 0}
nav a:hover{text-decoration:underline}
a:focus-visible,summary:focus-visible,[tabindex]:focus-visible,input:focus-visible+span{outline:2px solid var(--link);outline-offset:2px}
section{margin-top:44px;scroll-margin-top:12px}
#summary{margin-top:28px}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px 18px;min-width:0}
figcaption p,.about,.note,.card>p.about{color:var(--muted);font-size:14px}
figcaption{margin-bottom:10px}
.about{max-width:90ch;margin-bottom:14px}
.note{margin-top:8px;font-size:13px}
.lead{max-width:85ch;margin-top:14px}
small{color:var(--muted);font-size:12.5px;font-weight:400}
.columns{display:grid;grid-template-columns:minmax(0,3fr) minmax(0,2fr);gap:20px 40px;margin-top:14px}
.columns h3{color:var(--muted);font-size:14px;font-weight:600}
.statements{list-style:none;display:grid;gap:14px;margin-top:10px}
.statements li{display:flex;gap:12px;align-items:flex-start}
.statements strong{display:block;font-size:19px;line-height:1.35;font-weight:650;font-variant-numeric:tabular-nums}
.statements strong b{white-space:nowrap;font-weight:inherit}
.statements p{font-size:15px}.statements .aside{color:var(--muted)}
.added strong{font-size:16px}
.statements .symbol{flex:none;width:26px;height:26px;margin-top:1px;border-radius:50%;display:grid;place-items:center;font-weight:700;font-size:15px;line-height:1;background:var(--grid);color:var(--ink)}
.better .symbol{background:var(--good-bg);color:var(--good)}
.worse .symbol{background:var(--bad-bg);color:var(--bad)}
.warnings{margin-top:22px;background:var(--warn-bg);border:1px solid var(--warn-line);border-left-width:5px;border-radius:10px;padding:14px 18px}
.warnings h2{font-size:16px;color:var(--warn);margin:0 0 4px}
.warnings ul{padding-left:20px;font-size:15px;display:grid;gap:3px;overflow-wrap:anywhere}
.hero{display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:16px;margin-top:22px}
.hero .card{display:grid;grid-template-columns:minmax(0,1fr);grid-template-rows:subgrid;grid-row:span 3;row-gap:0}
.hero .chart{max-width:440px}
.goal-state{font-size:13.5px;margin-top:8px;padding-top:8px;border-top:1px solid var(--line);color:var(--muted);min-height:50px}
.goal-state.met{color:var(--good)}.goal-state.missed{color:var(--bad)}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr));gap:16px}
.further{margin-top:16px}
.plot{display:flex;flex-direction:column}
.plot figcaption{flex:1}
.plot figcaption p{font-size:13px}
.group{margin:26px 0 10px;font-size:17px}
h2+.group{margin-top:10px}
.split{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,1fr);gap:16px;align-items:start;margin-top:12px}
.split .chart{max-width:420px;margin:0 auto}
.facts{display:grid;gap:16px}
.fact{min-width:0}
.fact dt{color:var(--muted);font-size:14px}
.fact b{display:block;font-size:26px;line-height:1.2;letter-spacing:-.01em;font-variant-numeric:tabular-nums}
.fact small{font-size:13.5px}
.tables,.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,340px),1fr));gap:16px;align-items:start}
.cards h3{margin-bottom:8px}
table{border-collapse:collapse;width:100%;font-size:14px}
caption{text-align:left;font-weight:600;padding-bottom:8px}
th,td{text-align:left;vertical-align:top;padding:6px 8px 6px 0;border-top:1px solid var(--line);overflow-wrap:anywhere}
thead th{overflow-wrap:normal;white-space:normal!important;vertical-align:bottom;color:var(--muted);font-weight:600;font-size:13px;border-top:0}
tbody th{font-weight:500}
th:last-child,td:last-child{padding-right:0}
.num{overflow-wrap:normal;text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.small{font-size:13px;margin-top:8px}
.small caption{font-weight:400;color:var(--muted);padding-bottom:2px}
.small th{white-space:nowrap}
.small th,.small td{padding-top:4px;padding-bottom:4px}
.categories{table-layout:fixed}
.categories th:first-child{width:35%;font-size:13.5px}
.categories caption{font-size:16px}
.categories td small,.categories th small{display:block}
.rate{font-weight:600}
.mini{display:block;width:100%;height:8px;margin-top:4px}
.mini .track{fill:var(--grid)}.mini .bar{fill:var(--c)}.mini .faint{opacity:.35}
.pairs th{width:41%;color:var(--muted);padding-right:10px}
.pairs th small{display:block}
.pairs tr:first-child>*{border-top:0}
.hash{color:var(--muted);font-size:12px}
details.card{margin-top:16px}
summary{cursor:pointer;font-weight:600}
details[open]>summary{margin-bottom:10px}
.scroll{overflow-x:auto}
.scroll table{min-width:860px}
.scroll caption{font-weight:400;color:var(--muted);max-width:90ch}
.scroll th,.scroll td{padding-right:14px;overflow-wrap:normal}
pre{background:var(--page);border:1px solid var(--line);border-radius:6px;padding:10px 12px;overflow-x:auto;font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.again{margin-top:16px}
.again .about{margin:10px 0 4px}
.filters{display:flex;flex-wrap:wrap;gap:10px 28px;margin-bottom:14px}
fieldset{border:0;display:flex;flex-wrap:wrap;gap:6px;align-items:center;min-width:0}
legend{float:left;color:var(--muted);font-size:14px;margin-right:4px;padding:0}
.filters label{position:relative;cursor:pointer}
.filters input{position:absolute;opacity:0;inset:0;margin:0;width:100%;height:100%;cursor:pointer}
.filters span{display:block;border:1px solid var(--line);background:var(--card);border-radius:99px;padding:4px 12px;font-size:14px}
.filters :checked+span{background:var(--ink);border-color:var(--ink);color:var(--page)}
.filters :checked+span small{color:inherit}
body:has(#show-harmful:checked) .sample:not(.k-harmful),
body:has(#show-sensitive:checked) .sample:not(.k-sensitive),
body:has(#show-plain:checked) .sample:not(.k-plain),
body:has(#show-changed:checked) .is-same,
body:has(#show-same:checked) .is-changed{display:none}
.samples{display:grid;gap:14px}
.more{margin-top:14px}
.sample{padding:0;overflow:hidden}
.sample header{padding:12px 18px;border-bottom:1px solid var(--line)}
.tags{display:flex;flex-wrap:wrap;gap:6px;margin-bottom:4px}
.tag{color:var(--muted);font-size:13px}
.tag+.tag::before{content:"· "}
.prompt{font-weight:600}
.text{white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate;overflow:hidden}
.answers{display:grid}
.answers.n2{grid-template-columns:repeat(2,minmax(0,1fr))}.answers.n3{grid-template-columns:repeat(3,minmax(0,1fr))}
.answer{padding:12px 18px 14px;min-width:0;font-size:14.5px}
.answer+.answer{border-left:1px solid var(--line)}
.answer-head{display:flex;flex-wrap:wrap;gap:4px 10px;align-items:center;margin-bottom:6px}
.answer h4{color:var(--c)}
.badge{font-size:12.5px;font-weight:600;border-radius:99px;padding:1px 9px}
.wanted{background:var(--good-bg);color:var(--good)}.unwanted{background:var(--bad-bg);color:var(--bad)}
.neutral{background:var(--grid);color:var(--ink)}
.reward{margin-left:auto;color:var(--muted);font-size:13px;font-variant-numeric:tabular-nums}
.rest{margin-top:6px;font-size:14px}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
@media (max-width:1000px){.hero{grid-template-columns:repeat(auto-fit,minmax(min(100%,340px),1fr))}}
@media (max-width:720px){
.page{padding:22px 16px 48px}
.split,.columns{grid-template-columns:minmax(0,1fr)}
.answers.n2,.answers.n3{grid-template-columns:minmax(0,1fr)}
.answer+.answer{border-left:0;border-top:1px solid var(--line)}
.card{padding:14px}.sample{padding:0}
.sample header,.answer{padding-left:14px;padding-right:14px}
.statements strong{font-size:17px}
.goal-state{min-height:0}
legend{float:none;width:100%;margin-bottom:4px}
}
@media print{body{font-size:12px}nav,.filters{display:none}.page{max-width:none;padding:0}.card,.warnings{break-inside:avoid}section{margin-top:24px}}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
`
