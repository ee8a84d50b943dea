/* Chapter 8: where a pixel goes when an image becomes a row, in the gradient, and in the column of weights behind it. */

liveFigure.define("flatten", (figure, data) => {
	"use strict";
	const { make, number } = liveFigure;
	let [shape, chosen] = [data.shape, data.chosen]; // (C, H, W), and the place d in the row
	const D = shape[0] * shape[1] * shape[2];
	const place = (c, r, s) => (c * shape[1] + r) * shape[2] + s;
	const pixel = (d) => [Math.floor(d / (shape[1] * shape[2])), Math.floor(d / shape[2]) % shape[1], d % shape[2]];
	const choose = (d) => { chosen = d; redraw(); };

	// Controls

	const shapes = figure.select("shape (C, H, W)", Object.fromEntries(data.shapes.map((each) => [each, `(${each.join(", ")})`])), shape,
		(text) => { shape = text.split(",").map(Number); build(); redraw(); });
	const order = figure.select("on the way back", { same: "the same order", other: "row, column, channel" }, "same", redraw);
	figure.add(make("p", { class: "lf-note" }, "Choose a pixel of x, or an entry of y."));

	// Images on the left, the row (standing) and its weights on the right

	const images = make("div", { class: "lf-group", style: "gap: 0.75rem; min-width: min(13.5rem, 51vw)" });
	const vector = (name, label) => figure.matrix(label, Array.from({ length: D }, () => [0]), { size: "1.75rem", select: (d) => choose(d) });
	const vectors = {
		y: vector("y", "y, the flattened example"), w: vector("w", "w, the column of weights"), dy: vector("dy", "dy, the gradient of y"),
	};
	const places = make("table", { class: "lf-matrix", "aria-hidden": "true", style: "--lf-cell: 1.75rem" },
		make("tbody", {}, Array.from({ length: D }, (_, d) => make("tr", {}, make("td", { style: "border-color: transparent" }, d)))));
	const columns = make("div", { style: "display: flex; gap: 0.4rem" },
		figure.named("d", places), ...Object.entries(vectors).map(([name, matrix]) => figure.named(name, matrix)));
	const story = make("div", { class: "lf-group lf-story", style: "min-height: 13rem" });
	const check = figure.check();
	check.element.style.minHeight = "2.8em";
	const parts = figure.row(images, columns, make("div", { class: "lf-group", style: "flex: 1 1 15rem; min-width: 0" }, story, check.element));
	parts.style.columnGap = "0.75rem";
	figure.row(shapes.element, order.element);
	figure.add(figure.scale());

	let channels;
	function build() {
		const [C, H, W] = shape;
		const image = (name, label) => Array.from({ length: C }, (_, c) =>
			figure.matrix(`${label}, channel ${c}`, Array.from({ length: H }, () => Array(W).fill(0)), { size: "2rem", select: (r, s) => choose(place(c, r, s)) }));
		channels = { x: image("x", "x, the image"), dx: image("dx", "dx, the gradient of x") };
		const line = (name) => make("div", { style: "display: flex; flex-wrap: wrap; gap: 0.5rem 0.3rem" },
			channels[name].map((matrix, c) => figure.named(`${name}[${c}]`, matrix)));
		images.replaceChildren(line("x"), line("dx"));
		for (const part of figure.root.querySelectorAll(".lf-named")) part.style.overflow = "visible"; // the focus lies outside of a cell
	}

	const bracket = (value) => (value < 0 ? `(${number(value)})` : number(value));

	function redraw() {
		const [C, H, W] = shape;
		const x = cnnlib.array(data.x.flat(Infinity), "float64").reshape(1, C, H, W);
		const flatten = cnnlib.Flatten();
		const dense = cnnlib.Dense(D, 1, { dtype: "float64" });
		dense.W = data.w.map((weight) => [weight]);
		const y = flatten.forward(x);
		const output = () => dense.forward(flatten.forward(x)).data[0]; // L = z: one output of a dense layer
		const z = output();
		const dy = dense.backward([[1]]);
		let dx = flatten.backward(dy);
		// The fault: dy is read as if the channel ran fastest
		if (order.value === "other") dx = dx.map((_, d) => { const [c, r, s] = pixel(d); return dy.data[(r * W + s) * C + c]; });

		const [c, r, s] = pixel(chosen);
		const limit = liveFigure.largest(data.x);
		const [[ys], [dys]] = [y.toNested(), dy.toNested()];
		x.toNested()[0].forEach((values, k) => channels.x[k].show(values, { limit, frames: k === c ? [[r, s, "lf-frame"]] : [] }));
		dx.toNested()[0].forEach((values, k) => channels.dx[k].show(values, { limit: liveFigure.largest(data.w), frames: k === c ? [[r, s, "lf-frame"]] : [] }));
		const frames = [[chosen, 0, "lf-frame"]];
		vectors.y.show(ys.map((value) => [value]), { limit, frames });
		vectors.w.show(data.w.map((value) => [value]), { frames });
		vectors.dy.show(dys.map((value) => [value]), { frames });
		[...places.rows].forEach((line, d) => { line.cells[0].className = d === chosen ? "lf-frame" : ""; });

		const [value, weight] = [x.data[chosen], data.w[chosen]];
		const lines = [
			`c = ${c}, r = ${r}, s = ${s}`,
			"d = (c · H + r) · W + s",
			`d = (${c} · ${H} + ${r}) · ${W} + ${s} = ${place(c, r, s)}`,
			`Back: ${chosen} = ${c} · ${H * W} + ${r} · ${W} + ${s}`,
			`In z = y · w = ${number(z)}, it is the term ${bracket(value)} · ${bracket(weight)} = ${number(value * weight)}.`,
			`With L = z, dy is w, and dx is w as an image: here ${number(dx.data[chosen])}.`,
		];
		if (order.value === "other") lines[5] = `With L = z, dy is w. But dx reads it in another order: here ${number(dx.data[chosen])}.`;
		story.replaceChildren(...lines.map((line, k) => make("p", k ? {} : { class: "lf-title" }, line)));
		const [measured] = cnnlib.numerical_gradient(output, x, [chosen]);
		const holds = Math.abs(measured - dx.data[chosen]) <= 1e-6 * Math.max(1, Math.abs(measured));
		check.show(holds, `Central difference: ${number(Math.round(measured * 1e6) / 1e6)}. Entry of dx: ${number(dx.data[chosen])}.`);
		figure.say(`${lines.join(". ")} ${check.element.textContent}`);
	}

	build();
	redraw();
});
