/* Chapter 12: a drawing that the reader moves, scales and thickens, what MNIST's frame makes of it, and what the network
   says with and without the frame. */

liveFigure.define("mnist-frame", (figure, data) => {
	"use strict";
	const { draw, make, number } = liveFigure;
	const { rasterize, draw_segments, centre_of_mass } = cnnlib.digits;
	const [FIELD, CANVAS, SMALL] = [28, 280, 0.1];
	let network = null; // until the page is there: to build it takes a moment
	const clip = (value, low, high) => Math.min(Math.max(value, low), high);
	const BEGIN = { digit: data.start, size: 0.4, pen: 2.5, across: 30, down: 32 };
	let state = { ...BEGIN };

	const follow = figure.onceAFrame(redraw);
	const change = (name) => (value) => { state[name] = value; follow(); };
	const digit = figure.select("digit", Object.fromEntries(data.drawings.map((_, k) => [k, k])), state.digit, (value) => change("digit")(+value));
	const size = figure.slider("size", { min: 0.2, max: 1.2, step: 0.05, value: state.size }, change("size"));
	const pen = figure.slider("pen", { min: 1, max: 5, step: 0.25, value: state.pen }, change("pen"));
	const reset = figure.button("Back to the start", () => {
		state = { ...BEGIN };
		[digit.value, size.value, pen.value] = [state.digit, state.size, state.pen];
		redraw();
	});
	figure.row(digit.element, size.element, pen.element);

	const pad = figure.svg(CANVAS, CANVAS, "");
	liveFigure.fill(pad, { tabindex: 0, role: "application", class: "lf-svg mf-pad", style: "border: 1px solid var(--lf-line); box-sizing: border-box; cursor: move; touch-action: none" });
	const ink = draw("path", { fill: "none", stroke: "currentColor", "stroke-linecap": "round", "stroke-linejoin": "round" });
	const box = draw("rect", { fill: "none", stroke: "var(--lf-negative)", "stroke-width": 2, "stroke-dasharray": "6 4" });
	pad.append(ink, box);
	const column = (title, child, ...more) => make("div", { class: "lf-group", style: "flex: 1 1 150px; max-width: 215px; min-width: 0" }, make("p", { class: "lf-title" }, title), child, ...more);
	const views = ["Only made small", "In MNIST's frame"].map((title) => {
		const picture = figure.picture(`${title}: 28 by 28 pixels`, { width: FIELD, height: FIELD, scale: 7 });
		picture.element.style.cssText = "display: block; width: 100%; box-sizing: border-box";
		const over = draw("svg", { viewBox: "-0.5 -0.5 28 28", "aria-hidden": "true", style: "position: absolute; inset: 0; width: 100%; height: 100%" });
		const [numbers, answer, bars] = [make("p", { class: "mf-numbers" }), make("p", { class: "lf-title mf-answer" }), figure.svg(200, 74, "")];
		return { picture, over, numbers, answer, bars, element: column(title, make("div", { style: "position: relative" }, picture.element, over), numbers, answer, bars) };
	});
	figure.row(column("The drawing: move it", pad, make("p", { class: "lf-note" }, "Drag it, or use the arrow keys. Dashed: the box around the ink. +: its centre of mass (row, column)."), make("div", {}, reset)),
		make("div", { style: "display: flex; flex: 2 1 310px; gap: 1.25rem; min-width: 0" }, views.map(({ element }) => element)));

	// From strokes to pictures

	const points = (strokes) => strokes.flat();
	const limits = (strokes) => [0, 1].map((axis) => points(strokes).map((point) => point[axis])).map((values) => [Math.min(...values), Math.max(...values)]);
	const transform = (strokes, f) => strokes.map((stroke) => stroke.map((point) => point.map(f)));

	/** First and last column, and first and last row, that hold ink. */
	function inked(image) {
		const found = [...image.keys()].filter((k) => image[k] > 0);
		return [found.map((k) => k % FIELD), found.map((k) => Math.floor(k / FIELD))].map((places) => [Math.min(...places), Math.max(...places)]);
	}

	/** The drawing, with its size, where it stands on the canvas. */
	function placed() {
		const original = data.drawings[state.digit];
		const middle = limits(original).map(([low, high]) => (low + high) / 2);
		const target = [state.across, state.down].map((percent) => (percent / 100) * CANVAS);
		return original.map((stroke) => stroke.map((point) => point.map((value, axis) => (value - middle[axis]) * state.size + target[axis])));
	}

	// Moving

	let grip = null;
	const move = (across, down) => { [state.across, state.down] = [across, down].map((value) => Math.round(clip(value, 0, 100))); };
	const at = (event) => {
		const { left, top, width } = pad.getBoundingClientRect();
		return [event.clientX - left, event.clientY - top].map((value) => (100 * value) / width);
	};
	pad.addEventListener("pointerdown", (event) => {
		const [x, y] = at(event);
		grip = [state.across - x, state.down - y];
		pad.setPointerCapture(event.pointerId);
		pad.focus({ preventScroll: true });
		event.preventDefault();
	});
	pad.addEventListener("pointermove", (event) => {
		if (!grip || !pad.hasPointerCapture(event.pointerId)) return;
		const [x, y] = at(event);
		move(x + grip[0], y + grip[1]);
		follow();
	});
	for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => { grip = null; });
	pad.addEventListener("keydown", (event) => {
		const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
		if (!step) return;
		event.preventDefault();
		const far = event.shiftKey ? 10 : 2;
		move(state.across + far * step[0], state.down + far * step[1]);
		follow();
	});

	function redraw() {
		const strokes = placed();
		const radius = state.pen / SMALL / 2;
		ink.setAttribute("d", strokes.map((stroke) => `M ${stroke.map((point) => point.map((value) => value.toFixed(1)).join(" ")).join(" L ")}`).join(" "));
		ink.setAttribute("stroke-width", 2 * radius);
		const [[left, right], [top, bottom]] = limits(strokes);
		liveFigure.fill(box, { x: left - radius, y: top - radius, width: right - left + 2 * radius, height: bottom - top + 2 * radius });
		pad.setAttribute("aria-label", `The drawing, a ${state.digit}, ${state.across} percent across and ${state.down} percent down the canvas. Arrow keys move it, with shift by more.`);

		const images = [draw_segments(transform(strokes, (value) => value * SMALL - 0.5), state.pen), rasterize(strokes, state.pen)];
		const p = network?.forward(cnnlib.array(Float32Array.from(images.flatMap((image) => [...image]))).reshape(2, 1, FIELD, FIELD));
		const said = images.map((image, k) => show(views[k], image, p && [...p.slice(k, k + 1).data]));
		if (network) figure.say(`Only made small: ${said[0]}. In MNIST's frame: ${said[1]}.`);
	}

	function show({ picture, over, numbers, answer, bars }, image, p) {
		picture.show(image, 1);
		over.replaceChildren();
		if (image.some((value) => value > 0)) {
			const [[left, right], [top, bottom]] = inked(image);
			const [s, r] = centre_of_mass(image);
			const line = { fill: "none", stroke: "var(--lf-negative)", "stroke-width": 0.35 };
			over.append(draw("rect", { ...line, "stroke-dasharray": "1 0.7", x: left - 0.5, y: top - 0.5, width: right - left + 1, height: bottom - top + 1 }),
				draw("path", { ...line, "stroke-width": 0.5, d: `M ${s - 1.2} ${r} h 2.4 M ${s} ${r - 1.2} v 2.4` }));
			numbers.replaceChildren(`Ink in ${bottom - top + 1} × ${right - left + 1} pixels`, make("br"), `Centre (${number(r)}, ${number(s)})`);
		} else numbers.replaceChildren("No ink is left", make("br"), "in this picture.");
		if (!p) {
			answer.textContent = "…";
			return "";
		}
		const best = cnnlib.argmax(p);
		const percent = Math.min(100 * p[best], 99.9).toFixed(1);
		const right = best === state.digit;
		answer.textContent = `${right ? "✓" : "✗"} Reads ${best}: ${percent} %`;
		bars.replaceChildren(...p.flatMap((value, k) => [
			draw("rect", { x: 20 * k + 3, y: 56 - 52 * value, width: 14, height: 52 * value, fill: "var(--lf-accent)" }),
			draw("text", { x: 20 * k + 10, y: 70, "text-anchor": "middle" }, String(k)),
		]), draw("path", { d: "M 0 56 H 200", stroke: "var(--lf-line)" }));
		bars.setAttribute("aria-label", `Probabilities of the digits 0 to 9: ${p.map((value) => number(value, 2)).join(", ")}`);
		return `${right ? "right" : "wrong"}, ${answer.textContent.slice(2).toLowerCase()}`;
	}
	redraw();
	setTimeout(() => {
		network = figure.network = cnnlib.Network.fromJSON(data.network);
		redraw();
	});
});
