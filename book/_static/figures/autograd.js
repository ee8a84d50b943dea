/* Chapter 22: a graph that is recorded forward and gone through backward, one arrow at a time. */

liveFigure.define("autograd", (figure, data) => {
	"use strict";
	const { draw, make, number } = liveFigure;

	// L = e e + w w with e = w x + b - t. For each box: what it was computed from, its value, and the local slopes.
	const boxes = {
		a: { text: "w x", parents: ["w", "x"], value: (w, x) => w * x, slopes: (w, x) => [x, w] },
		v: { text: "a + b", parents: ["a", "b"], value: (a, b) => a + b, slopes: () => [1, 1] },
		e: { text: "v − t", parents: ["v", "t"], value: (v, t) => v - t, slopes: () => [1, -1] },
		s: { text: "e e", parents: ["e", "e"], value: (e, f) => e * f, slopes: (e, f) => [f, e] },
		r: { text: "w w", parents: ["w", "w"], value: (w, f) => w * f, slopes: (w, f) => [f, w] },
		L: { text: "s + r", parents: ["s", "r"], value: (s, r) => s + r, slopes: () => [1, 1] },
	};
	const inputs = ["x", "w", "b", "t"];
	const steps = Object.keys(boxes);
	const places = { x: [42, 110], w: [42, 215], b: [126, 30], a: [126, 140], t: [210, 30], v: [210, 140], e: [294, 140], r: [210, 255], s: [378, 140], L: [378, 255] };
	const values = { ...data.values };

	/** The values of all boxes. */
	function forward(start) {
		const all = { ...start };
		for (const name of steps) all[name] = boxes[name].value(...boxes[name].parents.map((parent) => all[parent]));
		return all;
	}

	/** The order in which slopes are handed on: pairs of a box and the number of one of its arrows. */
	function visits() {
		const arrows = (name) => boxes[name].parents.map((_, k) => [name, k]);
		if (order.value === "complete") return [...steps].reverse().flatMap(arrows);
		const atOnce = (name) => arrows(name).flatMap(([from, k]) => {
			const parent = boxes[name].parents[k];
			return [[from, k], ...(boxes[parent] ? atOnce(parent) : [])];
		});
		return atOnce("L");
	}

	/** The slopes after so many visits. */
	function backward(all, list) {
		const slopes = Object.fromEntries(Object.keys(all).map((name) => [name, 0]));
		slopes.L = 1;
		for (const [name, k] of list) {
			const { parents, slopes: local } = boxes[name];
			const share = slopes[name] * local(...parents.map((parent) => all[parent]))[k];
			slopes[parents[k]] = rule.value === "add" ? slopes[parents[k]] + share : share;
		}
		return slopes;
	}

	const fields = inputs.map((name) => figure.field(name, { value: values[name] }, (value) => { values[name] = value; redraw(); }));
	fields.forEach(({ input }) => { input.style.width = "4rem"; });
	const rule = figure.select("what arrives", { add: "add", replace: "replace" }, "add", () => redraw());
	const order = figure.select("hand on", { complete: "when complete", once: "at once" }, "complete", () => { slider.input.max = last(); slider.value = Math.min(slider.value, last()); redraw(); });
	const last = () => steps.length + visits().length;
	const slider = figure.slider("step", { min: 0, max: steps.length + 12, step: 1, value: steps.length, format: (k) => `${k}` }, () => redraw());
	const move = (to) => { slider.value = Math.max(0, Math.min(last(), to)); redraw(); };
	figure.row(...fields.map(({ element }) => element)).style.columnGap = "0.75rem";
	figure.row(rule.element, order.element);
	figure.row(figure.button("back", () => move(slider.value - 1)), figure.button("next", () => move(slider.value + 1)),
		figure.button("to the end", () => move(last())), slider.element,
		figure.button("start again", () => {
			Object.assign(values, data.values);
			inputs.forEach((name, k) => { fields[k].value = values[name]; });
			[rule.value, order.value] = ["add", "complete"];
			slider.input.max = last();
			move(steps.length);
		}));

	const svg = figure.svg(420, 290, "The graph of L");
	svg.style.maxWidth = "520px";
	const tip = `autograd-${Math.random().toString(36).slice(2)}`;
	svg.append(draw("defs", {}, draw("marker", { id: tip, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" },
		draw("path", { d: "M 0 0 L 8 4 L 0 8 Z", style: "fill: var(--lf-text)" }))));
	const parts = {};
	for (const [name, { parents }] of Object.entries(boxes)) parents.forEach((parent, k) => {
		const [[x0, y0], [x1, y1]] = [places[parent], places[name]];
		const size = Math.hypot(x1 - x0, y1 - y0);
		const aside = parents[0] === parents[1] ? (k ? 7 : -7) : 0; // two arrows side by side
		const [dx, dy] = [-aside * (y1 - y0) / size, aside * (x1 - x0) / size];
		const border = Math.min(37 / Math.abs(x1 - x0), 26 / Math.abs(y1 - y0)); // the share of the way inside of a box
		const at = (share) => `${x0 + share * (x1 - x0) + dx} ${y0 + share * (y1 - y0) + dy}`;
		const path = draw("path", { d: `M ${at(border)} L ${at(1 - border)}`, "marker-end": `url(#${tip})` });
		svg.append(path);
		parts[name + k] = path;
	});
	for (const [name, [x, y]] of Object.entries(places)) {
		const box = draw("rect", { x: x - 36, y: y - 25, width: 72, height: 50, rx: 7 });
		const text = [-10, 5, 19].map((down) => draw("text", { x, y: y + down, "text-anchor": "middle", style: down === 19 ? "font-weight: 700" : "" }));
		svg.append(draw("g", { "data-node": name }, box, ...text));
		parts[name] = { box, text };
	}
	const checks = inputs.map(() => figure.check());
	const note = make("p", { class: "lf-note" });
	figure.row(make("div", { style: "flex: 4 1 300px; max-width: 520px; min-width: 0" }, svg),
		make("div", { style: "flex: 2 1 200px; min-width: 0" }, note,
			make("p", { class: "lf-title", style: "margin-top: 0.75rem" }, "Is it right?"), checks.map(({ element }) => element)));
	figure.add(make("p", { class: "lf-note" }, "In each box: how it was computed, its value, and the slope of L that has arrived so far."));

	function redraw() {
		const all = forward(values);
		const done = slider.value;
		const list = visits();
		const behind = list.slice(0, Math.max(0, done - steps.length));
		const slopes = backward(all, behind);
		const known = new Set([...inputs, ...steps.slice(0, done)]);
		const reached = new Set(behind.map(([name, k]) => boxes[name].parents[k]));
		if (done >= steps.length) reached.add("L");
		const [now, k] = done > steps.length ? list[done - steps.length - 1] : [steps[done - 1], null];
		for (const [name, { box, text }] of Object.entries(parts)) {
			if (!box) continue;
			const current = name === now || (k !== null && name === boxes[now].parents[k]);
			text[0].textContent = boxes[name] ? `${name} = ${boxes[name].text}` : name;
			text[1].textContent = known.has(name) ? number(all[name]) : "";
			text[2].textContent = reached.has(name) ? `d${name} = ${number(slopes[name])}` : "";
			box.style.cssText = `fill: var(--pst-color-surface, #f5f5f5); stroke: var(--lf-${current ? "accent" : "line"}); stroke-width: ${current ? 3 : 1}`;
		}
		for (const name of steps) boxes[name].parents.forEach((_, arrow) => {
			const used = name === now && (k === null || k === arrow);
			parts[name + arrow].style.cssText = `fill: none; stroke: var(--lf-${used ? "accent" : "text"}); stroke-width: ${used ? 3 : 1.2}`;
		});
		let text = "Nothing is computed yet.";
		if (k !== null) {
			const parent = boxes[now].parents[k];
			const local = boxes[now].slopes(...boxes[now].parents.map((name) => all[name]))[k];
			const given = backward(all, behind.slice(0, -1))[now];
			text = `Backward: ${now} hands ${number(given)} · ${number(local)} = ${number(given * local)} on to ${parent}; d${parent} is now ${number(slopes[parent])}.`;
		} else if (now) text = `Forward: ${now} = ${boxes[now].text} = ${number(all[now])}.`;
		note.textContent = text;

		const complete = done === last();
		const wrong = inputs.filter((name, at) => {
			const h = 1e-5 * Math.max(1, Math.abs(values[name]));
			const measured = (forward({ ...values, [name]: values[name] + h }).L - forward({ ...values, [name]: values[name] - h }).L) / (2 * h);
			const holds = Math.abs(measured - slopes[name]) <= 1e-6 * Math.max(Math.abs(measured), Math.abs(slopes[name])) + 1e-6;
			if (complete) checks[at].show(holds, `d${name}: backward ${number(slopes[name])}, difference ${number(+measured.toFixed(6))}`);
			else {
				checks[at].element.classList.remove("lf-right", "lf-wrong");
				checks[at].element.textContent = `d${name}: not complete yet`;
			}
			return !holds;
		});
		figure.say(`${text}${complete ? (wrong.length ? ` Wrong: ${wrong.map((name) => `d${name}`).join(", ")}.` : " All slopes agree with differences.") : ""}`);
	}
	redraw();
});
