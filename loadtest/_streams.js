// The tab "Streams" of Locust's web page: what viewers see and the pool, second by second.
// Plain SVG; nothing is loaded from anywhere else.
"use strict";

(() => {
  const KEY = "streams";
  const POLL_MS = 1000;
  const SHOWN_S = 300;
  const WIDTH = 430;
  const HEIGHT = 170;
  const LEFT = 44;
  const BOTTOM = 18;
  const TOP = 8;
  const CHARTS = [
    {title: "Frames per second of a viewer", unit: "", lines: [["mean", "fps", 1]]},
    {
      title: "Input to frame", unit: "ms",
      lines: [["p50", "i2f_p50_s", 1000], ["p95", "i2f_p95_s", 1000]],
    },
    {title: "Bitrate of all viewers", unit: "Mbps", lines: [["sum", "bitrate_bps", 1e-6]]},
    {
      title: "Sessions", unit: "",
      lines: [["watching", "watching", 1], ["joining", "pending", 1], ["stalled", "stalled", 1]],
    },
    {
      title: "Workers", unit: "",
      lines: [["ready", "ready", 1], ["busy", "busy", 1], ["booting", "booting", 1]],
    },
  ];
  const COLOURS = ["#2e7de1", "#d9822b", "#c0392b"];

  const host = document.createElement("section");
  host.id = "remote-render-streams";
  host.setAttribute("aria-label", "Streams");
  host.style.cssText = "display:none;flex-wrap:wrap;gap:24px;padding-bottom:24px";

  const element = (name, attributes, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const panels = CHARTS.map((chart) => {
    const figure = document.createElement("figure");
    figure.style.cssText = `margin:0;width:${WIDTH}px;max-width:100%`;
    const caption = document.createElement("figcaption");
    caption.style.cssText = "font-size:14px;margin-bottom:4px";
    const svg = element("svg", {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", width: "100%"});
    figure.append(caption, svg);
    host.append(figure);
    return {chart, caption, svg};
  });

  const nice = (top) => {
    const power = 10 ** Math.floor(Math.log10(top));
    return [1, 2, 5, 10].map((step) => step * power).find((round) => round >= top);
  };
  const short = (value) => (value >= 100 ? value.toFixed(0) : String(+value.toPrecision(3)));

  function draw({chart, caption, svg}, ticks) {
    const series = chart.lines.map(([name, key, scale]) => ({
      name,
      points: ticks
        .filter((tick) => tick[key] !== null)
        .map((tick) => [tick.t_s, tick[key] * scale]),
    }));
    const known = series.filter((line) => line.points.length > 0);
    caption.replaceChildren(`${chart.title} `);
    known.forEach((line) => {
      const mark = document.createElement("span");
      const newest = line.points[line.points.length - 1][1];
      mark.textContent = ` ${line.name} ${short(newest)}${chart.unit && ` ${chart.unit}`} `;
      mark.style.color = COLOURS[series.indexOf(line)];
      caption.append(mark);
    });
    svg.setAttribute("aria-label", caption.textContent);
    svg.replaceChildren();
    if (ticks.length === 0) return;
    const last = ticks[ticks.length - 1].t_s;
    const first = Math.min(ticks[0].t_s, last - 10);
    const top = nice(Math.max(1e-3, ...known.flatMap((line) => line.points.map(([, y]) => y))));
    const x = (t) => LEFT + ((t - first) / (last - first)) * (WIDTH - LEFT - 4);
    const y = (value) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
    for (const share of [0, 0.5, 1]) {
      const at = y(share * top);
      svg.append(
        element("line", {
          x1: LEFT, x2: WIDTH, y1: at, y2: at, stroke: "currentColor", "stroke-opacity": 0.15,
        }),
        element("text", {
          x: LEFT - 6, y: at + 4, "text-anchor": "end", "font-size": 11, fill: "currentColor",
        }, short(share * top)),
      );
    }
    for (const [t, anchor] of [[first, "start"], [last, "end"]]) {
      svg.append(element("text", {
        x: x(t), y: HEIGHT - 4, "text-anchor": anchor, "font-size": 11, fill: "currentColor",
      }, `${Math.round(t)} s`));
    }
    for (const line of known) {
      svg.append(element("polyline", {
        points: line.points.map(([t, value]) => `${x(t).toFixed(1)},${y(value).toFixed(1)}`).join(" "),
        fill: "none", stroke: COLOURS[series.indexOf(line)], "stroke-width": 1.6,
      }));
    }
  }

  // React leaves alone what it has not made; it makes the tabs anew for each run.
  function shown() {
    const tabs = document.querySelector('[role="tablist"]')?.closest(".MuiContainer-root");
    if (tabs && host.parentElement !== tabs) tabs.append(host);
    return Boolean(tabs) && new URLSearchParams(location.search).get("tab") === KEY;
  }

  async function look() {
    host.style.display = shown() ? "flex" : "none";
    if (shown() && !document.hidden) {
      try {
        const answer = await fetch(`./remote-render/live?seconds=${SHOWN_S}`);
        if (answer.ok) {
          const {ticks} = await answer.json();
          for (const panel of panels) draw(panel, ticks);
        }
      } catch {
        // Locust is restarting, or gone: the next look says.
      }
    }
  }

  addEventListener("click", () => setTimeout(look, 0));
  setInterval(look, POLL_MS);
  look();
})();
