/* Chapter 24: the steps of several processes on a time line: computing, and adding up the gradients. */

liveFigure.define("more-machines", (figure, data) => {
	"use strict";
	const { draw, make, number } = liveFigure;
	const powers = (from, to, factor) => Array.from({ length: Math.round(Math.log(to / from) / Math.log(factor)) + 1 }, (_, k) => from * factor ** k);
	const counts = powers(1, 64, 2);
	const start = { P: 4, N: 512, latency: 0.0005, bandwidth: 1e8 };

	/** The seconds of the two parts of an allreduce: all latencies, all bytes. */
	function parts(P) {
		const rounds = way.value === "halves" ? 2 * Math.ceil(Math.log2(P)) : 2 * (P - 1);
		const share = way.value === "first" ? 2 * (P - 1) : 2 * (P - 1) / P;
		return [rounds * latency.value, share * data.size / (bandwidth.value / 8)];
	}
	const compute = (P) => data.fixed + data.per_image * batch.value / P;
	const step = (P) => compute(P) + parts(P)[0] + parts(P)[1];
	const speedup = (P) => step(1) / step(P);

	const time = (seconds) => (seconds < 1e-3 ? `${number(1e6 * seconds)} µs` : `${number(1000 * seconds)} ms`);
	const bits = (rate) => (rate < 1e9 ? `${number(rate / 1e6)} Mbit/s` : `${number(rate / 1e9)} Gbit/s`);
	const workers = figure.slider("processes", { values: counts, value: start.P, format: String }, () => redraw());
	const batch = figure.slider("batch", { values: powers(64, 4096, 2), value: start.N, format: (n) => n.toLocaleString("en-US") }, () => redraw());
	const latency = figure.slider("latency", { values: [1e-6, 5e-6, 2e-5, 1e-4, 0.0005, 0.002, 0.01], value: start.latency, format: time }, () => redraw());
	const bandwidth = figure.slider("bandwidth", { values: [1e7, 1e8, 1e9, 1e10, 1e11], value: start.bandwidth, format: bits }, () => redraw());
	const way = figure.select("adding up", { first: "all to the first", ring: "ring", halves: "halves" }, "halves", () => redraw());
	figure.row(workers.element, batch.element);
	figure.row(latency.element, bandwidth.element);
	figure.row(way.element, figure.button("start again", () => {
		[workers.value, batch.value, latency.value, bandwidth.value, way.value] = [start.P, start.N, start.latency, start.bandwidth, "halves"];
		redraw();
	}));

	const rows = 8;
	const svg = figure.svg(420, 250, "The steps of one process, and of each of several, from left to right");
	svg.style.maxWidth = "560px";
	const bars = draw("g");
	svg.append(bars);
	const note = make("p", { class: "lf-note" });
	const chart = figure.chart("Speed-up over the number of processes", { x: [0, 6], y: [0, 4], xlabel: "log₂ of processes", ylabel: "speed-up", height: 200 });
	chart.element.style.maxWidth = "420px";
	const table = make("p", { class: "lf-note", "data-part": "numbers" });
	figure.row(make("div", { style: "flex: 3 1 300px; min-width: 0" }, svg, note), make("div", { style: "flex: 2 1 240px; min-width: 0" }, chart.element));
	figure.add(table);

	/** A row of steps, as many as fit. */
	function line(y, label, seconds, whole, P) {
		bars.append(draw("text", { x: 52, y: y + 14, "text-anchor": "end" }, label));
		const width = 360 / whole;
		const size = step(P);
		const drawn = Math.min(Math.floor(whole / size + 1e-9), 60);
		for (let k = 0; k < Math.max(drawn, 1); k++) {
			let x = 58 + k * size * width;
			[seconds, ...parts(P)].forEach((part, kind) => {
				const end = Math.min(x + part * width, 418);
				if (part > 0 && end > x) bars.append(draw("rect", { x, y, width: end - x, height: 18, "data-kind": kind,
					style: `fill: var(--lf-${["positive", "accent", "negative"][kind]}); stroke: var(--pst-color-background); stroke-width: 0.5` }));
				x = end;
			});
		}
		return drawn;
	}

	function redraw() {
		const P = workers.value;
		const [wait, bytes] = parts(P);
		const whole = Math.max(step(1), step(P));
		bars.replaceChildren();
		line(4, "alone", compute(1), whole, 1);
		const shown = Math.min(P, rows);
		for (let r = 0; r < shown; r++) line(34 + 22 * r, r === shown - 1 && P > rows ? `… ${P - 1}` : String(r), compute(P), whole, P);
		bars.append(draw("text", { x: 58, y: 238 }, "0"), draw("text", { x: 418, y: 238, "text-anchor": "end" }, time(whole)));
		const best = counts.reduce((most, count) => (step(count) < step(most) ? count : most), 1);
		note.textContent = `From left to right: computing, latency, bytes. The width is ${time(whole)}.`;
		table.textContent = `A step takes ${time(step(P))}: computing ${time(compute(P))}, latency ${time(wait)}, bytes ${time(bytes)}. `
			+ `Alone it takes ${time(step(1))}, so the speed-up is ${number(speedup(P))} and the efficiency ${number(100 * speedup(P) / P)} %. `
			+ `Fastest of 1 to 64: ${best}, with a speed-up of ${number(speedup(best))}.`;
		const most = Math.max(1, ...counts.map(speedup));
		chart.range(null, [0, 1.15 * most]);
		chart.lines([{ points: counts.map((count) => [Math.log2(count), speedup(count)]), class: "lf-line-1" },
			{ points: [[Math.log2(P), 0], [Math.log2(P), speedup(P)]], class: "lf-line-2" }]);
		figure.say(table.textContent);
	}
	redraw();
});
