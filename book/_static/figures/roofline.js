/* Chapter 23: the ladder of the reference run, and the roofline with the pieces of a forward pass below it. */

liveFigure.define("roofline", (figure, data) => {
	"use strict";
	const { draw, make, number } = liveFigure;

	/** A number with a prefix: 1234567, "B" gives 1.23 MB. */
	function unit(value, name) {
		if (value === 0) return `0 ${name}`;
		const power = Math.min(4, Math.max(-3, Math.floor(Math.log10(Math.abs(value) * 1.0005) / 3)));
		return `${number(value / 1000 ** power)} ${["n", "µ", "m", "", "k", "M", "G", "T"][power + 3]}${name}`;
	}

	/** How many times as long: 56,100. */
	const times = (value) => (value < 1000 ? number(value) : Math.round(+value.toPrecision(3)).toLocaleString("en-US"));

	/** Seconds as people say them. */
	const time = (seconds) => (seconds >= 3600 ? `${number(seconds / 3600)} hours` : seconds >= 1 ? `${number(seconds)} s` : unit(seconds, "s"));

	/** What a piece does for a batch, and how long it takes at least. */
	function bound(piece) {
		const operations = piece.operations * batch.value;
		const bytes = 4 * (piece.numbers * batch.value + piece.constant);
		const [computing, moving] = [operations / limit(peak), bytes / limit(bandwidth)];
		return { operations, bytes, intensity: operations / bytes, computing, moving };
	}
	const limit = (slider) => slider.value * 1e9;
	const pieces = () => data.ways[way.value];

	// The ladder

	const rungs = figure.svg(420, 38 * data.ladder.length, "The time of an epoch on each rung of the ladder");
	rungs.style.maxWidth = "560px";
	const longest = Math.max(...data.ladder.map(({ seconds }) => seconds));
	const texts = data.ladder.map(({ seconds }, row) => {
		const text = draw("text", { x: 2, y: 38 * row + 14 });
		const width = 416 * Math.log(seconds / 0.1) / Math.log(longest / 0.1);
		rungs.append(text, draw("rect", { x: 2, y: 38 * row + 19, width: Math.max(width, 2), height: 12, style: "fill: var(--lf-positive)" }));
		return text;
	});
	figure.add(make("p", { class: "lf-title" }, "An epoch on the four rungs (reference run, one thread)"));
	figure.add(rungs);
	figure.add(make("p", { class: "lf-note" }, "Bars on a logarithmic scale. The bound is what the operations of an epoch take at the peak that is set below."));

	// The controls

	const steps = (own, list) => [...new Set([...list, own])].sort((a, b) => a - b);
	const start = { peak: data.peak, bandwidth: data.bandwidth, batch: 64, way: "separate" };
	const way = figure.select("forward pass", data.labels, start.way, () => { choose(pieces()[0].name); });
	const change = figure.onceAFrame(() => redraw());
	const peak = figure.slider("peak", { values: steps(start.peak, [10, 25, 50, 100, 200, 500, 1000]), value: start.peak, format: (k) => `${k} GFLOP/s` }, change);
	const bandwidth = figure.slider("bandwidth", { values: steps(start.bandwidth, [5, 10, 25, 50, 100, 200, 500]), value: start.bandwidth, format: (k) => `${k} GB/s` }, change);
	const batch = figure.slider("batch", { values: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024], value: start.batch, format: (k) => `${k}` }, change);
	[peak, bandwidth, batch].forEach(({ element }) => { element.querySelector("output").style.minWidth = "7em"; });
	figure.row(way.element, figure.button("start again", () => {
		[peak.value, bandwidth.value, batch.value, way.value] = [start.peak, start.bandwidth, start.batch, start.way];
		choose(pieces()[0].name);
	}));
	figure.row(peak.element, bandwidth.element, batch.element);

	// The roofline

	const [width, height, left, right, top, bottom] = [420, 270, 46, 12, 10, 38];
	const [from, to, low, high] = [0.05, 200, 0.1, 2000];
	const across = (x) => left + (width - left - right) * Math.log(Math.min(Math.max(x, from), to) / from) / Math.log(to / from);
	const up = (y) => height - bottom - (height - top - bottom) * Math.log(Math.min(Math.max(y, low), high) / low) / Math.log(high / low);
	const svg = figure.svg(width, height, "The roofline: operations a second over operations for each byte");
	svg.style.maxWidth = "520px";
	const axes = draw("g", { class: "lf-axes" }, draw("path", { d: `M ${left} ${top} V ${height - bottom} H ${width - right}` }));
	for (const x of [0.1, 1, 10, 100]) axes.append(draw("path", { d: `M ${across(x)} ${height - bottom} v 4` }), draw("text", { x: across(x), y: height - bottom + 17, "text-anchor": "middle" }, number(x)));
	for (const y of [0.1, 1, 10, 100, 1000]) axes.append(draw("path", { d: `M ${left} ${up(y)} h -4` }), draw("text", { x: left - 7, y: up(y) + 4, "text-anchor": "end" }, number(y)));
	axes.append(draw("text", { x: (left + width) / 2, y: height - 5, "text-anchor": "middle" }, "operations for each byte"),
		draw("text", { transform: `translate(11 ${(top + height - bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, "GFLOP a second, at most"));
	const roof = draw("path", { class: "lf-line" });
	const points = draw("g");
	const label = draw("text", { "text-anchor": "middle", style: "font-weight: 700" });
	svg.append(axes, roof, points, label);

	const buttons = make("div", { class: "lf-row", role: "group", "aria-label": "pieces", style: "gap: 0.35rem" });
	const lines = ["operations", "bytes", "intensity", "computing", "moving", "bound"].map((key) => make("p", { "data-line": key }));
	const title = make("p", { class: "lf-title" });
	const legend = make("p", { class: "lf-note" }, "Circles compute, squares wait for memory.");
	const whole = make("p", { class: "lf-note", "data-line": "whole" });
	figure.row(make("div", { style: "flex: 4 1 320px; max-width: 520px; min-width: 0" }, svg, legend),
		make("div", { style: "flex: 2 1 210px; min-width: 0" }, title, lines));
	figure.add(buttons);
	figure.add(whole);

	let chosen = pieces()[0].name;
	function choose(name) {
		chosen = name;
		if (buttons.dataset.way !== way.value) {
			buttons.dataset.way = way.value;
			buttons.replaceChildren(...pieces().map((piece) => figure.button(piece.name, () => choose(piece.name))));
			points.replaceChildren(...pieces().map((piece) => draw("g", { "data-piece": piece.name, onclick: () => choose(piece.name), style: "cursor: pointer" },
				draw("circle", { r: 14, style: "fill: transparent" }), draw("rect"))));
		}
		redraw();
	}

	function redraw() {
		data.ladder.forEach(({ name, seconds, operations }, row) => {
			const needed = data.ladder[0].operations / limit(peak);
			texts[row].textContent = `${name}: ${time(seconds)} · ${unit(operations / seconds, "FLOP/s")} · ${times(seconds / needed)} × the bound`;
		});
		const ridge = limit(peak) / limit(bandwidth);
		roof.setAttribute("d", `M ${across(from)} ${up(from * bandwidth.value)} L ${across(ridge)} ${up(peak.value)} L ${across(to)} ${up(peak.value)}`);
		const all = { operations: 0, bytes: 0, least: 0, waiting: 0 };
		pieces().forEach((piece, index) => {
			const { operations, bytes, intensity, computing, moving } = bound(piece);
			const least = Math.max(computing, moving);
			all.operations += operations;
			all.bytes += bytes;
			all.least += least;
			if (moving > computing) all.waiting += least;
			const [x, y] = [across(intensity), up(operations / least / 1e9)];
			const group = points.children[index];
			const current = piece.name === chosen;
			group.setAttribute("transform", `translate(${x} ${y})`);
			const [size, round] = [current ? 16 : 11, moving > computing ? 0 : current ? 8 : 5.5]; // squares wait, circles compute
			for (const [key, value] of Object.entries({ x: -size / 2, y: -size / 2, width: size, height: size, rx: round })) group.lastChild.setAttribute(key, value);
			group.lastChild.style.fill = current ? "var(--lf-accent)" : moving > computing ? "var(--lf-negative)" : "var(--lf-positive)";
			buttons.children[index].setAttribute("aria-pressed", current);
			if (!current) return;
			label.textContent = piece.name;
			label.setAttribute("x", Math.min(Math.max(x, left + 50), width - 55));
			label.setAttribute("y", y > 60 ? y - 14 : y + 26);
			title.textContent = `${piece.name}, ${batch.value} ${batch.value === 1 ? "image" : "images"}`;
			const speed = `at most ${unit(operations / least, "FLOP/s")}`;
			const verdict = operations === 0 ? "It only moves numbers." : moving > computing ? `It waits for memory: ${speed}.` : `It computes: ${speed}.`;
			const shown = [`operations: ${unit(operations, "FLOP")}`, `moved: ${unit(bytes, "B")}`, `operations a byte: ${number(intensity)} (the roof begins at ${number(ridge)})`,
				`computing: at least ${time(computing)}`, `moving: at least ${time(moving)}`, verdict];
			lines.forEach((line, k) => { line.textContent = shown[k]; });
			figure.say(`${title.textContent}: ${shown.join("; ")}`);
		});
		whole.textContent = `All pieces: ${unit(all.operations, "FLOP")} and ${unit(all.bytes, "B")}, at least ${time(all.least)}; ${number(100 * all.waiting / all.least)} % of this is waiting for memory.`;
	}
	choose(chosen);
});
