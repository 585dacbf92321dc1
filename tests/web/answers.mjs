// What the mock answers: chosen by words of the last question, so that a test or a person can call up every state.

const json = (value) => "```json\n" + JSON.stringify(value, null, "\t") + "\n```";

const switches = [
  { bbox_2d: [612, 384, 668, 486], label: "light switch" },
  { bbox_2d: [112, 300, 372, 842], label: "armchair" },
  { bbox_2d: [700, 180, 930, 520], label: "window" },
];

const controls = [
  { bbox_2d: [30, 40, 130, 100], label: "Files menu" },
  ...Array.from({ length: 48 }, (_, i) => {
    const x = 40 + (i % 8) * 118;
    const y = 150 + Math.floor(i / 8) * 134;
    return { bbox_2d: [x, y, x + 96, y + 104], label: `tile ${i + 1}, ${["report.pdf", "holiday.jpg", "notes.txt", "budget.xlsx"][i % 4]}` };
  }),
];

const page = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Sign in</title>
<style>
  body { margin: 0; display: grid; place-items: center; min-height: 100vh; font-family: system-ui; background: #eef2f7; }
  form { width: 300px; padding: 28px; background: #fff; border-radius: 12px; box-shadow: 0 8px 30px #0002; display: grid; gap: 12px; }
  input { padding: 10px; border: 1px solid #cbd5e1; border-radius: 8px; }
  button { padding: 10px; border: 0; border-radius: 8px; background: #2563eb; color: #fff; }
</style></head>
<body>
<form><h2>Sign in</h2><input placeholder="Email"><input placeholder="Password" type="password"><button type="button">Go on</button></form>
<script>document.body.dataset.ran = "yes"; parent.document.title = "escaped";</script>
</body>
</html>`;

const long = `## What the chart shows

Revenue grew in **three of four** quarters; the dip in Q2 comes from one plant that stood still for six weeks. The line on the right axis is the
margin, and it moves *against* revenue, which is unusual.

| Quarter | Revenue | Margin | Note |
| :-- | --: | --: | :-- |
| Q1 | 41.2 M | 12.1 % | first quarter with the new plant |
| Q2 | 36.8 M | 13.9 % | plant in Ulm stood still |
| Q3 | 44.0 M | 11.7 % | |
| Q4 | 52.3 M | 10.2 % | largest order so far |

### How to read it

1. The bars start at zero, so their heights compare fairly.
2. The margin's axis does **not** start at zero: a step of one grid line is 1.5 points.
   - On the left edge the axis begins at 9 %.
   - The dashed part is a forecast.
3. The footnote says that figures are unaudited.

> Figures for Q4 are preliminary and may change.

A short script recomputes the growth:

\`\`\`python
revenue = [41.2, 36.8, 44.0, 52.3]

for before, after in zip(revenue, revenue[1:]):
    growth = (after - before) / before
    print(f"{growth:+.1%}")  # quarter on quarter
\`\`\`

It prints \`-10.7%\`, \`+19.6%\` and \`+18.9%\`. See [how margins are defined](https://example.org/margins) for the small print.

- [x] numbers checked against the table
- [ ] forecast left out
`;

const hostile = `Before <img src=x onerror="document.title='owned'"> <script>document.title='owned'</script>
[click](javascript:document.title='owned') <a href="data:text/html,hi">data</a> <iframe src="/"></iframe>
<style>body{display:none}</style> <form action="https://example.org"><input name=a></form> ![pixel](https://example.org/p.png)

After.`;

/** @returns {{ reasoning?: string, text: string, fault?: "http" | "busy" | "sse" | "drop" | "empty" | "length" }} */
export function answerTo(question, pictures) {
  const q = question.toLowerCase();
  const has = (...words) => words.some((w) => q.includes(w));
  if (has("too long")) return { text: "", fault: "http" };
  if (has("busy")) return { text: "", fault: "busy" };
  if (has("break off")) return { text: "The first part arrives, ", fault: "drop" };
  if (has("fail midway")) return { text: "The first part arrives, ", fault: "sse" };
  if (has("say nothing")) return { text: "", fault: "empty" };
  if (has("run out")) return { text: "This sentence ends before its", fault: "length" };
  if (has("revenue", "营收")) {
    return {
      text: `Revenue was **41.2 M** [p. 3], up from the year before [p. 12, 100, 300, 500, 400]. The note on [report-40.pdf, page 7 of 40] disagrees.\n\n${json([
        { page: 3, bbox_2d: [100, 300, 500, 400], label: "Total" }, { page: 7, bbox_2d: [100, 640, 800, 700], label: "the note" },
      ])}`,
    };
  }
  if (has("brackets")) return { text: `${"[".repeat(8000)} ${"words and ".repeat(400)} 00:00:05 ${"1:".repeat(3000)} ${"numbers, ".repeat(300)} [p. 2]` };
  if (has("when", "何时")) return { text: "The circle comes in at [00:00:02 - 00:00:04] and leaves at [0:06]. Between them, 1.0 - 1.5 seconds, nothing moves." };
  if (has("hostile")) return { text: hostile };
  if (has("think", "why")) {
    return {
      reasoning: "The picture shows a room. A window on the right gives the light.\n\nThe chair's shadow falls to the left, so the sun stands on the right.\nThe shadow is about as long as the chair is high: 45 degrees.\nThat fits a morning in spring or an afternoon in autumn.",
      text: "The light comes **from the right**, through the window: the shadow of the armchair falls to the left and is about as long as the chair is high.",
    };
  }
  if (has("every", "many", "所有")) return { text: `There are ${controls.length} of them:\n\n${json(controls)}` };
  if (has("bare")) return { text: `It is here: ${JSON.stringify(switches[0])} and that is all.` };
  if (has("click", "点击")) {
    return { text: `I will press it.\n<tool_call>\n{"name": "computer_use", "arguments": {"action": "left_click", "coordinate": [640, 432]}}\n</tool_call>` };
  }
  if (has("count", "point")) {
    return { text: `Three objects:\n\n${json([{ point_2d: [640, 432], label: "light switch" }, { point_2d: [240, 560], label: "armchair" }, { point_2d: [815, 350], label: "window" }])}` };
  }
  if (has("find", "where", "switch", "找", "哪")) return { text: `The switch is on the wall between the armchair and the window.\n\n${json(switches)}\n\nThe armchair and the window are marked so that you can see where it lies.` };
  if (has("html")) return { text: "This page looks like the screenshot:\n\n```html\n" + page + "\n```\n" };
  if (has("json", "form", "表单")) return { text: json({ name: "Ada Lovelace", born: "1815-12-10", city: "London", newsletter: true, items: [{ sku: "A-1", count: 2 }] }) };
  if (has("long", "explain")) return { text: long };
  if (has("你好", "这", "图", "什么")) return { text: "这张图片里是一间安静的房间：左边有一把**绿色扶手椅**，右边是一扇明亮的窗户，墙上有一个白色的电灯开关。\n\n- 光线从右侧照入，影子落在左侧；\n- 地板是浅色木地板，“没有地毯”。\n\n如果需要，我可以标出每件物品的位置。" };
  return { text: `I see ${pictures === 1 ? "one picture" : `${pictures} pictures`}: a quiet room with a green armchair on the left, a bright window on the right and a white light switch on the wall between them.` };
}
